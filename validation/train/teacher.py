"""The teachers of a distillation: the same networks, trained before without any trick, from seeds of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from validation.data import Images
from validation.train.job import Job
from validation.train.loop import Trainer
from validation.train.stack import Stack
from validation.train.tricks import Tricks

OTHER_SEED = 1_000_003  # a teacher's seed is its student's and this


def state_file(file: Path) -> Path:
    """Where the teachers are saved beside the state of their students."""
    return file.with_suffix(".teacher.pt")


def teach(job: Job, images: Images, seeds: list[int], file: Path, progress: Callable[[int], None]) -> Stack | None:
    """Train one teacher for each seed, going on from its file; None for a job without distillation."""
    if not job.tricks.distillation:
        return None
    plain = job.replace(tricks=Tricks(), noise_batches=0, evaluate_every=job.hyperparameters.epochs)
    trainer = Trainer(plain, images, [seed + OTHER_SEED for seed in seeds])
    trainer.go_on(state_file(file), progress)
    return trainer.stack
