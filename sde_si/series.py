"""Is a series of shape (path, time) steady? Exponent, mean and drift with standard errors, for `sde_si.regimes`."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
ROUNDING = 1e-12  # of the size of a series: what is left of a constant
INDEPENDENT = (
    1.0  # least von Neumann ratio of what scatters about its mean: 2 for independent blocks, a third for a walk
)
BLOCKS = 8
FEW = 3  # paths up to which errors are those between blocks of time


def exponents(series: Array, times: Array) -> tuple[Array, float]:
    """Exponent p of series ~ t^-p for each path, and the standard error of their mean."""
    tiny = np.finfo(float).tiny
    logs, x = np.log(np.maximum(series, tiny)), np.log(np.maximum(times, 1))
    # block means: neighbouring samples are correlated
    cuts = np.array_split(np.arange(x.size), BLOCKS)
    x = np.array([x[cut].mean() for cut in cuts])
    logs = np.stack([logs[:, cut].mean(axis=1) for cut in cuts], axis=1)
    centred = x - x.mean()
    slopes = logs @ centred / (centred @ centred)
    if slopes.size > FEW:
        return -slopes, float(slopes.std(ddof=1) / math.sqrt(slopes.size))
    rest = logs - logs.mean(axis=1, keepdims=True) - slopes[:, None] * centred
    variance = (rest**2).sum(axis=1) / (BLOCKS - 2) / (centred @ centred)
    # a random walk lies close to its line: its steps tell how far it may have gone by chance
    steps = np.diff(logs, axis=1) - slopes[:, None] * np.diff(x)
    walk = (steps**2).sum(axis=1) / (BLOCKS - 2) * (BLOCKS - 1) / (x[-1] - x[0]) ** 2
    variance = np.maximum(variance, walk)
    return -slopes, float(math.sqrt(variance.sum()) / slopes.size)


def mean_in_time(series: Array) -> tuple[float, float, float]:
    """Mean, standard error and its degrees of freedom: between paths, or, if they are few, between blocks of time.

    Blocks that follow each other closely are fewer than they are counted: von Neumann's ratio of squared steps to
    squared deviations is 2 for independent ones, and falls with the number of those that are. For a random walk, about
    three are left of 16.
    """
    if len(series) > FEW:
        means = series.mean(axis=1)
        return float(means.mean()), float(means.std(ddof=1) / math.sqrt(means.size)), means.size - 1.0
    blocks = _blocks(series)
    count = max(1.5, blocks.size * min(1.0, _independence(blocks)[0] / 2))  # of independent blocks
    # between paths, too: each has a level of its own
    spread = float(blocks.std(ddof=1))
    return float(blocks.mean()), spread / math.sqrt(count), count - 1


def _blocks(series: Array) -> Array:
    """Means of 16 blocks of time, 32 where there are few paths to average over; shape (path, block)."""
    count = 2 * BLOCKS * (1 if len(series) > FEW else 2)
    count = min(count, series.shape[1])
    return np.stack([part.mean(axis=1) for part in np.array_split(series, count, axis=1)], axis=1)


def _independence(blocks: Array) -> tuple[float, float]:
    """Von Neumann's ratio of squared steps to squared deviations, and the mean squared deviation.

    The ratio is 2 for independent blocks; of a random walk's 16 it is about a third, of 32 about a fifth.
    """
    deviations = float(((blocks - blocks.mean(axis=1, keepdims=True)) ** 2).sum())
    steps = float((np.diff(blocks, axis=1) ** 2).sum())
    return (steps / deviations if deviations > 0 else 2.0), deviations / blocks.size


def drift(series: Array) -> tuple[float, float]:
    """Second half minus first half, and its standard error."""
    middle = series.shape[1] // 2
    changes = series[:, middle:].mean(axis=1) - series[:, :middle].mean(axis=1)
    if changes.size > FEW:
        return float(changes.mean()), float(changes.std(ddof=1) / math.sqrt(changes.size))
    # few paths: the scatter of blocks within each half, so that the drift itself does not count as noise
    halves = [np.array_split(row, 2) for row in series]
    blocks = np.array([[[b.mean() for b in np.array_split(half, BLOCKS // 2)] for half in row] for row in halves])
    variance = blocks.var(axis=2, ddof=1) / (BLOCKS // 2)
    return float(changes.mean()), float(math.sqrt(variance.sum()) / changes.size)


def steadiness(series: Array, most: float) -> float:
    """How far a series that scatters by `most` at the most, or as independent blocks do, is steady; 0 if neither.

    Little scatter alone is no proof of a level: a walk has it, too, for as long as it has not gone far. Then the share
    of the blocks that are independent counts.
    """
    blocks = _blocks(series)
    ratio, scatter = _independence(blocks)
    rounding = math.sqrt(scatter) <= ROUNDING * float(np.abs(blocks).max())
    if ratio >= INDEPENDENT or rounding:
        return 1.0
    return ratio / 2 if scatter <= most**2 else 0.0
