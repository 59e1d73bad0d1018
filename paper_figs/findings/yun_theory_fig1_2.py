"""Effective learning rates and angles per epoch of well-tuned and of poorly tuned combinations, with noise alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from paper_figs import style
from sde_si.theory import predict

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from sde_si.run import Run

Array = np.ndarray
Combination: TypeAlias = tuple[int, int, float, float]  # N, B, lr, wd
# the best of each of the paper's six searches in its tables 1 and 3
WELL: tuple[Combination, ...] = (
    (50000, 256, 0.4, 1e-4), (50000, 256, 0.1, 8e-4), (50000, 1024, 0.4, 4e-4), (25000, 128, 0.4, 1e-4),
    (12500, 128, 0.1, 8e-4), (6250, 128, 0.2828, 2.828e-4),
)  # fmt: skip
POOR: tuple[Combination, ...] = (
    (50000, 128, 0.1, 6.4e-3), (50000, 256, 3.2, 1e-4), (6250, 128, 0.1, 1e-4), (12500, 128, 0.1, 2e-4),
)  # fmt: skip
SETTLED = 139  # index of an epoch after the transients and before the first drop
RATE, RATE_PER_EPOCH, ANGLE = "effective_lr", "effective_lr_epoch", "angle_epoch"


@dataclass(frozen=True)
class Course:
    """One combination.

    Attributes
    ----------
    name : str
        N, B, lr, wd.
    tuning_factor : float
    measured, error, sde, exact : dict of str to ndarray, shape (epoch,)
        Of the optimizer, with its standard error, by the SDE and exact: `RATE`, `RATE_PER_EPOCH`, `ANGLE` in degrees.
    paper : ndarray, shape (epoch,)
        The angle by eq. 27.
    """

    name: str
    tuning_factor: float
    measured: dict[str, Array]
    error: dict[str, Array]
    sde: dict[str, Array]
    exact: dict[str, Array]
    paper: Array


@dataclass(frozen=True)
class Found:
    """All courses.

    Attributes
    ----------
    epoch : ndarray, shape (epoch,)
    well, poor : tuple of Course
    """

    epoch: Array
    well: tuple[Course, ...]
    poor: tuple[Course, ...]


def label(N: int, B: int, lr: float, wd: float) -> str:
    """A combination in words."""
    return f"{N // 1000 if N % 1000 == 0 else N / 1000:g}k, {B}, {lr:g}, {wd:g}"


def find(record: xr.Dataset, runs: Mapping[str, Run]) -> Found:
    """All courses, with what the settings of the runs predict."""
    well, poor = (tuple(_course(record, runs, *one) for one in group) for group in (WELL, POOR))
    return Found(record["epoch"].values, well, poor)


def _course(record: xr.Dataset, runs: Mapping[str, Run], N: int, B: int, lr: float, wd: float) -> Course:
    name = label(N, B, lr, wd)
    found, sde = (record.sel(cell=f"{method}: {name}") for method in ("sgd-torch", "splitting"))
    run = runs[f"sgd-torch: {name}"]
    said = predict(run)

    def shown(of: xr.Dataset, ending: str = "") -> dict[str, Array]:
        rate, angle = of[f"effective_lr{ending}"].values, of[f"angle_epoch{ending}"].values
        return {RATE: rate, RATE_PER_EPOCH: N / B * rate, ANGLE: style.DEGREES * angle}

    return Course(
        name=name,
        tuning_factor=run.hyperparameters.tuning_factor,
        measured=shown(found),
        error=shown(found, "_stderr"),
        sde=shown(sde),
        exact=shown(said, "_predicted"),
        paper=style.DEGREES * said["angle_epoch_paper"].values,
    )


def seen(found: Found) -> str:
    """How far both kinds turn, and what the drops do."""
    well, poor = ([one.measured[ANGLE][SETTLED] for one in group] for group in (found.well, found.poor))
    factors, first = [one.tuning_factor for one in found.well], found.well[0]
    return (
        f"without any network the well-tuned combinations turn by {min(well):.1f} to {max(well):.1f} degrees an epoch "
        f"before the first drop, because their tuning factors are {min(factors):.3f} to {max(factors):.3f} (the grids "
        f"have steps of 2), and the poorly tuned by {min(poor):.1f} to {max(poor):.1f}: figure 2 shows tuning factors, "
        "nothing of the network. The drops are not what eq. 27 says: there the angle falls with lr, not with its "
        f"root, and in the last phase the first combination turns by {first.measured[ANGLE][-1]:.2f} degrees instead "
        f"of {first.paper[-1]:.2f}, because the length has no time to follow."
    )
