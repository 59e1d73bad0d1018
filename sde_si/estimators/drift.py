"""Whether a norm stands still: one rule for records and for a monitor at work (theory.md 17)."""

from __future__ import annotations

import math

import numpy as np

from sde_si.estimators.samples import Estimate

Array = np.ndarray
SETTLED = 0.02  # change of ln |x|^2 per relaxation time at equilibrium (theory.md 17)
BATCHES = 16  # of consecutive values: neighbours share the norm, batches hardly
FEWEST = 8  # batches below which there is no standard error


def drifts(change: Estimate, allowed: float = SETTLED) -> bool | None:
    """Whether a change of the norm is a drift (theory.md 17).

    Parameters
    ----------
    change : Estimate
        Of ln |x|^2 per relaxation time, without unit.
    allowed : float
        Change beyond which it is one, by three standard errors; a group once settled may be given more than `SETTLED`.

    Returns
    -------
    bool or None
        None: too near the limit, or too little known.
    """
    size, error = abs(change.value), change.stderr
    if not math.isfinite(error):
        return None
    if size > allowed + 3 * error:
        return True
    return None if size > SETTLED + error or error > SETTLED else False


def slope(x: Array, y: Array) -> Estimate:
    """Slope of the straight line through batch means of one course.

    Parameters
    ----------
    x, y : array (n,)

    Returns
    -------
    Estimate
        In units of y over x; its error from what the line leaves, nan with fewer than `FEWEST` batches.
    """
    batches = min(BATCHES, y.size)
    x, y = (np.array([part.mean() for part in np.array_split(of, batches)]) for of in (x, y))
    x = x - x.mean()
    value = float(x @ y / (x @ x))
    if batches < FEWEST:
        return Estimate(value, math.nan)
    left = y - y.mean() - value * x
    return Estimate(value, math.sqrt(float(left @ left) / (batches - 2) / float(x @ x)))


def said(change: Estimate, what: str = "ln|x|^2") -> str:
    """A change in words; an error that nobody measured is not told as 0."""
    error = f" ± {change.stderr:.1g}" if math.isfinite(change.stderr) else ", error not known,"
    return f"{what} by {change.value:+.2g}{error} per relaxation time"
