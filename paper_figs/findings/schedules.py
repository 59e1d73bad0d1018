"""Angle per epoch under every schedule of the simulator: simulated, exact, and by the formula read epoch by epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sde_si.theory import predict
from validation.experiments.catalogue.schedules import schedules

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.run import Run

Array = np.ndarray
EPOCHS = 60
SCHEDULES = schedules(EPOCHS)
TOLD = 4  # schedules of which the formula's error is told, the largest first


@dataclass(frozen=True)
class Course:
    """Angle per epoch under one schedule, in radians.

    Attributes
    ----------
    epoch : ndarray, shape (epoch,)
        Counted from 1.
    mean, error : ndarray, shape (epoch,)
        The optimizer's, with its standard error over paths.
    sde, exact, formula : ndarray, shape (epoch,)
        Of the SDE, of the recursion of the second moments, and of the paper's formula with each epoch's own rate.
    rate : ndarray, shape (epoch,)
        Mean learning rate of the epoch over its batch size.
    """

    epoch: Array
    mean: Array
    error: Array
    sde: Array
    exact: Array
    formula: Array
    rate: Array

    @property
    def factor(self) -> float:
        """Largest factor in any epoch between the formula and the exact course, at least 1."""
        return float(np.exp(np.max(np.abs(np.log(self.formula / self.exact)))))


def find(record: xr.Dataset, known: Mapping[str, Run]) -> dict[str, Course]:
    """Of every schedule by name; `known` are the runs that the record was simulated from."""
    return {name: _course(record, name, known[f"sgd-torch: {name}"]) for name in SCHEDULES}


def _course(record: xr.Dataset, name: str, one: Run) -> Course:
    sgd, theory, plan = record.sel(cell=f"sgd-torch: {name}"), predict(one), one.timetable
    return Course(
        epoch=record["epoch"].values,
        mean=sgd["angle_epoch"].values,
        error=sgd["angle_epoch_stderr"].values,
        sde=record.sel(cell=f"splitting: {name}")["angle_epoch"].values,
        exact=theory["angle_epoch_predicted"].values,
        formula=theory["angle_epoch_paper"].values,
        rate=np.array([plan.lr_and_momentum(epoch)[0].mean() for epoch in range(EPOCHS)]) / plan.batch,
    )


def seen(found: Mapping[str, Course]) -> str:
    """Where the formula is worst, and why."""
    worst = sorted(found, key=lambda name: -found[name].factor)[:TOLD]
    text = f"""the recursion of the second moments follows every schedule, momentum cycled or not. Largest errors in any
    epoch of the formula that is read with each epoch's own rate:
    {", ".join(f"{name} (factor {found[name].factor:.2g})" for name in worst)}; without a change it is off by a factor
    of {found["constant"].factor:.2f}. Falling rates turn the weights far less than the formula, since the length has
    not shrunk yet; after SGDR's restarts it is short and they turn more. The SDE keeps its velocity through a drop,
    which torch's form of momentum does not: hence its larger angle in the first epoch after one."""
    return " ".join(text.split())
