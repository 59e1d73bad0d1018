"""Small trainings on digits, for tests of the trainer."""

from __future__ import annotations

import numpy as np
import pytest

from sde_si import HyperParameters
from validation.data import load
from validation.train.job import Job
from validation.train.loop import Trainer

HP = HyperParameters(N=160, B=32, lr=0.1, wd=0.02, momentum=0.9, epochs=3)

# a training in double precision, drawn with replacement, by the command line
TRAINED = ["--network", "si-mlp", "--width", "8", "--blocks", "2", "--data", "digits", "--N", "320", "--B", "32",
         "--quiet", "--norm-eps", "0", "--precision", "fp64", "--no-figure", "--sampling", "replacement",
         "--noise-batches", "2", "--evaluate-every", "50"]  # fmt: skip


def small_job(hp=HP, **options):
    defaults = {"network": "si-mlp", "width": 8, "blocks": (2,), "data": "digits", "norm_eps": 0.0}
    return Job(
        **(defaults | {"precision": "fp64", "noise_batches": 2, "evaluate_every": 2} | options), hyperparameters=hp
    )


@pytest.fixture(scope="module")
def images():
    return load("digits", N=160)


def trained(job, images, seeds=(0,)):
    trainer = Trainer(job, images, list(seeds))
    for _ in range(job.hyperparameters.epochs):
        trainer.run_epoch()
    return trainer


def assert_resumed_alike(job, images, file, cut=1):
    """A training that is saved after `cut` epochs and restored ends as one that went straight through, to the bit."""
    seeds = [0, 1]
    straight, first, second = trained(job, images, seeds), Trainer(job, images, seeds), Trainer(job, images, seeds)
    for _ in range(cut):
        first.run_epoch()
    first.save(file)
    second.restore(file)
    while second.epoch < job.hyperparameters.epochs:
        second.run_epoch()
    assert (second.stack.x == straight.stack.x).all()
    for name, values in straight.results().items():
        np.testing.assert_array_equal(second.results()[name], values, err_msg=name)
