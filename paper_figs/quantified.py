"""What tables of accuracies say in numbers: whether the best cell is on the diagonal, slopes.

All take plain arrays, so that made data with a known answer can test them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paper_figs.seeds import RESAMPLES, Interval, edges, seed_error, seed_mean

Array = np.ndarray


@dataclass(frozen=True)
class Column:
    """Where the best cell of one column is.

    Attributes
    ----------
    best, diagonal : int
        Rows of the best cell, and of the best cell on the diagonal (-1: the column has none).
    rank : int
        Place of the latter among all cells of the column: 1 is the best; 0 if there is none.
    loss : float
        Mean accuracy of the best cell minus that of the diagonal's.
    stderr : float
        Of this difference; nan with one seed.
    """

    best: int
    diagonal: int
    rank: int
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

    Seeds are paired: a seed decides subset and start of a whole column. Cells of which a run diverged do not compete.

    Parameters
    ----------
    accuracy : ndarray, shape (row, column, seed)
        nan where a run diverged, or a cell is missing.
    marked : ndarray of bool, shape (row, column)
    """
    means, out = seed_mean(accuracy), []
    for j in range(accuracy.shape[1]):
        there = np.isfinite(means[:, j])
        if not there.any():
            out.append(Column(-1, -1, 0, math.nan, math.nan))
            continue
        best = int(np.nanargmax(means[:, j]))
        on = np.flatnonzero(marked[:, j] & there)
        if not on.size:
            out.append(Column(best, -1, 0, math.nan, math.nan))
            continue
        diagonal = int(on[np.argmax(means[on, j])])
        gap = accuracy[best, j] - accuracy[diagonal, j]
        rank = 1 + int((means[there, j] > means[diagonal, j]).sum())
        out.append(Column(best, diagonal, rank, float(gap.mean()), float(seed_error(gap))))
    return out


@functools.lru_cache
def off_by_chance(rows: int, marked: int, seeds: int, *, draws: int = 4000) -> float:
    """Probability that a column of cells that are all alike is said to be ``off`` by `columns`.

    Whoever takes the best of many compares a maximum with one: it exceeds one standard error often. With normal noise,
    by simulation, to about 0.01.
    """
    if seeds < 2 or not 0 < marked < rows:
        return 0.0
    alike = np.random.default_rng(0).standard_normal((rows, draws, seeds))
    marks = np.broadcast_to(np.arange(rows)[:, None] < marked, alike.shape[:2])
    return sum(one.verdict == "off" for one in columns(alike, marks)) / draws


def leading_by_chance(rows: int, marked: int, places: int) -> float:
    """Probability that a marked cell is among the first `places` of a column whose cells are all alike."""
    places = min(places, rows)
    return 1 - math.comb(rows - marked, places) / math.comb(rows, places) if places > 0 else 0.0


def at_least(count: int, chances: Sequence[float]) -> float:
    """Probability that `count` or more of independent events happen that have these probabilities."""
    law = np.ones(1)
    for one in chances:
        law = np.convolve(law, [1 - one, one])
    return float(law[count:].sum())


def at_end(means: Array) -> int:
    """Number of columns whose best cell is the first or the last of the grid: the best value may lie beyond it.

    Parameters
    ----------
    means : ndarray, shape (row, column)
    """
    there = means[:, np.isfinite(means).any(axis=0)]
    return int(np.isin(np.nanargmax(there, axis=0), (0, means.shape[0] - 1)).sum()) if there.size else 0


def best_value(means: Array, grid: Array) -> Array:
    """Logarithm of the best hyperparameter of each column.

    Vertex of the parabola through the best cell and its two neighbours in log(grid); the best cell itself at an edge of
    the grid, or where a neighbour is missing.

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
        inside = (k == near) & np.isfinite(vertex) & ((down - up) * (before + after) < 0)  # also where the grid falls
        at = np.where(inside, np.clip(vertex, *np.sort([x[near - 1], x[near + 1]], axis=0)), at)
    return np.where(np.isfinite(means).any(axis=-2), at, np.nan)


def slope(accuracy: Array, grid: Array, along: Array, *, seed: int = 0, resamples: int = RESAMPLES) -> Interval:
    """Slope of log(best hyperparameter) against log(along), with a bootstrap interval over seeds.

    In every resample each column draws its seeds anew, together for all its rows, since they share subset and start.
    With three seeds such an interval is too narrow rather than too wide; with one there is none. Where the best value
    stands at an end of the grid (`at_end`) the slope is that of what the grid lets be seen.

    Parameters
    ----------
    accuracy : ndarray, shape (row, column, seed)
    grid : ndarray, shape (row,)
        The tuned hyperparameter.
    along : ndarray, shape (column,)
        N or B.
    """
    accuracy = np.where(np.isfinite(accuracy).all(axis=2, keepdims=True), accuracy, np.nan)
    value, seeds = float(_slope(seed_mean(accuracy), grid, along)), accuracy.shape[2]
    if seeds < 2 or not math.isfinite(value):
        return Interval(value, math.nan, math.nan)
    drawn = np.random.default_rng(seed).integers(seeds, size=(resamples, 1, accuracy.shape[1], seeds))
    taken = np.take_along_axis(accuracy[None], drawn, axis=-1)
    return Interval(value, *edges(_slope(seed_mean(taken), grid, along)))


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
