"""Scaling rules on noise alone, linear scaling with a mean gradient, batch growth instead of a falling lr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import style
from paper_figs.grid import with_error
from sde_si import theory
from sde_si.theory import predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from sde_si.run import Run

Array = np.ndarray
GROWTH, MU, FIELD_DIM = (1, 2, 4, 8, 16), 0.9, 16
RULES = {"lr × k": (1.0, 0.0), "wd × k": (0.0, 1.0), "lr × √k": (0.5, 0.0), "nothing": (0.0, 0.0)}  # powers: lr, wd
COURSES = {"lr / 4": "multi-step:10,20,30,factor=0.25", "B × 4": "batch-growth:10,4"}
EPOCHS = np.arange(1, 41)  # of the courses


@dataclass(frozen=True)
class Curve:
    """A quantity measured and predicted, all of one shape: (k,) at `GROWTH`, or (epoch,).

    Attributes
    ----------
    measured, error, exact, paper : ndarray
        With its standard error; by the exact prediction and by the paper's formula.
    sde : ndarray, optional
    """

    measured: Array
    error: Array
    exact: Array
    paper: Array
    sde: Array | None = None


@dataclass(frozen=True)
class Found:
    """Found in the simulations.

    Attributes
    ----------
    rules : dict of str to Curve
        Angle per epoch against k under `RULES`, in degrees.
    length : Curve
        E|x|^2 against k under linear scaling with a mean gradient, over that of noise alone.
    grown : float
        By how many per cent E|x|^2 is larger there at the largest k than at k = 1.
    courses : dict of str to Curve
        Angle per epoch against the epoch in `COURSES`, in degrees.
    steps : tuple of int
        Steps of an epoch under `RULES` at the smallest and the largest k, and of the last one with the grown batch.
    """

    rules: dict[str, Curve]
    length: Curve
    grown: float
    courses: dict[str, Curve]
    steps: tuple[int, int, int]


def epochs(factor: float) -> int:
    """For the transient of a tuning factor, of which e^-7 is left, and some at equilibrium."""
    return int(np.ceil(7 / (4 * factor))) + 15


def find(record: xr.Dataset, runs: Mapping[str, Run]) -> Found:
    """All curves; predictions are for the settings of the runs."""
    field = record.sel(cell=[f"field, k={k}" for k in GROWTH])
    norm, last = field["weight_norm_level"].values, runs[f"sgd-torch, {tuple(COURSES)[-1]}"].timetable.steps[-1]
    return Found(
        rules={rule: _angle(record, runs, [f"{rule}, k={k}" for k in GROWTH]) for rule in RULES},
        length=_length(field, runs["field, k=1"]),
        grown=100 * (norm[-1] ** 2 / norm[0] ** 2 - 1),
        courses={name: _course(record, runs, name) for name in COURSES},
        steps=(_steps(runs, GROWTH[0]), _steps(runs, GROWTH[-1]), int(last)),
    )


def _steps(runs: Mapping[str, Run], k: int) -> int:
    return runs[f"{next(iter(RULES))}, k={k}"].hyperparameters.steps_per_epoch


def _angle(record: xr.Dataset, runs: Mapping[str, Run], names: list[str]) -> Curve:
    """Of these cells at equilibrium."""
    cells, hps = record.sel(cell=names), [runs[name].hyperparameters for name in names]
    angle = np.array([theory.angle_of(float(versine)) for versine in cells["versine_epoch_level"]])
    laws = [1 - theory.lag_cosines(hp.steps_per_epoch, hp.intrinsic_lr, MU)[-1] for hp in hps]
    return Curve(
        measured=style.DEGREES * angle,
        error=style.DEGREES * (cells["versine_epoch_level_stderr"].values / np.sin(angle)),
        exact=style.DEGREES * np.array([theory.angle_of(float(versine)) for versine in laws]),
        paper=style.DEGREES * np.arccos([1 - hp.tuning_factor for hp in hps]),
    )


def _length(field: xr.Dataset, first: Run) -> Curve:
    """Of the cells on the field, of which `first` has k = 1."""
    hp, tau = first.hyperparameters, first.arrays.noise_variance * (FIELD_DIM - 1) / FIELD_DIM
    norm, error = field["weight_norm_level"].values, field["weight_norm_level_stderr"].values
    alone = np.sqrt(hp.lr * tau / (2 * hp.wd))  # lr/B, and so this, is the same for all k
    return Curve(
        measured=norm**2 / alone,
        error=2 * norm / alone * error,
        exact=np.sqrt(1 + field["signal_level"].values * np.array(GROWTH) / tau),
        paper=np.ones(len(GROWTH)),
    )


def _course(record: xr.Dataset, runs: Mapping[str, Run], name: str) -> Curve:
    record, said = record.sel(epoch=EPOCHS), predict(runs[f"sgd-torch, {name}"])
    found, sde = record.sel(cell=f"sgd-torch, {name}"), record.sel(cell=f"splitting, {name}")
    return Curve(
        measured=style.DEGREES * found["angle_epoch"].values,
        error=style.DEGREES * found["angle_epoch_stderr"].values,
        exact=style.DEGREES * said["angle_epoch_predicted"].values,
        paper=style.DEGREES * said["angle_epoch_paper"].values,
        sde=style.DEGREES * sde["angle_epoch"].values,
    )


def seen(found: Found) -> str:
    """How far each rule keeps the angle, what a mean gradient adds, and whether the two courses turn alike."""
    rules = "; ".join(f"{rule} {_kept(curve)}" for rule, curve in found.rules.items())
    one, other = (f"{with_error(c.measured[-1], c.error[-1])} ({c.exact[-1]:.3f})" for c in found.courses.values())
    first, last, grown = found.steps
    return (
        f"Angle per epoch at k = {GROWTH[-1]} over that at k = {GROWTH[0]}, measured (predicted): {rules}. Epochs have "
        f"{first} to {last} steps, the velocity remembers {1 / (1 - MU):.0f}: what the tuning factor keeps is kept as "
        "long as the former are many more. With a mean gradient linear scaling lets the length grow, by "
        f"{found.grown:.0f} % in E|x|^2 at k = {GROWTH[-1]}, where the noise dominates less. A falling lr and a "
        f"growing batch turn by {one} and {other} degrees in the last epoch, which has {grown} steps with the latter."
    )


def _kept(curve: Curve) -> str:
    ratio, law = (angle[-1] / angle[0] for angle in (curve.measured, curve.exact))
    error = ratio * np.hypot(*(curve.error[[0, -1]] / curve.measured[[0, -1]]))
    return f"{with_error(ratio, error)} ({law:.3f})"
