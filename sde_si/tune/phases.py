"""The phases of a schedule, and whether the weights come to equilibrium in each (theory.md 10.7, 10.8)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sde_si.hyperparameters import NEGLIGIBLE, SMALLEST, HyperParameters
from sde_si.schedules import Timetable
from sde_si.tune.effects import Gradients, factor_of, is_decoupled, is_sgd, predicted

RESTART = 2.0  # factor by which lr jumps up from one step to the next
BEYOND = 1.01  # factor beyond both ends from which an extreme in between is told
SAMPLES = 33  # epochs of a changing phase whose relaxation is computed; its rate is smooth in between


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
        In its epoch of the largest mean lr, per epoch.
    relaxation_epochs : float
        Epochs in which a small deviation of the norm falls by e, there; nan if unknown.
    lrs : tuple of float
        lr at the first step, its extreme in between if that lies beyond both ends (`way`), and at the last step.
    times : tuple of float
        `relaxation_epochs` of every epoch if something changes in it, inf at lr 0; else empty.
    power : int
        p of the first-order relaxation 1/(p T): 4 where |x|^4 relaxes, 2 with AdamW and Lion (theory.md 6.5, 6.7).
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
    lrs: tuple[float, ...]
    times: tuple[float, ...] = ()
    power: int = 4

    @property
    def epochs(self) -> int:
        """How many."""
        return self.last - self.first + 1


def way(values: Iterable[float]) -> tuple[float, ...]:
    """First and last, and between them the largest (else the smallest) if it lies beyond both."""
    known = np.asarray(list(values), dtype=float)
    first, last = float(known[0]), float(known[-1])
    if not np.isfinite(known).all():
        return first, last
    top, bottom = float(known.max()), float(known.min())
    if top > BEYOND * max(first, last):
        return first, top, last
    return (first, bottom, last) if BEYOND * bottom < min(first, last) else (first, last)


def settings(timetable: Timetable, epoch: int, *, decoupled: bool = False) -> HyperParameters | None:
    """Constant hyperparameters that have the mean tuning factor of an epoch's steps (epochs from 0); None at lr 0.

    The papers' angle of an epoch (`sde_si.theory.predict.paper_course`) is that of the same mean. Momentum is its mean
    over the steps; so is lr, where momentum stays or decay is decoupled.
    """
    hp = timetable.hyperparameters
    lrs, momenta = timetable.lr_and_momentum(epoch)
    lr, momentum = float(lrs[0]), float(momenta[0])
    if np.ptp(lrs) or np.ptp(momenta):
        momentum = float(np.mean(momenta)) if np.ptp(momenta) else momentum
        lr = float(np.mean(lrs if decoupled else lrs * (1 - momentum) / (1 - momenta)))
    if lr * hp.wd < NEGLIGIBLE or lr < SMALLEST:
        return None
    return hp.replace(lr=lr, momentum=momentum, B=int(timetable.batch[epoch]), schedule="constant", epochs=1)


def first_settings(timetable: Timetable) -> HyperParameters:
    """Constant hyperparameters equal to those of the first step whose lr is above 0 (within rounding)."""
    hp = timetable.hyperparameters
    for epoch in range(hp.epochs) if hp.schedule != "constant" else ():
        lr, momentum = timetable.lr_and_momentum(epoch)
        used = np.flatnonzero((lr * hp.wd >= NEGLIGIBLE if hp.wd else lr > 0) & (lr >= SMALLEST))
        if used.size:
            i = int(used[0])
            return hp.replace(lr=float(lr[i]), momentum=float(momentum[i]), B=int(timetable.batch[epoch]),
                              schedule="constant", epochs=1)  # fmt: skip
    return hp.replace(schedule="constant", epochs=1)


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
        top = begin if constant else max(range(begin, end + 1), key=lambda e: timetable.lr_and_momentum(e)[0].mean())
        now = settings(timetable, top, decoupled=is_decoupled(optimizer))
        lrs, times = (float(first[0]), float(lr[-1])), ()
        if not constant:
            ends = [timetable.lr_and_momentum(e)[0] for e in range(begin, end + 1)]
            lrs = way(v for each in ends for v in (each[0], each.max(), each.min(), each[-1]))
            times = _times(timetable, (begin, top, end), optimizer, gradients)
        out.append(
            Phase(
                begin + 1, end + 1, constant, lrs[0], lrs[-1], float(momentum[-1]), int(timetable.batch[end]),
                factor_of(now, optimizer) if now else 0.0, _time(now, optimizer, gradients), lrs, times,
                4 if is_sgd(optimizer) else 2,
            )
        )  # fmt: skip
    return out


def _time(now: HyperParameters | None, optimizer: str, gradients: Gradients) -> float:
    time = predicted(now, optimizer, gradients)["time_to_equilibrium"].predicted if now else None
    return math.nan if time is None else time


def _times(
    timetable: Timetable, epochs: tuple[int, int, int], optimizer: str, gradients: Gradients
) -> tuple[float, ...]:
    """Relaxation in every epoch from the first to the last of `epochs`; that in the middle is computed, too."""
    begin, top, end = epochs
    known = sorted({*np.linspace(begin, end, SAMPLES).round().astype(int).tolist(), top})
    ideal = [settings(timetable, e, decoupled=is_decoupled(optimizer)) for e in known]
    # The rate goes as lr: it, and not the time, is interpolated, and is 0 where lr is.
    rates = [1 / time if (time := _time(hp, optimizer, gradients)) > 0 else 0.0 for hp in ideal]
    each = np.interp(np.arange(begin, end + 1), known, rates)
    return tuple(1 / rate if rate else math.inf for rate in each.tolist())


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
