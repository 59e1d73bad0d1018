"""How much the angle per epoch differs between cells of equal tuning factor, and between others."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from paper_figs.seeds import Interval, edges, seed_mean

Array = np.ndarray


class Spread(NamedTuple):
    """Relative spread of the angle between cells.

    Attributes
    ----------
    interval : Interval
        Standard deviation of the angle's logarithm over cells, averaged over epochs.
    counted, cells : int
        Cells that are past their transient in the last epoch, and all of the kind.
    """

    interval: Interval
    counted: int
    cells: int


def spread(angle: Array, first: Array, epochs: Array | None = None) -> Any:
    """Relative spread of the angle per epoch between cells: standard deviation of its logarithm, averaged over epochs.

    Parameters
    ----------
    angle : ndarray, shape (..., cell, epoch)
        Means over seeds.
    first : ndarray of int, shape (cell,)
        Epoch (from 0) after each cell's transient; an epoch counts once at least two cells are past theirs.
    epochs : ndarray of bool, shape (epoch,), optional
        Which epochs may count; default: all.

    Returns
    -------
    ndarray or float, shape (...)
        nan where no epoch counts.
    """
    late = _late(angle, first)
    logs = np.log(np.where(late, angle, 1.0))
    count = late.sum(axis=-2)
    mean = np.where(late, logs, 0.0).sum(axis=-2) / np.maximum(count, 1)
    squares = np.where(late, (logs - mean[..., None, :]) ** 2, 0.0).sum(axis=-2)
    width = np.sqrt(squares / np.maximum(count - 1, 1))
    good = (count >= 2) & (True if epochs is None else epochs)
    total = np.where(good, width, 0.0).sum(axis=-1)
    return np.where(good.any(axis=-1), total / np.maximum(good.sum(axis=-1), 1), np.nan)[()]


def _late(angle: Array, first: Array) -> Array:
    """Which angles there are after the transient, shape (..., cell, epoch)."""
    return np.isfinite(angle) & (np.arange(angle.shape[-1]) >= np.asarray(first)[:, None])


def spreads(angle: Array, first: Array, equal: Array, *, seed: int = 0, resamples: int = 400) -> dict[str, Spread]:
    """`spread` over the cells of equal tuning factor, and over the others, with bootstrap intervals over seeds.

    Both over the same epochs: those in which two cells of either kind are past their transients.

    Parameters
    ----------
    angle : ndarray, shape (cell, seed, epoch)
        nan where a run had diverged: its cell does not count from there on.
    first : ndarray of int, shape (cell,)
    equal : ndarray of bool, shape (cell,)
    """
    rng, seeds, first = np.random.default_rng(seed), angle.shape[1], np.asarray(first)
    kinds = {"equal tuning factor": np.asarray(equal), "others": ~np.asarray(equal)}
    late = _late(_mean_over_seeds(angle), first)
    common = np.all([late[which].sum(axis=0) >= 2 for which in kinds.values()], axis=0)
    out = {}
    for name, which in kinds.items():
        of, begin = angle[which], first[which]
        value, found = float(spread(_mean_over_seeds(of), begin, common)), np.array([])
        if seeds > 1 and math.isfinite(value):
            drawn = rng.integers(seeds, size=(resamples, of.shape[0], seeds))
            taken = of[np.arange(of.shape[0])[:, None], drawn]  # resample, cell, seed, epoch
            found = spread(_mean_over_seeds(taken), begin, common)
        counted = int(late[which][:, -1].sum()) if late.shape[1] else 0
        out[name] = Spread(Interval(value, *edges(found)), counted, int(which.sum()))
    return out


def _mean_over_seeds(values: Array) -> Array:
    return seed_mean(np.moveaxis(values, -2, -1))
