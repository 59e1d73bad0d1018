"""Solvable stationary laws and toys: von Mises-Fisher, Bingham, SVAG, the two-cycle, Lion (theory.md 4, 5, 6.7, 8)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


def vmf_resultant(kappa: float, dim: int) -> float:
    """E<y, m/|m|> of the von Mises-Fisher law: I_{d/2}(kappa)/I_{d/2-1}(kappa) (theory.md 8.3)."""
    from scipy.special import ive

    if kappa < 1e-6:
        return kappa / dim
    high, low = ive(dim / 2, kappa), ive(dim / 2 - 1, kappa)
    if low > 1e-280:
        return float(high / low)
    # both underflow in high dimension: Gauss' continued fraction of the ratio, from far out
    ratio = 0.0
    for order in range(int(dim / 2 + kappa + 200), 0, -1):
        ratio = 1 / (2 * (dim / 2 + order - 1) / kappa + ratio)
    return ratio


def bingham_second_moment(k: float, dim: int) -> float:
    """E y_1^2 under exp(-k y_1^2) on the sphere: (1/d) M(3/2, d/2+1, -k)/M(1/2, d/2, -k) (theory.md 8.3)."""
    from scipy.special import hyp1f1

    # Kummer's transformation: both with positive argument, where hyp1f1 is accurate
    return float(hyp1f1((dim - 1) / 2, dim / 2 + 1, k) / hyp1f1((dim - 1) / 2, dim / 2, k)) / dim


def svag_coefficients(l: int) -> tuple[float, float]:  # noqa: E741  (the literature's letter)
    """Weights (1 +- sqrt(2l-1))/2 of the two batches of SVAG (theory.md 4.1)."""
    root = math.sqrt(2 * l - 1)
    return (1 + root) / 2, (1 - root) / 2


def svag_norm_squared(lr: float, wd: float, *, noise_trace: float, signal: float, l: int) -> float:  # noqa: E741
    """E|x|^2 of SVAG with l substeps: sqrt(lr (tau + G/l)/(2 wd)), to first order in u (theory.md 4.3)."""
    return math.sqrt(lr * (noise_trace + signal / l) / (2 * wd))


class TwoCycle(NamedTuple):
    """The period-2 orbit of one group at a > 1."""

    square: float  # x^2/(x^2 + y^2)
    log_growth: float  # of the squared norm per step
    multiplier: float  # of the two-step map


def two_cycle(a: float) -> TwoCycle:
    """Kodryan's toy with one group and a = alpha times the effective learning rate (theory.md 5.4)."""
    return TwoCycle((1 - 1 / a) / 2, 2 * math.log(a), (1 - 2 / a**2) ** 2)


class LionEquilibrium(NamedTuple):
    """Lion under gradients of independent signs."""

    norm_squared: float  # E|w|^2/(lr^2 C), C coordinates
    rotation: float  # rms angle per step, radians


def lion_equilibrium(beta1: float, beta2: float, u: float) -> LionEquilibrium:
    """Equilibrium norm and rotation of Lion at finite u = lr wd, sign not linearised (theory.md 6.7, golden 14.15)."""
    a = 1 - u
    S2 = (1 - beta1) ** 2 + beta1**2 * (1 - beta2) / (1 + beta2)
    k = np.arange(1, int(40 / min(u, 1 - beta2)) + 1)
    rho = (1 - beta1) * beta1 * (1 - beta2) * beta2 ** (k - 1) + beta1**2 * (1 - beta2) ** 2 * beta2**k / (1 - beta2**2)
    norm = (1 + 4 / math.pi * np.sum(a**k * np.arcsin(rho / S2))) / (1 - a * a)
    return LionEquilibrium(float(norm), math.sqrt((1 / norm - u * u) / (1 - u)))
