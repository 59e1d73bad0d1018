"""What a mean gradient changes: norms, linear scaling, drifting directions (theory.md 1.10, 4.3-4.5)."""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray


def norm_ratio(signal_to_noise: float) -> float:
    """E|x|^2 of SGD over that of its SDE: sqrt(1 + G/tau) (theory.md 4.4)."""
    return math.sqrt(1 + signal_to_noise)


def least_noise_to_signal(closeness: float) -> float:
    """Smallest tau/G at which E|x|^2 of SGD and SDE agree within a factor `closeness` > 1 (theory.md 4.4)."""
    return 1 / (closeness**2 - 1)


def largest_scaling(closeness: float, noise_to_signal: float) -> float:
    """Largest k by which batch and lr may grow together with E|x|^2 within a factor `closeness` (theory.md 4.5).

    `noise_to_signal` is tau/G before the scaling.
    """
    return closeness**2 + (closeness**2 - 1) * noise_to_signal


def drift_cosine(lag: float | Array, u: float, share: float) -> float | Array:
    """E cos over `lag` steps of SGD in the solvable model of drift and noise (theory.md 1.10).

    The mean gradient is Omega x/|x|^2 with Omega' = -Omega and Omega^2 = -G, so the mean step multiplies x by
    a - i sqrt(share (1 - a^2)), a = 1 - u: exact at constant norm.

    Parameters
    ----------
    lag : float or ndarray
        Steps.
    u : float
        Intrinsic learning rate per step.
    share : float
        G/(G + tau).
    """
    a = 1 - u
    across = math.sqrt(share * (1 - a * a))
    n = np.asarray(lag, dtype=float)
    result = math.hypot(a, across) ** n * np.cos(n * math.atan2(across, a))
    return result if result.ndim else float(result)
