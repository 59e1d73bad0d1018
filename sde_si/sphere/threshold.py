"""The threshold of convergence, measured twice and without knowledge of the predicted one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from sde_si import regimes
from sde_si.sphere import laws
from sde_si.sphere.course import Progress, Setting, courses
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.streams import START, generator

Array = np.ndarray
LONGEST = 10_000_000
TOLERANCE = 1e-4
CLEAR = (0.6, 5.0)  # three quarters of the starts below the first: no convergence; median above the second: convergence
POINTS = 32  # of ln F over the last half of a run
OFFSETS = np.geomspace(1e-3, 0.05, 12)  # above the threshold, of the straight line's effective LRs


@dataclass(frozen=True)
class Bracket:
    """Bisection: the largest effective LR that was seen to converge, and the smallest that was not."""

    converges: float
    fails: float
    runs: int

    @property
    def value(self) -> float:
        """The middle."""
        return (self.converges + self.fails) / 2

    @property
    def half_width(self) -> float:
        """Half of the bracket."""
        return (self.fails - self.converges) / 2


@dataclass(frozen=True)
class Line:
    """Zero of the straight line through the time-mean loss against 1/effective_lr.

    Attributes
    ----------
    value, stderr : float
        Threshold; its error from the spread between starts, what the second half of the time says otherwise than the
        whole, and the points' distance from the line.
    slope : float
        Of the mean loss over 1/effective_lr; -1/2 by theory.md 5.4.
    inverse, loss, loss_stderr : ndarray
        1/effective_lr, mean loss and its standard error of each point.
    """

    value: float
    stderr: float
    slope: float
    inverse: Array
    loss: Array
    loss_stderr: Array


def falls(setting: Setting, effective_lr: float, iterations: int, progress: Progress | None = None) -> Array:
    """Exponent p of the loss F ~ t^-p over the last half of a run, for each start.

    Below the threshold F falls exponentially (p large), above it does not fall (p about 0), at the threshold itself
    F ~ 1/t (p = 1). For a loss whose minimum is not known to be 0, twice the exponent of the gradient norm.
    """
    if not setting.fast:
        [course] = courses(dataclasses.replace(setting, iterations=iterations), [effective_lr], progress)
        norm = course.gradient_norm
        exponents, _ = regimes.exponents(norm[:, course.late], course.iterations[course.late])
        gone = regimes.collapsed(course.loss, norm, laws.random_loss(setting))
        return 2 * np.where(gone, math.inf, exponents)
    pairs = _pairs(setting, np.full(setting.starts, effective_lr))
    half = iterations // 2
    pairs.advance(half)
    stride = max(1, half // POINTS)
    times, logs = half + stride * np.arange(POINTS), np.empty((POINTS, setting.starts))
    for i in range(POINTS):
        logs[i] = np.log(np.maximum(pairs.loss, np.finfo(float).tiny))
        pairs.advance(stride)
    if progress:
        progress(float(iterations * setting.starts))
    x = np.log(times)
    x -= x.mean()
    # what has left the range of floating-point numbers has fallen as fast as can be
    return np.where(logs[-1] <= math.log(np.finfo(float).tiny), math.inf, -(x @ logs) / (x @ x))


def _pairs(setting: Setting, rates: Array) -> Pairs:
    alphas = np.array(setting.problem.parameters["alphas"])
    squares = random_squares(alphas.size, setting.starts, generator(setting.seed, START, 0))
    return Pairs(np.tile(squares, (1, 1, rates.size // setting.starts)), rates, alphas, setting.threads)


def bisect(
    setting: Setting, guess: float, *, tolerance: float = TOLERANCE, longest: int = LONGEST,
    progress: Progress | None = None,
) -> Bracket:  # fmt: skip
    """Bracket the threshold from any `guess`, by factors of two and then by halves.

    A run of a bracket of relative half-width w takes 200/w iterations: for a rate in the bracket w is the best known
    bound on its distance from the threshold. The sign of p - 1 decides; close to the threshold, where the shares of the
    groups swing slowly and F with them, p is neither large nor small, and the run is repeated four times as long, up to
    `longest`.

    Raises
    ------
    ArithmeticError
        If no bracket is found within sixty factors of two.
    """
    count = 0

    def converges(rate: float, width: float) -> bool:
        nonlocal count
        iterations = int(min(max(200 / width, 2000), longest))
        while True:
            count += 1
            p = falls(setting, rate, iterations, progress)
            middle = float(np.median(p))
            clear = middle > CLEAR[1] or float(np.quantile(np.abs(p), 0.75)) < CLEAR[0]
            if clear or iterations >= longest:
                return middle > 1
            iterations = min(4 * iterations, longest)

    low = high = guess
    for _ in range(60):
        if converges(low, 0.1):
            break
        low /= 2
    else:
        raise ArithmeticError("nothing converges")
    for _ in range(60):
        if high > low and not converges(high, 0.1):
            break
        low, high = (high, 2 * high) if high > low else (low, 2 * high)
    else:
        raise ArithmeticError("everything converges")
    while high - low > tolerance * low:
        middle = (low + high) / 2
        if converges(middle, (high - low) / (2 * middle)):
            low = middle
        else:
            high = middle
    return Bracket(low, high, count)


def line(setting: Setting, above: float, iterations: int = 400_000, progress: Progress | None = None) -> Line:
    """Fit the time-mean loss at effective LRs 0.1 to 5 % above `above`, after as many iterations of approach.

    Parameters
    ----------
    setting : Setting
        With the toy's own time loop (`Setting.fast`).
    above : float
        A measured threshold.
    iterations : int
        Of approach, and then of the mean.
    """
    rates = above * (1 + OFFSETS)
    pairs = _pairs(setting, np.repeat(rates, setting.starts))
    pairs.advance(iterations)
    means = []
    for _ in range(2):
        pairs.forget()
        pairs.advance(iterations // 2)
        means.append(pairs.mean_loss.reshape(rates.size, setting.starts))
        if progress:
            progress(iterations * pairs.effective_lr.size)
    inverse, whole = 1 / rates, (means[0] + means[1]) / 2
    # distances from 1/above: a parabola's worth of digits would be lost in 1/eta itself
    x = inverse - 1 / above
    zeros, slopes = _zeros(x, whole)
    value, late = (float(1 / (1 / above + z.mean())) for z in (zeros, _zeros(x, means[1])[0]))
    fitted = slopes.mean() * (x - zeros.mean())
    residual = float(np.sqrt(np.mean((whole.mean(axis=1) - fitted) ** 2))) / abs(float(slopes.mean()))
    count = setting.starts
    spread = float(zeros.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    # in 1/eta, hence times eta^2; the distance between halves is twice that between a half and the whole
    error = math.hypot(spread * value**2, value - late, residual * value**2)
    errors = whole.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else np.zeros(rates.size)
    return Line(value, error, float(slopes.mean()), inverse, whole.mean(axis=1), errors)


def _zeros(x: Array, means: Array) -> tuple[Array, Array]:
    """Zero and slope of the line through each start's means (rate, start)."""
    centred = x - x.mean()
    slopes = centred @ means / (centred @ centred)
    return x.mean() - means.mean(axis=0) / slopes, slopes
