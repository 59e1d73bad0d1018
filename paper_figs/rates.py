"""Effective rates in a record of Kodryan et al.'s experiment: fixed ones, those of ordinary training, and collapses."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from paper_figs import networks
from sde_si.regimes import CONVERGENCE, UNDECIDED

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
FALL = 0.5  # share of the rate that a collapse leaves at most


@dataclass(frozen=True)
class FixedRates:
    """Cells on the sphere, in the order of their rates.

    Attributes
    ----------
    cells : ndarray of int, shape (rate,)
        Where in the record they are.
    rates : ndarray, shape (rate,)
        Effective learning rates, per step.
    regimes : ndarray of str, shape (rate,)
        Names of `sde_si.regimes`.
    """

    cells: Array
    rates: Array
    regimes: Array

    @property
    def converging(self) -> Array:
        """Which of them converge, shape (rate,)."""
        return self.regimes == CONVERGENCE

    @property
    def threshold(self) -> tuple[float, float]:
        """Highest rate that converges, and the lowest above it in another regime; nan where there is none."""
        low = max(self.rates[self.converging], default=np.nan)
        other = ~np.isin(self.regimes, (CONVERGENCE, UNDECIDED)) & (self.rates > low)
        return float(low), float(min(self.rates[other], default=np.nan))


class Course(NamedTuple):
    """Loss, gradient norm on the unit sphere over it, effective LR, that by the recursion; shape ([seed,] epoch)."""

    loss: Array
    slope: Array
    rate: Array
    law: Array


class Training(NamedTuple):
    """One seed: its number, its course, epochs (from 0) before and after each collapse of its rate."""

    seed: int
    course: Course
    collapses: list[tuple[int, int]]

    @property
    def parts(self) -> list[tuple[int, int]]:
        """First epochs (from 0) of the parts between collapses, and those after their last."""
        return list(pairwise([0, *(start + 1 for start, _ in self.collapses), self.course.rate.size]))

    @property
    def kept(self) -> float:
        """Largest relative distance of the rate from the recursion from epoch 2 to the first collapse."""
        end = self.collapses[0][0] + 1 if self.collapses else None
        return np.abs((self.course.rate / self.course.law)[1:end] - 1).max(initial=0.0)


def fixed_rates(record: xr.Dataset) -> FixedRates:
    """Those of a record."""
    cells = np.array(networks.pick(record, training="sphere"))
    cells = cells[np.argsort(record["fixed"].values[cells])]
    return FixedRates(cells, record["fixed"].values[cells], record["regime"].values[cells].astype(str))


def course(record: xr.Dataset, i: int) -> Course:
    """All seeds of one cell."""
    names = ("train_loss", "gradient", "weight_norm", "weight_norm_predicted")
    (loss, square, norm, said), lr = (networks.of_cell(record, i, name) for name in names), record["lr_end"].values[i]
    return Course(loss, np.sqrt(square) / loss, lr / norm**2, lr / said**2)


def trainings(record: xr.Dataset, i: int) -> list[Training]:
    """One cell, seed by seed."""
    each = [Course(*values) for values in zip(*course(record, i), strict=True)]
    return [Training(int(k), one, collapses(one.rate)) for k, one in zip(record["seed"].values, each, strict=True)]


def collapses(rate: Array) -> list[tuple[int, int]]:
    """Epochs (from 0) before and after each fall, without a rise between, to below `FALL`; of a course (epoch,)."""
    falling = np.flatnonzero(np.diff(rate) < 0)
    parts = np.split(falling, np.flatnonzero(np.diff(falling) > 1) + 1)
    return [(part[0], part[-1] + 1) for part in parts if part.size and rate[part[-1] + 1] < FALL * rate[part[0]]]
