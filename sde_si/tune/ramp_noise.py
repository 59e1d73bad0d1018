"""The noise of a ramp's losses, and what is clear against it."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
ORDERS = (2, 3, 4)  # of the differences that noise is estimated from


def noise_of(loss: Array, error: Array | None) -> float:
    """Standard error of one loss: as given by the seeds, else from differences of neighbours.

    Differences do not see a trend, their median does not see the divergence at the end. Of few points the second still
    see how the loss curves, which is no noise: of the second to the fourth, those count that leave least.
    """
    if error is not None and np.isfinite(error).any():
        return float(np.sqrt(np.nanmean(error**2)))
    orders = [k for k in ORDERS if loss.size - k >= 4]
    left = [np.median(np.abs(np.diff(loss, n=k))) / math.sqrt(math.comb(2 * k, k)) for k in orders]
    return float(min(left) / 0.6745)


def clear(points: int) -> float:
    """Standard errors by which a loss must fall, and rise again: pure noise does so in about 1 % of ramps or less.

    The largest difference of many numbers is several of their errors, and an error from few of them is too small by
    chance; found by simulation, for independent noise of any smoothing.
    """
    return 5.5 + 20 / points


def clearest(apart: Array, errors: Array) -> int:
    """Where the loss is most standard errors above its least; without noise, where it is highest."""
    with np.errstate(divide="ignore", invalid="ignore"):
        told = np.where(errors > 0, apart / errors, apart)
    return int(np.argmax(told))
