"""What tables of accuracies say in numbers: whether the best cell is on the diagonal, slopes, spreads of the angle.

All take plain arrays, so that made data with a known answer can test them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Column:
    """Where the best cell of one column is.

    Attributes
    ----------
    best, diagonal : int
        Rows of the best cell, and of the best cell on the diagonal (-1: the column has none).
    loss : float
        Mean accuracy of the best cell minus that of the diagonal's.
    stderr : float
        Of this difference; nan with one seed.
    """

    best: int
    diagonal: int
    loss: float
    stderr: float

    @property
    def verdict(self) -> str:
        """``on``, ``within`` one standard error, or ``off``; ``unknown`` without an error or a diagonal."""
        if self.best == self.diagonal:
            return "on"
        if self.diagonal < 0 or not math.isfinite(self.stderr):
            return "unknown"
        return "off" if self.loss > self.stderr else "within"


def columns(accuracy: Array, marked: Array) -> list[Column]:
    """Column by column, whether the best cell is off the diagonal, beyond one standard error of the difference.

    Seeds are paired where both cells have them: a seed decides subset and start of a whole column.

    Parameters
    ----------
    accuracy : ndarray, shape (row, column, seed)
        nan where a cell or a seed is missing.
    marked : ndarray of bool, shape (row, column)
    """
    means, out = seed_mean(accuracy), []
    for j in range(accuracy.shape[1]):
        there = np.isfinite(means[:, j])
        if not there.any():
            out.append(Column(-1, -1, math.nan, math.nan))
            continue
        best = int(np.nanargmax(means[:, j]))
        on = np.flatnonzero(marked[:, j] & there)
        if not on.size:
            out.append(Column(best, -1, math.nan, math.nan))
            continue
        diagonal = int(on[np.argmax(means[on, j])])
        gap = accuracy[best, j] - accuracy[diagonal, j]
        gap = gap[np.isfinite(gap)]
        error = float(gap.std(ddof=1) / math.sqrt(gap.size)) if gap.size > 1 else math.nan
        out.append(Column(best, diagonal, float(means[best, j] - means[diagonal, j]), error))
    return out


def seed_mean(values: Array) -> Array:
    """Mean over the last axis, over what is finite; nan where nothing is."""
    count = np.isfinite(values).sum(axis=-1)
    total = np.nansum(values, axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def best_value(means: Array, grid: Array) -> Array:
    """Logarithm of the best hyperparameter of each column.

    Vertex of the parabola through the best cell and its two neighbours in log(grid); the best cell itself at an edge of
    the grid, or where a neighbour is missing or equal.

    Parameters
    ----------
    means : ndarray, shape (..., row, column)
    grid : ndarray, shape (row,)
        Values of the hyperparameter, rising or falling by equal factors or not.

    Returns
    -------
    ndarray, shape (..., column)
        nan for a column without a number.
    """
    x, rows = np.log(grid), means.shape[-2]
    filled = np.where(np.isfinite(means), means, -np.inf)
    k = filled.argmax(axis=-2)
    at = x[k]
    if rows > 2:
        near = np.clip(k, 1, rows - 2)
        left, middle, right = (np.take_along_axis(means, (near + d)[..., None, :], -2)[..., 0, :] for d in (-1, 0, 1))
        before, after = x[near] - x[near - 1], x[near + 1] - x[near]
        with np.errstate(invalid="ignore", divide="ignore"):
            up, down = (middle - left) / before, (right - middle) / after
            vertex = (x[near - 1] + x[near]) / 2 - up * (before + after) / (2 * (down - up))
        inside = (k == near) & np.isfinite(vertex) & (down < up)
        at = np.where(inside, np.clip(vertex, *np.sort([x[near - 1], x[near + 1]], axis=0)), at)
    return np.where(np.isfinite(means).any(axis=-2), at, np.nan)


def slope(accuracy: Array, grid: Array, along: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Slope of log(best hyperparameter) against log(along), with a bootstrap interval over seeds.

    In every resample each column draws its seeds anew, together for all its rows, since they share subset and start.
    With three seeds such an interval is too narrow rather than too wide; it never is with one, where it is nan.

    Parameters
    ----------
    accuracy : ndarray, shape (row, column, seed)
    grid : ndarray, shape (row,)
        The tuned hyperparameter.
    along : ndarray, shape (column,)
        N or B.
    """
    value = float(_slope(seed_mean(accuracy), grid, along))
    seeds = accuracy.shape[2]
    if seeds < 2 or not math.isfinite(value):
        return Interval(value, math.nan, math.nan)
    drawn = np.random.default_rng(seed).integers(seeds, size=(resamples, 1, accuracy.shape[1], seeds))
    taken = np.take_along_axis(accuracy[None], drawn, axis=-1)
    return Interval(value, *_edges(_slope(seed_mean(taken), grid, along)))


def _slope(means: Array, grid: Array, along: Array) -> Any:
    """Least squares over the columns that have a best value, shape of `means` without its last two axes."""
    best = best_value(means, grid)
    there = np.isfinite(best)
    x = np.where(there, np.log(along), 0.0)
    count = np.maximum(there.sum(axis=-1), 1)
    centre = x.sum(axis=-1, keepdims=True) / count[..., None]
    away = np.where(there, x - centre, 0.0)
    size = (away**2).sum(axis=-1)
    total = (away * np.where(there, best, 0.0)).sum(axis=-1)
    return np.where(size > 0, total / np.where(size > 0, size, 1.0), np.nan)[()]


def _edges(found: Array) -> tuple[float, float]:
    found = found[np.isfinite(found)]
    if not found.size:
        return math.nan, math.nan
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def spread(angle: Array, first: Array) -> Any:
    """Relative spread of the angle per epoch between cells: standard deviation of its logarithm, averaged over epochs.

    Parameters
    ----------
    angle : ndarray, shape (..., cell, epoch)
        Means over seeds.
    first : ndarray of int, shape (cell,)
        Epoch (from 0) after each cell's transient; an epoch counts once at least two cells are past theirs.

    Returns
    -------
    ndarray or float, shape (...)
        nan where no epoch counts.
    """
    late = np.isfinite(angle) & (np.arange(angle.shape[-1]) >= np.asarray(first)[:, None])
    logs = np.log(np.where(late, angle, 1.0))
    count = late.sum(axis=-2)
    mean = np.where(late, logs, 0.0).sum(axis=-2) / np.maximum(count, 1)
    squares = np.where(late, (logs - mean[..., None, :]) ** 2, 0.0).sum(axis=-2)
    width = np.sqrt(squares / np.maximum(count - 1, 1))
    good = count >= 2
    total = np.where(good, width, 0.0).sum(axis=-1)
    return np.where(good.any(axis=-1), total / np.maximum(good.sum(axis=-1), 1), np.nan)[()]


def spreads(angle: Array, first: Array, equal: Array, *, seed: int = 0, resamples: int = 400) -> dict[str, Interval]:
    """`spread` over the cells of equal tuning factor, and over the others, with bootstrap intervals over seeds.

    Parameters
    ----------
    angle : ndarray, shape (cell, seed, epoch)
    first : ndarray of int, shape (cell,)
    equal : ndarray of bool, shape (cell,)
    """
    rng, seeds = np.random.default_rng(seed), angle.shape[1]
    out = {}
    for name, which in (("equal tuning factor", np.asarray(equal)), ("others", ~np.asarray(equal))):
        of, begin = angle[which], np.asarray(first)[which]
        value, found = float(spread(_mean_over_seeds(of), begin)), np.array([])
        if seeds > 1 and math.isfinite(value):
            drawn = rng.integers(seeds, size=(resamples, of.shape[0], seeds))
            taken = of[np.arange(of.shape[0])[:, None], drawn]  # resample, cell, seed, epoch
            found = spread(_mean_over_seeds(taken), begin)
        out[name] = Interval(value, *_edges(found))
    return out


def _mean_over_seeds(values: Array) -> Array:
    return seed_mean(np.moveaxis(values, -2, -1))


def transient_end(tuning_factor: Array | float, last_change: Array | int = 0) -> Array:
    """First epoch (from 0) after max(7/(4 tuning factor), 5) epochs: what is left of the transient is e^-7."""
    return np.asarray(last_change) + np.ceil(np.maximum(7 / (4 * np.asarray(tuning_factor)), 5)).astype(int)
