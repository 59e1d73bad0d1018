"""Small trainings with tricks, for tests of them."""

from __future__ import annotations

from small_training import HP

from validation.train.job import Job
from validation.train.loop import Trainer
from validation.train.tricks import Tricks

NET = {"network": "si-mlp", "width": 8, "blocks": (2,), "data": "digits", "norm_eps": 0.0, "precision": "fp64"}


def job_of(hp=HP, tricks=None, **more):
    return Job(
        **({**NET, "noise_batches": 2, "evaluate_every": 3} | more), hyperparameters=hp, tricks=tricks or Tricks()
    )


def trained(images, job, seed=0):
    trainer = Trainer(job, images, [seed])
    for _ in range(job.hyperparameters.epochs):
        trainer.run_epoch()
    return trainer
