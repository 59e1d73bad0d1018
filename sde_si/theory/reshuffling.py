"""Reshuffled noise over windows that are no whole epochs (theory.md 1.12, 1.13)."""

from __future__ import annotations

import math

import numpy as np

from sde_si.jit import jitted
from sde_si.theory.discrete import reshuffled, sgd_moments

Array = np.ndarray


def reshuffled_versine(
    steps: int, u: float, momentum: float = 0.0, *, start: int = 0, length: int | None = None
) -> float:
    """1 - E cos over a window of an equilibrium whose noise sums to zero over every epoch, no mean gradient.

    To first order in n u/(1 - mu), at frozen direction: noise that enters at step j moves the weights by
    K_j = h(end - j) - h(start - j), h(m) = (1 - mu^m)/(1 - mu), and in each epoch the part of K that is constant
    cancels. Whole epochs give the law of `reshuffled`; without momentum a window of n steps from the fraction phi of an
    epoch gives 2 n u phi (1 - phi) n/(n - 1), the last formula of theory.md 1.13 (zero at the ends: there the next
    order, `reshuffled`, is all).

    Parameters
    ----------
    steps : int
        Steps n of an epoch, at least 2.
    u, momentum : float
        Intrinsic learning rate per step, momentum coefficient.
    start : int
        Steps between the begin of an epoch and that of the window.
    length : int or None
        Steps of the window; None is n.

    Examples
    --------
    >>> round(reshuffled_versine(44, 1.6e-4, 0.9), 10)
    0.0117950746
    """
    n, mu = steps, momentum
    end = start + (n if length is None else length)
    # what entered longer ago than `reach` steps moves the weights no more
    reach = math.ceil(40 / -math.log(mu)) if mu else 0
    first, last = -(-(reach) // n), -(-end // n)
    j = np.arange(-first * n, last * n)

    def moved(until: int) -> np.ndarray:
        age = np.maximum(until - j, 0)
        return (1 - mu**age) / (1 - mu) if mu else np.minimum(age, 1).astype(float)

    K = (moved(end) - moved(start)).reshape(-1, n)
    spread = float(np.sum(K**2) - np.sum(K.sum(axis=1) ** 2) / n)
    nu = u * (1 - mu) * (2 - u / (1 + mu))
    f = 1 - 2 * mu / ((n - 1) * (1 - mu)) * (1 - (1 - mu**n) / (n * (1 - mu)))
    return nu / f * n / (n - 1) * spread / 2


@jitted
def sum_zero_march(steps, u, momentum, epochs, start, state, versines):
    """Carry `state` = (|x|^2, <x, v>, |v|^2) over `epochs` and then a window; see `reshuffled_versines`.

    `versines[k]` becomes 1 - cos between the weights at the window's begin, `start` steps into an epoch, and k steps
    later. Units: lr = tau = 1. Returns |x|^2 at the window's begin.
    """
    A, C, D = state[0], state[1], state[2]
    P = W = seen = begin = 0.0
    taken, e = -1, 0
    while taken < versines.size - 1:
        # what every sample still to come has in common with x and with v; a fresh set has nothing
        s = q = 0.0
        seen = 0.0
        for k in range(steps):
            if e == epochs and k == start:
                taken, P, W, seen, begin = 0, A, C, s, A
                versines[0] = 0.0
            r = np.sqrt(A)
            across = momentum * C - u * A
            v2 = momentum * momentum * D + (1 - s * s / A) / A + u * u * A - 2 * momentum * u * C
            v2 -= 2 * momentum * (q / r - C * s / (A * r))
            if 0 <= taken < versines.size - 1:
                W = momentum * W - (seen / r - P * s / (A * r)) - u * P
                P = P + W
                taken += 1
                versines[taken] = 1 - P / np.sqrt(begin * (A + 2 * across + v2))
            q = momentum * q + 1 / ((steps - 1) * r) + s * s / (A * r) - u * s
            s = s + q
            A, C, D = A + 2 * across + v2, across + v2, v2
        e += 1
    state[0], state[1], state[2] = A, C, D
    return begin


def reshuffled_versines(steps: int, u: float, momentum: float, lags: int, *, start: int = 0) -> Array:
    """1 - E cos over 0, 1, ..., `lags` steps from any place in an epoch: all orders in n u/(1 - mu), d -> infinity.

    In high dimension |x|^2, <x, v>, |v|^2 and the products s = <x, z>, q = <v, z> with the samples z that the epoch has
    still to use do not fluctuate, and by exchangeability s and q are the same for all of these. With
    g = z/r - x s/r^3 and <z, z'> = -tau/(n - 1) that closes: a deterministic recursion, carried on until it repeats
    itself from epoch to epoch (model of theory.md 1.13, whose law is its first order). Finite d adds about
    (n u/(1 - mu))^2 (n + 1)/(6 (d - 1)(n - 1)) between epoch ends.

    Parameters
    ----------
    steps : int
        Steps n of an epoch, at least 2.
    u, momentum : float
        Intrinsic learning rate per step, momentum coefficient.
    lags : int
        Length of the longest window.
    start : int
        Steps between the begin of an epoch and that of the windows.

    Returns
    -------
    ndarray, shape (lags + 1,)
    """
    xx, xv, vv = sgd_moments(1.0, u, momentum, noise_trace=1.0)
    state = np.array([xx * reshuffled(steps, u, momentum).norm_factor, xv, vv])
    # the start is off by first order in T; deviations of |x|^2 fall by e in 1/(4 T) epochs
    settle = math.ceil(6 * (1 - momentum) / (steps * u)) + 2
    versines = np.empty(lags + 1)
    sum_zero_march(steps, float(u), float(momentum), settle, start, state, versines)
    return versines
