"""Adam, AdamW and Lion at equilibrium, with plain numbers: Kosson et al.'s table and what is exact (theory.md 6.7).

With decoupled decay the weights are x' = (1-u) x + d, u = lr wd, for displacements d whose size does not depend on |x|.
So the autocorrelation of d decides everything (`driven`), at any u. C is the number of coordinates throughout.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

Array = np.ndarray
LONGEST = 10**6  # lags of an autocorrelation; memories above a fortieth of it are refused


class Balance(NamedTuple):
    """Equilibrium of one optimizer."""

    norm: float  # root of E|x|^2
    rotation: float  # rms angle per step, radians


class Driven(NamedTuple):
    """Stationary x' = (1-u) x + d."""

    norm_squared: float  # E|x|^2 in units of E|d|^2 at autocorrelation 1
    rotation: float  # rms angle per step, radians
    cosines: Array  # E<x_0, x_n>/E|x|^2 for n = 0, ..., steps


def kosson_adamw(lr: float, wd: float, beta1: float, dim: int) -> Balance:
    """Kosson et al.'s row of AdamW: sqrt(lr C/(2 wd)) and sqrt(2u (1-b1)/(1+b1)), for u << 1-b1 (theory.md 6.7)."""
    return Balance(math.sqrt(lr * dim / (2 * wd)), math.sqrt(2 * lr * wd * (1 - beta1) / (1 + beta1)))


def kosson_adam(lr: float, wd: float, beta1: float, dim: int, *, noise_trace: float) -> Balance:
    """Kosson et al.'s row of Adam with L2 decay in the gradient, for isotropic noise (theory.md 6.7).

    (lr <1, sqrt(E g^2)>/(2 wd))^(1/3) with <1, sqrt(E g^2)> = sqrt(C tau) for the gradient at the unit vector; the
    rotation sqrt((1-b1)/(1+b1)) lr sqrt(C)/|x| depends on the gradient's size through the norm.
    """
    norm = (lr * math.sqrt(dim * noise_trace) / (2 * wd)) ** (1 / 3)
    return Balance(norm, math.sqrt((1 - beta1) / (1 + beta1) * dim) * lr / norm)


def kosson_lion(lr: float, wd: float, beta1: float, beta2: float, dim: int) -> Balance:
    """Kosson et al.'s row of Lion, the sign linearised, for u << 1-b2 (theory.md 6.7)."""
    share = math.sqrt((1 - beta1) ** 2 + beta1**2 * (1 - beta2) / (1 + beta2))
    return Balance(math.sqrt(lr * dim / (math.pi * wd)) / share, math.sqrt(math.pi * lr * wd) * share)


def kosson_sgdw(lr: float, wd: float, momentum: float, *, noise_trace: float) -> Balance:
    """SGDW to first order in u: (lr tau/(2 wd))^(1/4)/sqrt(1-mu) and sqrt(2u (1-mu)/(1+mu)) (theory.md 9.5)."""
    norm = (lr * noise_trace / (2 * wd)) ** 0.25 / math.sqrt(1 - momentum)
    return Balance(norm, math.sqrt(2 * lr * wd * (1 - momentum) / (1 + momentum)))


def adam_decay(lr: float, wd: float, norm: float, dim: int, *, noise_trace: float) -> float:
    """Share of the weights that L2 decay takes in a step of Adam: lr wd |x| sqrt(C/tau), isotropic noise.

    The decay wd x is divided by the gradients' size s = sqrt(tau/C)/|x|: (|x|^2)' = lr^2 C - 2 lr wd |x|^2/s (theory.md
    6.7).
    """
    return lr * wd * norm * math.sqrt(dim / noise_trace)


def driven(u: float, correlations: Array, steps: int = 1) -> Driven:
    """Norm, rotation and cosines of x' = (1-u) x + d for stationary displacements d.

    Parameters
    ----------
    u : float
        Weight decay a step, in (0, 1).
    correlations : ndarray, shape (K,)
        E<d_0, d_k> for k = 0, 1, ..., K-1; zero beyond.
    steps : int
        Longest lag of the cosines.

    Notes
    -----
    A = (r_0 + 2 sum_k a^k r_k)/(1 - a^2), a = 1-u; P_{n+1} = a P_n + S_n with S_n = E<x_0, d_n>, which is
    sum_{j>=1} a^{j-1} r_{n+j} (theory.md 6.7, there for Lion; for r_k = b1^k it is 9.5).
    """
    a = 1 - u
    square, pushes = driven_moments(u, correlations)
    cosines = np.empty(steps + 1)
    cosines[0] = 1.0
    for n in range(steps):
        cosines[n + 1] = a * cosines[n] + (pushes[n] / square if n < pushes.size else 0.0)
    return Driven(square, driven_rotation(u, square, float(correlations[0])), cosines)


def driven_moments(u: float, correlations: Array) -> tuple[float, Array]:
    """E|x|^2 of `driven`, and S_n = E<x_0, d_n> for n = 0, 1, ..., in the same units."""
    a = 1 - u
    powers = a ** np.arange(correlations.size)
    square = (2 * float(powers @ correlations) - correlations[0]) / (1 - a * a)
    pushes = np.zeros(correlations.size)
    tail = 0.0
    for n in range(correlations.size - 2, -1, -1):
        tail = correlations[n + 1] + a * tail
        pushes[n] = tail
    return float(square), pushes


def driven_rotation(u: float, square: float, step: float) -> float:
    """Angle of a step of `driven`, radians, for E|x|^2 = `square` and E|d|^2 = `step`.

    Not from the cosine, which is near 1: 2 (1 - cos) = (step/square - u^2)/(1 - u) by the balance of E|x|^2.
    """
    return math.sqrt((step / square - u * u) / (1 - u))


def _lags(u: float, memory: float) -> Array:
    """Lags up to which memory^k (1-u)^k is not negligible."""
    count = 2 + int(40 / max(u, 1 - memory))
    if count > LONGEST:
        msg = f"a memory of {1 / (1 - memory):.0e} steps is too long for a sum over lags"
        raise ValueError(msg)
    return np.arange(count)


def adamw_correlations(u: float, beta1: float, beta2: float) -> Array:
    """E<d_0, d_k>/(lr^2 C) of AdamW under independent normal gradients, to first order in 1-b2.

    With v constant it is b1^k (1-b1)/(1+b1), as for SGDW. v = 1 + e fluctuates by Var e = 2 (1-b2)/(1+b2) and contains
    the gradients it divides; by the sign symmetry of each gradient only a gradient's product with itself counts, so
    E[g_j^2 (1 - e_0/2 - e_k/2 + 3 (e_0^2 + e_k^2)/8 + e_0 e_k/4)] over the gradients common to m_0 and m_k gives
    b1^k [(1-b1)/(1+b1) (1 + (1-b2)(3 + b2^k)/(2 (1+b2))) - (1-b2)(1-b1)^2 (1 + b2^k)/(1 - b1^2 b2)].
    """
    k = _lags(u, beta1)
    spread = (1 - beta2) / (1 + beta2)
    own = (1 - beta2) * (1 - beta1) ** 2 / (1 - beta1**2 * beta2)
    later = beta2**k
    return beta1**k * ((1 - beta1) / (1 + beta1) * (1 + spread * (3 + later) / 2) - own * (1 + later))


def adamw_equilibrium(u: float, beta1: float, beta2: float, steps: int = 1) -> Driven:
    """Equilibrium of AdamW at finite u = lr wd, first order in 1-b2; the norm in units of lr^2 C (theory.md 6.7, 9.5).

    Assumes independent normal gradients per coordinate and eps far below them.

    Examples
    --------
    >>> found = adamw_equilibrium(1e-3, 0.9, 0.999)
    >>> round(found.norm_squared ** 0.5 * 0.01 * 20, 3)  # lr = 0.01, C = 400; the row of Kosson et al. says 4.472
    4.45
    """
    return driven(u, adamw_correlations(u, beta1, beta2), steps)


def lion_correlations(u: float, beta1: float, beta2: float) -> Array:
    """E<d_0, d_k>/(lr^2 C) of Lion: (2/pi) arcsin of the correlation of what the sign is taken of (theory.md 6.7)."""
    k = _lags(u, beta2)
    square = (1 - beta1) ** 2 + beta1**2 * (1 - beta2) / (1 + beta2)
    rho = np.ones(k.size)
    rho[1:] = (1 - beta1) * beta1 * (1 - beta2) * beta2 ** (k[1:] - 1.0)
    rho[1:] += beta1**2 * (1 - beta2) ** 2 * beta2 ** k[1:] / (1 - beta2**2)
    rho[1:] /= square
    return 2 / math.pi * np.arcsin(np.minimum(rho, 1.0))


def lion_equilibrium(beta1: float, beta2: float, u: float, steps: int = 1) -> Driven:
    """Equilibrium of Lion at finite u = lr wd, sign not linearised (theory.md 6.7, golden 14.15).

    The norm in units of lr^2 C. Assumes independent normal gradients per coordinate.
    """
    return driven(u, lion_correlations(u, beta1, beta2), steps)


def adam_relaxation(decay: float, beta2: float, *, decoupled: bool) -> float:
    """Share of a small deviation of |x|^2 from equilibrium that a step of Adam or AdamW takes away, to first order.

    Gradients go as 1/|x|; their second moment v follows within 1/(1-b2) steps. With r and e the relative deviations of
    |x|^2 and v, r' = -4w r - 2w e (L2 decay: -w e), e' = -(1-b2)(r + e) for the decay w a step; the slower of the two
    rates counts. It is 2w (L2: 3w) only for w << 1-b2 (theory.md 6.7 says 2w), and (1-b2)/2 (L2: 3/4) for w >> 1-b2.

    Parameters
    ----------
    decay : float
        lr wd for AdamW, `adam_decay` for Adam.
    beta2 : float
        Memory of the second moment.
    decoupled : bool
        AdamW.
    """
    fast, product = 4 * decay + 1 - beta2, (2 if decoupled else 3) * decay * (1 - beta2)
    return 2 * product / (fast + math.sqrt(max(fast * fast - 4 * product, 0.0)))


def adamw_norms(steps: int, u: float, beta1: float, beta2: float, start: float) -> Array:
    """E|x|^2 after 0, 1, ..., `steps` steps of AdamW from memory zero, in units of lr^2 C.

    Second moments of x and m with a self-averaging norm and v, as in theory.md 9.2: gradients go as 1/|x|, v is their
    running mean square, both averages are corrected for their start at zero. v's fluctuations act as at
    equilibrium.

    Parameters
    ----------
    steps : int
        Optimizer steps.
    u : float
        lr wd.
    beta1, beta2 : float
        Coefficients.
    start : float
        E|x|^2 at the start, in units of lr^2 C.
    """
    a, out = 1 - u, np.empty(steps + 1)
    constant = driven(u, adamw_correlations(u, beta1, 1.0)).norm_squared
    share = math.sqrt(adamw_equilibrium(u, beta1, beta2).norm_squared / constant)
    A = out[0] = start
    xm = mm = v = 0.0
    for t in range(1, steps + 1):
        gg = 1 / A
        xm, mm = beta1 * xm, beta1**2 * mm + (1 - beta1) ** 2 * gg
        v = beta2 * v + (1 - beta2) * gg
        size = share * math.sqrt((1 - beta2**t) / v) / (1 - beta1**t)
        A = a * a * A - 2 * a * size * xm + size * size * mm
        xm = a * xm - size * mm
        out[t] = A
    return out


def relaxed(steps: Array, start: float, equilibrium: float, u: float) -> Array:
    """E|x|^2 after `steps` from `start` at the rate 2u, for u << 1-b2 (theory.md 6.7, 7.8)."""
    return equilibrium + (start - equilibrium) * np.exp(-2 * u * np.asarray(steps))
