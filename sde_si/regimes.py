"""Which of the three regimes of Kodryan et al. a run is in: a pure function of its loss, gradient norm and angle.

The definition, in the order in which it is applied to the last three quarters of the series, t being the iteration
and p the exponent of the straight line through ln(gradient norm) against ln t; standard errors are between paths or, if
they are three or fewer, between blocks of time, as large as those of a random walk with the blocks' own steps:

convergence
    The gradient norm at the end lies ten orders of magnitude below its largest, or twelve (rounding) below the height
    of the loss of random directions, where that is given, over the loss of the run: a run whose first sample comes
    after its collapse has converged, too. Or it falls faster than t^(-1/2), the law at the border itself, where the
    loss of a quadratic minimum falls as 1/t: p > 1/2 by three standard errors.
divergence
    Gradient norm and loss are stationary: p < 1/2 by three standard errors, |p| <= 1/4 within two; second half and
    first half of the loss differ by no more than three standard errors, or 5 % of its height above the lowest; and the
    means of 16 blocks of time (32 for three paths or fewer) scatter as independent ones do (von Neumann's ratio at
    least 1: a random walk wanders), or by no more than 5 % of that height, and a quarter of the gradient norm. Three
    paths or fewer whose blocks scatter little but follow each other may be at the beginning of a walk: the confidence
    is then multiplied by half of the ratio, the share of independent blocks. The loss is at the level of random
    directions, which must be given, or above: less than 5 % of the way from there to the lowest loss, by three standard
    errors. And the direction has moved: the angles of the steps, added as those of a random walk, make a radian. A
    series that is not finite in most of the paths has diverged, too.
chaotic equilibrium
    Both are stationary, the loss is below that of random directions by more than those 5 % and three standard errors,
    the angles of all steps add up to a radian, and the gradient norm is not five orders of magnitude below its largest:
    that may be the rounding of single precision. Where the loss of random directions is not given, that of the first
    samples stands for it, with their error: only a loss that has come down from there is told.
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

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import check_number
from sde_si.series import BLOCKS, FEW, drift, exponents, mean_in_time, steadiness

Array = np.ndarray
CONVERGENCE, EQUILIBRIUM, DIVERGENCE, UNDECIDED = "convergence", "chaotic equilibrium", "divergence", "undecided"
REGIMES = (CONVERGENCE, EQUILIBRIUM, DIVERGENCE, UNDECIDED)
BORDER = 0.5  # exponent of the gradient norm's fall at the border of convergence
STATIONARY = 0.25  # largest exponent, either way, of what is called stationary
COLLAPSED = 1e-10  # of the largest gradient norm: nothing is left to converge
ROUNDING = 1e-12  # of the height of the loss: a gradient norm that is rounding
DOUBTFUL = 1e-5  # of the largest gradient norm: perhaps the rounding of single precision
SHARE = 0.05  # of the way from the random level to the lowest loss
ERRORS = 3.0
FEWEST = 16  # samples


@dataclass(frozen=True)
class Regime:
    """A verdict.

    Attributes
    ----------
    name : str
        One of `REGIMES`.
    confidence : float
        Probability (Student's t) that noise of the measured size has not carried the series over a border, times the
        share of the paths that converge (or do not; or are not finite); 0 if undecided.
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
        Loss of random directions; without it the mean of the first samples, for a run that starts from one, and no
        divergence is told.
    lowest_loss : float, optional
        Lowest loss possible; without it the lowest of the series.

    Returns
    -------
    Regime

    Raises
    ------
    BadInput
        If the shapes do not fit, the iterations do not increase, a gradient norm or an angle is negative, or a loss
        that is given is not finite.

    Examples
    --------
    >>> t = np.arange(1, 400)
    >>> classify(np.exp(-0.1 * t), np.exp(-0.05 * t), np.exp(-0.05 * t)).name
    'convergence'
    """
    given = {"loss": loss, "gradient_norm": gradient_norm, "angle": angle}
    loss, gradient_norm, angle = (np.atleast_2d(numbers(name, v)) for name, v in given.items())
    shapes = {v.shape for v in (loss, gradient_norm, angle)}
    fits = len(shapes) == 1 and loss.ndim == 2 and loss.size > 0
    require(fits, "loss", "three series of one shape (path, time), not empty", shapes, "one number for each iteration")
    count = loss.shape[1]
    times = np.arange(1, count + 1) if iterations is None else numbers("iterations", iterations)
    fits = times.shape == (count,) and bool((np.diff(times) > 0).all()) and (count == 0 or times[0] >= 0)
    require(fits, "iterations", f"{count} increasing iterations, none below 0", times.shape)
    for name, series in (("gradient_norm", gradient_norm), ("angle", angle)):
        require(not (series < 0).any(), name, "no negative value", series.min())
    for name, value in (("random_loss", random_loss), ("lowest_loss", lowest_loss)):
        if value is not None:
            check_number(name, value, advice="none of it")
    if random_loss is not None and lowest_loss is not None:
        require(lowest_loss <= random_loss, "lowest_loss", f"at most random_loss ({random_loss:g})", lowest_loss)
    nan = math.nan
    if count < FEWEST:
        return Regime(UNDECIDED, 0.0, nan, nan, nan, nan, f"{count} samples, at least {FEWEST} are needed")
    lost = ~np.all([np.isfinite(v).all(axis=1) for v in (loss, gradient_norm, angle)], axis=0)
    if lost.any():
        share = float(lost.mean())
        name = DIVERGENCE if share > 0.5 else UNDECIDED
        why = f"a value is not finite in {lost.sum()} of {lost.size} paths"
        return Regime(name, share if name == DIVERGENCE else 0.0, nan, nan, nan, nan, why)
    lowest = float(loss.min()) if lowest_loss is None else float(lowest_loss)
    return _decide(loss, gradient_norm, angle, times, random_loss, lowest)


def numbers(name: str, values: object) -> Array:
    """Numbers that a caller gave, as an array.

    Raises
    ------
    BadInput
        If they are none.
    """
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise BadInput(name, "numbers", repr(values), "an array of numbers") from None


def collapsed(loss: Array, gradient_norm: Array, random_loss: float | None) -> Array:
    """Whether nothing but rounding is left of each path's gradient at the end; series are (path, time)."""
    tail = slice(-max(1, loss.shape[1] // BLOCKS), None)
    last, largest = gradient_norm[:, tail].max(axis=1), gradient_norm.max(axis=1)
    gone = (last <= COLLAPSED * largest) & (largest > 0)  # no gradient at all has nothing to fall
    if random_loss is None:
        return gone
    height = random_loss - loss[:, tail].mean(axis=1)
    return gone | ((last <= ROUNDING * height) & (height > 0))


def _decide(
    loss: Array, gradient_norm: Array, angle: Array, times: Array, random_loss: float | None, lowest: float
) -> Regime:
    late = times > times[0] + (times[-1] - times[0]) / 4
    each, error = exponents(gradient_norm[:, late], times[late])
    fall = float(each.mean())
    mean, mean_error, mean_freedom = mean_in_time(loss[:, late])
    found = (fall, error, mean, mean_error)
    freedom = each.size - 1 if each.size > FEW else BLOCKS - 2

    def undecided(why: str) -> Regime:
        return Regime(UNDECIDED, 0.0, *found, why)

    def sure_of(distance: float, stderr: float, freedom: float = freedom) -> float:
        from scipy.special import stdtr

        return float(stdtr(freedom, distance / stderr)) if stderr else 1.0

    gone = collapsed(loss, gradient_norm, random_loss)
    if gone.mean() > 0.5 or fall - ERRORS * error > BORDER:
        share = float((gone | (each > BORDER)).mean())
        sure = 1.0 if gone.mean() > 0.5 else sure_of(fall - BORDER, error)
        why = "has fallen to rounding" if gone.mean() > 0.5 else f"falls as t^-{fall:.3g}"
        return Regime(CONVERGENCE, sure * share, *found, f"the gradient norm {why}")
    if fall + ERRORS * error > BORDER or abs(fall) - 2 * error > STATIONARY:
        return undecided(f"the gradient norm goes as t^{-fall:+.3g} +- {error:.2g}: too short or too noisy a run")
    left = float(gradient_norm[:, late].max() / gradient_norm.max()) if gradient_norm.any() else 1.0
    if left < DOUBTFUL:
        return undecided(f"the gradient norm has fallen to {left:.1g} of its largest: perhaps rounding")
    sure = sure_of(BORDER - fall, error) * float((~gone).mean())
    change, change_error = drift(loss[:, late])
    height = SHARE * (mean - lowest)
    if abs(change) > max(ERRORS * change_error, height):
        return undecided(f"the loss still drifts, by {change:+.2g} +- {change_error:.1g}")
    logs = np.log(np.maximum(gradient_norm[:, late], np.finfo(float).tiny))
    for name, series, most in (("loss", loss[:, late], height), ("gradient norm", logs, STATIONARY)):
        steady = steadiness(series, most)
        if steady == 0:
            return undecided(f"the {name} wanders as slowly as the run is long")
        if each.size <= FEW:
            sure *= steady
    if random_loss is None:
        level = float(loss[:, 0].mean())
        mean_error = math.hypot(mean_error, float(loss[:, late].std(axis=1).mean()) / math.sqrt(each.size))
    else:
        level = float(random_loss)
    away = level - mean - SHARE * max(level - lowest, 0.0)
    if abs(away) < ERRORS * mean_error:
        return undecided(f"the loss, {mean:.4g} +- {mean_error:.1g}, is too near to the border of divergence to tell")
    border = sure_of(abs(away), mean_error, mean_freedom)
    steps, turns = times[-1] - times[late][0], angle[:, late]
    if away > 0:
        moved = float(steps * turns.mean())
        if moved < 1:
            return undecided(f"the steps add up to {moved:.2g} rad only: too short a run")
        return Regime(
            EQUILIBRIUM, sure * border, *found, f"stationary at {mean:.4g}, random directions have {level:.4g}"
        )
    if random_loss is None:
        return undecided("the loss is where it began, and that of random directions is not given")
    moved = math.sqrt(steps) * float(np.sqrt(np.mean(turns**2)))
    if moved < 1:
        return undecided(f"the direction has moved by {moved:.2g} rad only: too short a run")
    why = f"stationary at {mean:.4g}, at or above the level of random directions, {level:.4g}"
    return Regime(DIVERGENCE, sure * border, *found, why)
