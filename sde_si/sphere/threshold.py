"""The threshold of convergence, measured twice and without knowledge of the predicted one."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from sde_si import regimes
from sde_si.series import exponents
from sde_si.sphere import laws
from sde_si.sphere.course import Progress, courses
from sde_si.sphere.setting import Setting
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.streams import START, generator

Array = np.ndarray
LONGEST = 10_000_000
TOLERANCE = 1e-4
# outside the toy, where a step takes longer: the tolerance and the longest run up to so many numbers a step, and above
SIZE, SMALLER, LARGER = 256, (1e-4, 1_000_000), (1e-3, 100_000)
CLEAR = (0.6, 5.0)  # three quarters of the starts below the first: no convergence; median above the second: convergence
WAY = 10.0  # rad that the steps must add up to: a slow run that has not begun to fall goes no such way
AGREE = 5.0  # standard errors, beside half a bracket, by which the two measurements may differ
# What is left of an approach as 1/t in the mean from T to 2T, over its change from there to the mean's second half.
REST = math.log(2) / (math.log(2) - 2 * math.log(4 / 3))
POINTS = 32  # of ln F over the last half of a run
OFFSETS = np.geomspace(1e-3, 0.05, 12)  # above the threshold, of the straight line's effective LRs


@dataclass(frozen=True)
class Bracket:
    """Bisection: the largest effective LR that was seen to converge, and the smallest that was seen not to.

    `capped` if it is wider than was asked for: between them no run of the longest kind told either.
    """

    converges: float
    fails: float
    runs: int
    capped: bool = False

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
        whole, what either half of the points says otherwise (curvature), and the points' distance from it.
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
    return _watch(setting, effective_lr, iterations, progress)[0]


def _watch(
    setting: Setting, effective_lr: float, iterations: int, progress: Progress | None
) -> tuple[Array, Array, Array]:
    """As `falls`; the same of the group whose loss falls least; the sum of the angles of the steps over that half."""
    if not setting.fast:
        [course] = courses(dataclasses.replace(setting, iterations=iterations), [effective_lr], progress)
        norm = course.gradient_norm
        each, _ = exponents(norm[:, course.late], course.iterations[course.late])
        gone = regimes.collapsed(course.loss, norm, laws.random_loss(setting))
        way = course.angle[:, course.late].mean(axis=1) * iterations / 2
        each = 2 * np.where(gone, math.inf, each)
        return each, each, way
    pairs = _pairs(setting, np.full(setting.starts, effective_lr))
    half = iterations // 2
    pairs.advance(half)
    stride = max(1, half // POINTS)
    times, losses = half + stride * np.arange(POINTS), np.empty((POINTS, pairs.alphas.size, setting.starts))
    way = np.zeros(setting.starts)
    for i in range(POINTS):
        losses[i] = pairs.losses
        way += stride * pairs.angle
        pairs.advance(stride)
    if progress:
        progress(float(iterations * setting.starts))
    return _fall(times, losses.sum(axis=1)), _fall(times, losses).min(axis=0), way


def _fall(times: Array, losses: Array) -> Array:
    """Exponent of the fall in time, the first axis; infinite for what has left the range of numbers."""
    x = np.log(times)
    x -= x.mean()
    logs = np.log(np.maximum(losses, np.finfo(float).tiny))
    return np.where(losses[-1] <= np.finfo(float).tiny, math.inf, -np.tensordot(x, logs, axes=1) / (x @ x))


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
    `longest`. So is one whose loss does not fall while its steps add up to less than `WAY`: it is slow, and tells
    nothing. Where the longest run does not tell, the quarters of the bracket are tried, and if they do not narrow it,
    it stays as wide as it is.

    Raises
    ------
    ArithmeticError
        If no bracket is found within sixty factors of two, or a run on the way there does not tell.
    """
    count = 0
    silent: list[float] = []  # where the longest run told nothing: it would tell nothing again

    def converges(rate: float, width: float) -> bool | None:
        nonlocal count
        if any(abs(rate - known) < 1e-9 * rate for known in silent):
            return None
        iterations = int(min(max(200 / width, 2000), longest))
        while True:
            count += 1
            p, least, way = _watch(setting, rate, iterations, progress)
            if float(np.median(least)) > CLEAR[1]:
                return True
            # of values that may be infinite, hence without interpolation
            if float(np.quantile(np.abs(p), 0.75, method="higher")) < CLEAR[0] and float(np.median(way)) > WAY:
                return False
            if iterations >= longest:
                silent.append(rate)
                return None
            iterations = min(4 * iterations, longest)

    def tells(rate: float) -> bool:
        found = converges(rate, 0.1)
        if found is None:
            msg = f"at {rate:.4g} a run of {longest} iterations neither converges nor clearly fails to"
            raise ArithmeticError(msg)
        return found

    low = high = guess
    for _ in range(60):
        if tells(low):
            break
        low /= 2
    else:
        raise ArithmeticError("nothing converges")
    for _ in range(60):
        if high > low and not tells(high):
            break
        low, high = (high, 2 * high) if high > low else (low, 2 * high)
    else:
        raise ArithmeticError("everything converges")
    while high - low > tolerance * low:
        middle, width = (low + high) / 2, (high - low) / (low + high)
        found = converges(middle, width)
        if found is None:
            lower, upper = (low + middle) / 2, (middle + high) / 2
            less, more = converges(lower, width / 2), converges(upper, width / 2)
            if less is not True and more is not False:
                return Bracket(low, high, count, capped=True)
            low, high = lower if less else low, upper if more is False else high
        elif found:
            low = middle
        else:
            high = middle
    return Bracket(low, high, count)


def effort(setting: Setting) -> tuple[float, int]:
    """Relative tolerance and longest run of a bisection that takes no more than about half a minute."""
    if setting.fast:
        return TOLERANCE, LONGEST
    return SMALLER if setting.starts * setting.run(1.0).arrays.dim <= SIZE else LARGER


def doubt(bracket: Bracket, zero: Line) -> str:
    """Why the two measurements do not agree; empty if they do."""
    if not math.isfinite(zero.value) or not math.isfinite(zero.stderr):
        return "the mean loss above the result of the bisection has no slope after the line's iterations: a slow system"
    room = bracket.half_width + AGREE * zero.stderr
    if bracket.converges - room <= zero.value <= bracket.fails + room:
        return ""
    first, second = f"{bracket.value:.6g} +- {bracket.half_width:.1g}", f"{zero.value:.6g} +- {zero.stderr:.1g}"
    return f"bisection gives {first}, the line {second}"


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
    # the mean loss is straight near its zero only, and approached slowest there: what leaving out either half of the
    # points does to the zero is an error, too
    half = x.size // 2
    parts = [_zeros(x[part], whole[part])[0].mean() for part in (slice(half), slice(half, None))]
    curved = max(abs(float(1 / (1 / above + zero)) - value) for zero in parts)
    fitted = slopes.mean() * (x - zeros.mean())
    residual = float(np.sqrt(np.mean((whole.mean(axis=1) - fitted) ** 2))) / (abs(float(slopes.mean())) or math.nan)
    count = setting.starts
    spread = float(zeros.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
    # in 1/eta, hence times eta^2
    error = math.hypot(spread * value**2, REST * (value - late), curved, residual * value**2)
    errors = whole.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else np.zeros(rates.size)
    return Line(value, error, float(slopes.mean()), inverse, whole.mean(axis=1), errors)


def _zeros(x: Array, means: Array) -> tuple[Array, Array]:
    """Zero and slope of the line through each start's means (rate, start)."""
    centred = x - x.mean()
    slopes = centred @ means / (centred @ centred)
    # no slope, no zero
    return x.mean() - means.mean(axis=0) / np.where(slopes == 0, math.nan, slopes), slopes
