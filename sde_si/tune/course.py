"""What a schedule will do, before it is run: angle per epoch, norm and effective LR (theory.md 9.10, 10.8)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import finite
from sde_si.errors import require
from sde_si.hyperparameters import HyperParameters
from sde_si.resolve import read_norm
from sde_si.schedules import Timetable
from sde_si.tune.ahead import of_schedule
from sde_si.tune.effects import (
    LENGTHS,
    Gradients,
    find_optimizer,
    is_decoupled,
    is_sgd,
    predicted,
    run_of,
)
from sde_si.tune.explanation import Explanation
from sde_si.tune.lag import lag
from sde_si.tune.phases import Phase, first_settings, phases, settings, way
from sde_si.tune.stretch import REACHED, Stretch

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
COURSE = ("angle_epoch", "angle_step", "weight_norm", "effective_lr")  # what is told epoch by epoch
ADAPTIVE = (*COURSE[:-1], "relative_update")  # of optimizers whose update does not shrink with |x|
SPENT = math.log(1 / REACHED)  # relaxation times after which a small deviation is within REACHED


def explain(
    hyperparameters: HyperParameters,
    *,
    optimizer: str = "sgd",
    init_norm: float | str = "1eq",
    noise_trace: float | None = None,
) -> Explanation:
    """Predict angle per epoch, norm and effective LR over a whole schedule.

    Parameters
    ----------
    hyperparameters : HyperParameters
        With epochs and schedule.
    optimizer : str
        ``sgd`` (torch's form of momentum), ``sgdw``, ``adamw`` or ``lion``; the last two: equilibrium values and times.
    init_norm : float or str
        Length of the weights at the start, which needs `noise_trace`, or a multiple of that at the equilibrium of the
        first lr that is used: ``"0.3eq"``.
    noise_trace : float, optional
        Trace of the minibatch noise at the unit vector for B: then norm and effective LR are absolute.

    Returns
    -------
    Explanation

    Raises
    ------
    BadInput

    Examples
    --------
    >>> hp = HyperParameters(N=50_000, B=128, lr=0.1, wd=2e-4, epochs=300, schedule="multi-step:150,225")
    >>> [one.reached for one in explain(hp).stretches]
    [1, None, None]
    """
    from sde_si.theory import predict

    find_optimizer(optimizer)
    length, multiple = read_norm(init_norm)
    require(multiple or noise_trace is not None, "init_norm",
            "a multiple of the equilibrium length (without a noise trace absolute lengths mean nothing)", init_norm,
            f"{length:g}eq or --noise-trace 3")  # fmt: skip
    absolute = noise_trace is not None and not multiple
    require(
        hyperparameters.wd > 0 or absolute, "wd", "weight decay above 0, or a noise trace and a length at the start",
        hyperparameters.wd, "--noise-trace 3 --init-norm 10",
    )  # fmt: skip
    gradients = Gradients(B=hyperparameters.B, noise_trace=noise_trace)
    start = first_settings(Timetable(hyperparameters))
    first = predicted(start, optimizer, gradients)
    unit = first["weight_norm"].predicted
    run = run_of(hyperparameters, optimizer, gradients, length * unit if multiple and unit else init_norm)
    timetable = run.timetable
    record = predict(run)
    relative = noise_trace is None or not is_sgd(optimizer)
    names = COURSE if is_sgd(optimizer) else ADAPTIVE
    units = {name: (first[name].predicted or math.nan) if relative and name in LENGTHS else 1.0 for name in names}
    unknown = np.full(hyperparameters.epochs, math.nan)
    told = {name: record.get(f"{name}_predicted") for name in names}
    known = {name: unknown if one is None else one.values for name, one in told.items()}
    if "effective_lr" in known:
        # The record's is of the last step's lr, as it is measured; here, as at equilibrium, an epoch has its mean.
        lrs = [float(timetable.lr_and_momentum(e)[0].mean()) for e in range(hyperparameters.epochs)]
        known["effective_lr"] = np.array(lrs) / known["weight_norm"] ** 2
    course = {name: values / units[name] for name, values in known.items()}
    apart = is_decoupled(optimizer)
    ideal = [settings(timetable, e, decoupled=apart) for e in range(hyperparameters.epochs)]
    rows = [predicted(hp, optimizer, gradients) if hp else None for hp in ideal]
    balance = {name: np.array([_value(row, name) for row in rows]) / units[name] for name in names}
    found = phases(hyperparameters, optimizer, gradients) if hyperparameters.wd else _without_decay(timetable)
    return Explanation(
        hyperparameters=hyperparameters, optimizer=optimizer, relative=relative, first_lr=start.lr, course=course,
        equilibrium=balance,
        paper=_paper(record, optimizer),
        stretches=tuple(_stretch(phase, course, balance, end=phase is found[-1]) for phase in found),
        warnings=of_schedule(hyperparameters, optimizer, gradients),
    )  # fmt: skip


def _value(row: Mapping[str, Any] | None, name: str) -> float:
    value = row[name].predicted if row else None
    return math.nan if value is None else value


def _paper(record: xr.Dataset, optimizer: str) -> Array:
    values = record["angle_epoch_paper"].values
    return values if is_sgd(optimizer) else np.full(values.shape, math.nan)


def _without_decay(timetable: Timetable) -> list[Phase]:
    """One phase: the norm grows for ever."""
    hp = timetable.hyperparameters
    lr, momentum = timetable.lr_and_momentum(hp.epochs - 1)
    first = float(timetable.lr_and_momentum(0)[0][0])
    constant = hp.schedule == "constant"
    last = int(timetable.batch[-1])
    every = (timetable.lr_and_momentum(e)[0] for e in range(hp.epochs))
    lrs = way(v for each in every for v in (each[0], each.max(), each.min(), each[-1]))
    end = (float(lr[-1]), float(momentum[-1]))
    return [Phase(1, hp.epochs, constant, first, *end, last, 0.0, math.inf, lrs)]


def _stretch(phase: Phase, course: Mapping[str, Array], balance: Mapping[str, Array], *, end: bool) -> Stretch:
    """How far a phase comes: by its predicted angles, or, without them, by its relaxation alone."""
    inside = slice(phase.first - 1, phase.last)
    angles, ideal = course["angle_epoch"][inside], balance["angle_epoch"][inside]
    reached: int | None = None
    if np.isfinite(angles).all() and np.isfinite(ideal).all():
        off = np.flatnonzero(np.abs(angles / ideal - 1) > REACHED)
        begin = int(off[-1]) + 1 if off.size else 0
        if begin < (angles.size if phase.constant else angles.size / 2):
            reached = phase.first + begin
    elif phase.constant and phase.epochs >= SPENT * phase.relaxation_epochs:
        reached = phase.first + math.ceil(SPENT * phase.relaxation_epochs)
    told, balanced = (tuple(finite(v) for v in way(values)) for values in (angles, ideal))
    norm = finite(float(course["weight_norm"][phase.last - 1] / balance["weight_norm"][phase.last - 1]))
    return Stretch(phase, told, balanced, reached, norm, lag(phase, end=end))
