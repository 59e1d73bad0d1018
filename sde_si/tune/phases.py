"""The phases of a schedule, and whether the weights come to equilibrium in each (theory.md 10.7, 10.8)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sde_si.hyperparameters import NEGLIGIBLE, SMALLEST, HyperParameters
from sde_si.schedules import Timetable
from sde_si.tune.effects import Gradients, factor_of, predicted

RESTART = 2.0  # factor by which lr jumps up from one step to the next


@dataclass(frozen=True)
class Phase:
    """Epochs in which nothing changes, or in which something changes all the time.

    Attributes
    ----------
    first, last : int
        Epochs, from 1.
    constant : bool
        Whether lr, momentum and batch size stay.
    lr, last_lr, momentum, B : float
        lr at its first and last step; momentum and batch size of its last.
    tuning_factor : float
        In its epoch that ends with the largest lr, per epoch.
    relaxation_epochs : float
        Epochs in which a small deviation of the norm falls by e, there; nan if unknown.
    """

    first: int
    last: int
    constant: bool
    lr: float
    last_lr: float
    momentum: float
    B: int
    tuning_factor: float
    relaxation_epochs: float

    @property
    def epochs(self) -> int:
        """How many."""
        return self.last - self.first + 1


def settings(timetable: Timetable, epoch: int) -> HyperParameters | None:
    """Constant hyperparameters equal to those of an epoch's last step (epochs from 0); None at lr 0."""
    hp = timetable.hyperparameters
    lr, momentum = timetable.lr_and_momentum(epoch)
    if lr[-1] * hp.wd < NEGLIGIBLE or lr[-1] < SMALLEST:
        return None
    return hp.replace(
        lr=float(lr[-1]), momentum=float(momentum[-1]), B=int(timetable.batch[epoch]), schedule="constant", epochs=1
    )


def phases(hp: HyperParameters, optimizer: str, gradients: Gradients) -> list[Phase]:
    """The phases of a run, in order.

    Parameters
    ----------
    hp : HyperParameters
        With epochs and schedule.
    optimizer : str
        A key of `sde_si.tune.effects.OPTIMIZERS`.
    gradients : Gradients
    """
    timetable = Timetable(hp)
    out = []
    for begin, end, constant in _runs(timetable):
        first = timetable.lr_and_momentum(begin)[0]
        lr, momentum = timetable.lr_and_momentum(end)
        top = begin if constant else max(range(begin, end + 1), key=lambda e: timetable.lr_and_momentum(e)[0][-1])
        now = settings(timetable, top)
        time = predicted(now, optimizer, gradients)["time_to_equilibrium"].predicted if now else None
        out.append(
            Phase(
                begin + 1, end + 1, constant, float(first[0]), float(lr[-1]), float(momentum[-1]),
                int(timetable.batch[end]), factor_of(now, optimizer) if now else 0.0,
                math.nan if time is None else time,
            )
        )  # fmt: skip
    return out


def _runs(timetable: Timetable) -> list[tuple[int, int, bool]]:
    """First and last epoch (from 0) of every stretch, and whether nothing changes in it; a restart begins a new one."""
    epochs = timetable.hyperparameters.epochs
    if timetable.hyperparameters.schedule == "constant":
        return [(0, epochs - 1, True)]
    runs: list[tuple[int, int, bool]] = []
    before: tuple[float, float, int] | None = None
    end = math.inf
    for epoch in range(epochs):
        lr, momentum = timetable.lr_and_momentum(epoch)
        constant = not (np.ptp(lr) or np.ptp(momentum))
        now = (float(lr[0]), float(momentum[0]), int(timetable.batch[epoch]))
        restart = now[0] > RESTART * end
        if runs and runs[-1][2] == constant and (now == before if constant else not restart):
            runs[-1] = (runs[-1][0], epoch, constant)
        else:
            runs.append((epoch, epoch, constant))
        before, end = now, float(lr[-1])
    return runs
