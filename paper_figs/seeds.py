"""Numbers over seeds: mean, standard error, bootstrap interval. A cell of which a run diverged has none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from paper_figs.grid import with_error

Array = np.ndarray
RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A value with its bootstrap interval; `low` and `high` are nan where nothing can be resampled."""

    value: float
    low: float
    high: float

    def holds(self, number: float) -> bool:
        """Whether the interval contains a number."""
        return self.low <= number <= self.high

    def __str__(self) -> str:
        known = math.isfinite(self.low)
        return f"{self.value:+.2f} " + (f"[{self.low:+.2f}, {self.high:+.2f}]" if known else "(no interval)")


def seed_mean(values: Array) -> Array:
    """Mean over the last axis; nan where a seed has no number."""
    return values.mean(axis=-1)


def seed_error(values: Array) -> Array:
    """Standard error of `seed_mean`; nan with one seed, and where a seed has no number."""
    seeds = values.shape[-1]
    return values.std(axis=-1, ddof=1) / math.sqrt(seeds) if seeds > 1 else np.full(values.shape[:-1], math.nan)


def edges(found: Array) -> tuple[float, float]:
    """Bounds of the interval, from resampled values; nan if there are none."""
    found = found[np.isfinite(found)]
    if not found.size:
        return math.nan, math.nan
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def of_seeds(values: Array, digits: int = 2) -> str:
    """Mean and standard error over seeds, shape (seed,), in words."""
    return with_error(float(seed_mean(values)), float(seed_error(values)), digits, "not in every run")


def listed(values: Array, digits: int) -> str:
    """The same of every row of values (row, seed)."""
    return ", ".join(of_seeds(row, digits) for row in values)
