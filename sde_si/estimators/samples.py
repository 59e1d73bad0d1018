"""Means of independent samples, their errors, and functions of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
FEWEST_PATHS = 8  # below it the spread between paths says too little; batch means over epochs instead
BATCHES = 10  # of the epochs of a path


@dataclass(frozen=True)
class Estimate:
    """A measured value and its standard error; nan where unknowable."""

    value: float
    stderr: float


def mean_and_error(samples: Array) -> Estimate:
    """Mean and standard error of independent samples."""
    samples = samples[np.isfinite(samples)]
    if samples.size == 0:
        return Estimate(math.nan, math.nan)
    error = samples.std(ddof=1) / math.sqrt(samples.size) if samples.size > 1 else math.nan
    return Estimate(float(samples.mean()), float(error))


def rms(samples: Array) -> Estimate:
    """Root mean square of independent samples."""
    found = mean_and_error(samples**2)
    root = math.sqrt(found.value)
    return Estimate(root, found.stderr / (2 * root))


def ratio(top: Array, bottom: Array) -> Estimate:
    """Ratio of the means of paired samples, which fluctuate together; its error to first order."""
    size = float(bottom.mean())
    value = float(top.mean()) / size
    return Estimate(value, mean_and_error(top - value * bottom).stderr / abs(size))


def versine(angle: Array) -> Array:
    """1 - cos of an angle (radians) without losing digits near 0."""
    return 2 * np.sin(angle / 2) ** 2


def chord_versine(x: Array, y: Array) -> Array:
    """1 - cos between weights ``x[..., d]`` and ``y[..., d]``, from the chord: no digits are lost near 0."""
    unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, y)]
    return np.sum((unit[1] - unit[0]) ** 2, axis=-1) / 2


def jackknife(reduce: Callable[[Array], Any], paths: int, folds: int) -> tuple[Any, Any]:
    """``reduce(indices of paths)`` of all paths and its standard error by leaving out folds (nan of one path)."""
    every = np.arange(paths)
    if paths < 2:
        found = reduce(every)
        return found, np.full(np.shape(found), np.nan)
    parts = np.array_split(every, min(folds, paths))
    left = np.array([reduce(np.setdiff1d(every, part)) for part in parts])
    spread = np.sum((left - left.mean(axis=0)) ** 2, axis=0)
    return reduce(every), np.sqrt((len(parts) - 1) / len(parts) * spread)


def log_slope(x: Array, y: Array, stderr: Array) -> Estimate:
    """Slope of ln |y| against ln x by weighted least squares, for independent points.

    Parameters
    ----------
    x, y, stderr : ndarray, shape (points,)
        Positive abscissae; values; their standard errors.
    """
    weight = (np.asarray(y) / stderr) ** 2
    u, v = np.log(x), np.log(np.abs(y))
    u = u - np.sum(weight * u) / np.sum(weight)
    spread = float(np.sum(weight * u * u))
    return Estimate(float(np.sum(weight * u * v)) / spread, 1 / math.sqrt(spread))


def path_or_batch_means(values: Array) -> Array:
    """Independent means of values (path, epoch): per path, or, with few paths, per batch of epochs."""
    alive = values[np.isfinite(values).all(axis=1)]
    if alive.shape[0] >= FEWEST_PATHS:
        return alive.mean(axis=1)
    batches = min(BATCHES, alive.shape[1])
    # neighbouring epochs are correlated: batches of consecutive epochs are much less so
    return np.array([part.mean() for row in alive for part in np.array_split(row, batches)])
