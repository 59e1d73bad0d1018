"""Values with the error between networks: seeds are the independent units, and few of them need Student's t.

Networks of one setting differ from each other by more than the epochs of one do, and windows of ten epochs recorded
every epoch overlap. So with three seeds or more every error is that between seeds; with fewer there is nothing but
batches of epochs, and every result says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sde_si.estimators import Window, equilibrium, jackknife, mean_and_error
from sde_si.verify.claim import HOLDS, REFUTED, UNDECIDED
from validation.compare.window import living

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
FEWEST_SEEDS = 3
BATCHES = 10  # of the epochs of a seed, where the seeds are too few
LEVEL = 0.975  # of Student's t: 95 % lie within


@dataclass(frozen=True)
class Known:
    """A value, its standard error, and on how many independent units, less one, that error rests."""

    value: float
    stderr: float
    freedom: int

    @property
    def reach(self) -> float:
        """Half of the 95 % interval, by Student's t; nan where the error is unknown."""
        from scipy.stats import t

        return float(t.ppf(LEVEL, self.freedom)) * self.stderr if self.freedom > 0 else float("nan")


def by_seeds(record: xr.Dataset) -> bool:
    """Whether the errors are those between networks: three or more that lived."""
    return living(record).sizes["path"] >= FEWEST_SEEDS


def how(record: xr.Dataset) -> str:
    """Where the errors come from, in words."""
    count = living(record).sizes["path"]
    few = "1 seed alone" if count == 1 else f"{count} seeds alone"
    if not by_seeds(record):
        return f"errors by batches of epochs, too small where networks differ: {few}"
    return f"errors between {count} seeds"


def batch_means(samples: Array) -> Array:
    """Means of up to ten batches of consecutive epochs of each seed (path, epoch): nearly independent for one seed."""
    samples = samples[:, np.isfinite(samples).any(axis=0)]
    count = min(BATCHES, samples.shape[1])
    return np.array([np.nanmean(part) for row in samples for part in np.array_split(row, count)] if count else [])


def mean(samples: Array) -> Known:
    """Mean of values (path, epoch) of seeds that lived; epochs that no seed has are left out."""
    parts = samples[:, np.isfinite(samples).all(axis=0)]
    if not parts.size:
        return Known(np.nan, np.nan, 0)
    parts = parts.mean(axis=1) if len(parts) >= FEWEST_SEEDS else batch_means(parts)
    found = mean_and_error(parts)
    return Known(found.value, found.stderr, len(parts) - 1)


def left_out(reduce: Callable[[Array], Array], seeds: int) -> tuple[Array, Array]:
    """``reduce(indices of seeds)`` of all of them, and its standard error by leaving out each in turn."""
    return jackknife(reduce, seeds, seeds)


def settled(record: xr.Dataset, used: Window, name: str) -> Known:
    """A quantity of `sde_si.estimators.equilibrium`, with the error between seeds if there are three or more."""
    record = living(record)
    count = record.sizes["path"]
    if not used or not by_seeds(record):
        found = equilibrium(record, used, name)  # its errors are those of batches of epochs, for so few
        epochs = len(range(record.sizes["epoch"])[used.epochs]) if used else 0
        return Known(found.value, found.stderr, max(0, count * min(BATCHES, epochs) - 1))

    def value(which: Array) -> Array:
        return np.array(equilibrium(record.isel(path=which), used, name).value)

    found, error = left_out(value, count)
    return Known(float(found), float(error), count - 1)


def decide(off: Known, bound: float) -> str:
    """Whether a relative deviation lies within `bound`: "holds" or "refuted" if its whole 95 % interval says so."""
    if abs(off.value) + off.reach < bound:
        return HOLDS
    return REFUTED if abs(off.value) - off.reach > bound else UNDECIDED
