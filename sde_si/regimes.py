"""Which of the three regimes of Kodryan et al. a run is in: a pure function of its loss, gradient norm and angle.

The definition, in the order in which it is applied to the last three quarters of the series, t being the iteration
and p the exponent of the straight line through ln(gradient norm) against ln t:

convergence
    The effective gradient norm falls faster than t^(-1/2), the law at the border itself, where the loss of a
    quadratic minimum falls as 1/t: p > 1/2 by two standard errors. Or it has fallen by ten orders of magnitude.
divergence
    Gradient norm and loss are stationary: p < 1/2 by two standard errors, |p| <= 1/4 within them; second half and
    first half of the loss differ by no more than three standard errors, or 5 % of its height above the lowest. And the
    loss is at the level of random directions or above: within three standard errors, or 5 % of the way from there to
    the lowest loss. And the direction has moved: the angles of the steps, added as those of a random walk, make a
    radian. A series that is not finite has diverged, too.
chaotic equilibrium
    Both are stationary, the loss elsewhere.
undecided
    Anything else: the run is too short, or too noisy, to tell.

Nothing here knows a learning rate or a threshold, so that the same function serves toys and real networks. "Chaotic"
is the paper's name: whether the equilibrium is periodic, quasi-periodic or chaotic is another question
(`sde_si.sphere.lyapunov`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sde_si.errors import require

Array = np.ndarray
CONVERGENCE, EQUILIBRIUM, DIVERGENCE, UNDECIDED = "convergence", "chaotic equilibrium", "divergence", "undecided"
REGIMES = (CONVERGENCE, EQUILIBRIUM, DIVERGENCE, UNDECIDED)
BORDER = 0.5  # exponent of the gradient norm's fall at the border of convergence
STATIONARY = 0.25  # largest exponent, either way, of what is called stationary
COLLAPSED = 1e-10  # of the largest gradient norm: nothing is left to converge
SHARE = 0.05  # of the way from the random level to the lowest loss
ERRORS = 3.0
FEWEST = 16  # samples
BLOCKS = 8


@dataclass(frozen=True)
class Regime:
    """A verdict.

    Attributes
    ----------
    name : str
        One of `REGIMES`.
    confidence : float
        Probability that noise of the measured size has not carried the series over a border, times the share of the
        paths that converge (or do not); 0 if undecided.
    exponent, exponent_stderr : float
        Gradient norm ~ t^-exponent over the last three quarters.
    loss, loss_stderr : float
        Mean over the last three quarters.
    why : str
        What decided, in words.
    """

    name: str
    confidence: float
    exponent: float
    exponent_stderr: float
    loss: float
    loss_stderr: float
    why: str


def classify(
    loss: Array,
    gradient_norm: Array,
    angle: Array,
    *,
    iterations: Array | None = None,
    random_loss: float | None = None,
    lowest_loss: float | None = None,
) -> Regime:
    """Tell the regime of a run at fixed effective learning rate; the module's text defines the regimes.

    Parameters
    ----------
    loss, gradient_norm, angle : ndarray, shape (path, time) or (time,)
        Training loss; length of the gradient times that of the weights; angle of one step in radians.
    iterations : ndarray of int, shape (time,), optional
        Iteration of each sample; without it the samples are iterations 1, 2, ...
    random_loss : float, optional
        Loss of random directions; without it the mean of the first samples, for a run that starts from one.
    lowest_loss : float, optional
        Lowest loss possible; without it the lowest of the series.

    Returns
    -------
    Regime

    Raises
    ------
    BadInput
        If the shapes do not fit, or the iterations do not increase.

    Examples
    --------
    >>> t = np.arange(1, 400)
    >>> classify(np.exp(-0.1 * t), np.exp(-0.05 * t), np.exp(-0.05 * t)).name
    'convergence'
    """
    loss, gradient_norm, angle = (np.atleast_2d(np.asarray(v, dtype=float)) for v in (loss, gradient_norm, angle))
    shapes = {v.shape for v in (loss, gradient_norm, angle)}
    require(len(shapes) == 1 and loss.ndim == 2, "loss", "three series of one shape (path, time)", shapes)
    count = loss.shape[1]
    times = np.arange(1, count + 1) if iterations is None else np.asarray(iterations)
    fits = times.shape == (count,) and bool((np.diff(times) > 0).all()) and (count == 0 or times[0] >= 0)
    require(fits, "iterations", f"{count} increasing iterations, none below 0", times.shape)
    nan = math.nan
    if count < FEWEST:
        return Regime(UNDECIDED, 0.0, nan, nan, nan, nan, f"{count} samples, at least {FEWEST} are needed")
    if not all(np.isfinite(v).all() for v in (loss, gradient_norm, angle)):
        return Regime(DIVERGENCE, 1.0, nan, nan, nan, nan, "a value is not finite")
    level = float(loss[:, 0].mean()) if random_loss is None else float(random_loss)
    lowest = float(loss.min()) if lowest_loss is None else float(lowest_loss)
    return _decide(loss, gradient_norm, angle, times, level, lowest)


def _decide(loss: Array, gradient_norm: Array, angle: Array, times: Array, level: float, lowest: float) -> Regime:
    late = times > times[0] + (times[-1] - times[0]) / 4
    each, error = exponents(gradient_norm[:, late], times[late])
    fall = float(each.mean())
    mean, mean_error = _mean(loss[:, late])
    found = (fall, error, mean, mean_error)
    largest = gradient_norm.max(axis=1)
    collapsed = (gradient_norm[:, -1] <= COLLAPSED * largest) & (largest > 0)  # no gradient at all has nothing to fall
    if collapsed.all() or fall - 2 * error > BORDER:
        share = float((collapsed | (each > BORDER)).mean())
        sure = 1.0 if collapsed.all() else _normal((fall - BORDER) / error if error else math.inf)
        why = "ten orders of magnitude" if collapsed.all() else f"as t^-{fall:.3g}"
        return Regime(CONVERGENCE, sure * share, *found, f"the gradient norm falls {why}")
    if fall + 2 * error > BORDER or abs(fall) - 2 * error > STATIONARY:
        why = f"the gradient norm goes as t^{-fall:+.3g} +- {error:.2g}: too short or too noisy a run"
        return Regime(UNDECIDED, 0.0, *found, why)
    sure = _normal((BORDER - fall) / error if error else math.inf) * float((~collapsed).mean())
    drift, drift_error = _drift(loss[:, late])
    if abs(drift) > max(ERRORS * drift_error, SHARE * (mean - lowest)):
        return Regime(UNDECIDED, 0.0, *found, f"the loss still drifts, by {drift:+.2g} +- {drift_error:.1g}")
    room = SHARE * max(level - lowest, 0.0)
    band = max(ERRORS * mean_error, room)
    away = level - mean - band
    border = _normal(abs(away) / mean_error if mean_error else math.inf)
    if away > 0:
        return Regime(
            EQUILIBRIUM, sure * border, *found, f"stationary at {mean:.4g}, random directions have {level:.4g}"
        )
    steps = times[-1] - times[late][0]
    moved = math.sqrt(steps) * float(np.sqrt(np.mean(angle[:, late] ** 2)))
    if moved < 1:
        return Regime(UNDECIDED, 0.0, *found, f"the direction has moved by {moved:.2g} rad only: too short a run")
    return Regime(DIVERGENCE, sure * border, *found, f"stationary at the level of random directions, {level:.4g}")


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
    if slopes.size > 3:
        return -slopes, float(slopes.std(ddof=1) / math.sqrt(slopes.size))
    rest = logs - logs.mean(axis=1, keepdims=True) - slopes[:, None] * centred
    variance = (rest**2).sum(axis=1) / (BLOCKS - 2) / (centred @ centred)
    return -slopes, float(math.sqrt(variance.sum()) / slopes.size)


def _mean(series: Array) -> tuple[float, float]:
    """Mean and standard error: between paths, or, if they are few, between blocks of time."""
    means = series.mean(axis=1)
    if means.size <= 3:
        means = np.concatenate([[part.mean() for part in np.array_split(row, BLOCKS)] for row in series])
    return float(means.mean()), float(means.std(ddof=1) / math.sqrt(means.size))


def _drift(series: Array) -> tuple[float, float]:
    """Second half minus first half, and its standard error."""
    middle = series.shape[1] // 2
    changes = series[:, middle:].mean(axis=1) - series[:, :middle].mean(axis=1)
    if changes.size > 3:
        return float(changes.mean()), float(changes.std(ddof=1) / math.sqrt(changes.size))
    # few paths: the scatter of blocks within each half, so that the drift itself does not count as noise
    halves = [np.array_split(row, 2) for row in series]
    blocks = np.array([[[b.mean() for b in np.array_split(half, BLOCKS // 2)] for half in row] for row in halves])
    variance = blocks.var(axis=2, ddof=1) / (BLOCKS // 2)
    return float(changes.mean()), float(math.sqrt(variance.sum()) / changes.size)


def _normal(z: float) -> float:
    """Normal distribution function."""
    return 0.5 * math.erfc(-z / math.sqrt(2))
