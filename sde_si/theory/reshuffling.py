"""Reshuffled noise over windows that are no whole epochs (theory.md 1.12, 1.13)."""

from __future__ import annotations

import math

import numpy as np


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
