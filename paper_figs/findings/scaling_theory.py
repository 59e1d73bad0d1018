"""Scaling rules on noise alone, linear scaling with a mean gradient, batch growth instead of a falling lr."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import style
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
    """

    rules: dict[str, Curve]
    length: Curve
    grown: float
    courses: dict[str, Curve]


def epochs(factor: float) -> int:
    """For the transient of a tuning factor, of which e^-7 is left, and some at equilibrium."""
    return int(np.ceil(7 / (4 * factor))) + 15


def find(record: xr.Dataset, runs: Mapping[str, Run]) -> Found:
    """All curves; predictions are for the settings of the runs."""
    field = record.sel(cell=[f"field, k={k}" for k in GROWTH])
    norm = field["weight_norm_level"].values
    return Found(
        rules={rule: _angle(record, runs, [f"{rule}, k={k}" for k in GROWTH]) for rule in RULES},
        length=_length(field, runs["field, k=1"]),
        grown=100 * (norm[-1] ** 2 / norm[0] ** 2 - 1),
        courses={name: _course(record, runs, name) for name in COURSES},
    )


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
    """Which rules keep the angle, what a mean gradient adds, and whether the two courses turn alike."""
    ends = [course.measured[-1] for course in found.courses.values()]
    return (
        "lr × k and wd × k keep the angle as long as an epoch has many more steps than the velocity remembers (here "
        "800 to 50, memory 10); lr × √k and no change do not. With a mean gradient linear scaling lets the length "
        f"grow, by {found.grown:.0f} % in E|x|^2 at k = 16, where the noise dominates less. A falling lr and a growing "
        f"batch turn alike as long as epochs have many steps: {ends[0]:.2f} against {ends[1]:.2f} degrees in the last "
        "epoch, of 25 steps with the grown batch."
    )
