"""Solvable stationary laws and toys: von Mises-Fisher, Bingham, SVAG, the two-cycle (theory.md 4, 5, 8)."""

from __future__ import annotations

import math
from typing import NamedTuple


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


def temperature(u: float, momentum: float = 0.0, *, variance: float, decoupled: bool = False) -> float:
    """Temperature T of the direction at norm equilibrium, times sqrt(d - 1): sqrt(c u/(2 B (1 - mu))) (theory.md 8.9).

    The stationary law of the direction on a loss L is exp(-L/T), to first order in u. With the tuning factor kept it
    goes as N^(-1/2).

    Parameters
    ----------
    u, momentum : float
        Intrinsic learning rate per step, momentum coefficient.
    variance : float
        c/B: variance of the minibatch gradient at the unit vector, per tangential direction.
    decoupled : bool
        Decoupled weight decay: no 1/(1 - mu) (theory.md 9.5).
    """
    return math.sqrt(variance * u / (2 * (1.0 if decoupled else 1 - momentum)))


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
