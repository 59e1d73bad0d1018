"""Closed forms of the SDE: transients, equilibrium, Brownian motion on the sphere (theory.md 2, 6.5, 9.7)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

Array = np.ndarray


def quartic_norm(t: float | Array, lr: float, wd: float, *, noise_trace: float, start: float) -> float | Array:
    """|x_t|^4 from |x_0|^4 = `start` at SDE time t (steps times lr), constant noise trace (theory.md 2.3).

    Pathwise and exact for every loss; ``wd = 0`` is its limit.
    """
    t = np.asarray(t, dtype=float)
    growth = 2 * t if wd == 0 else -np.expm1(-4 * wd * t) / (2 * wd)
    result = np.exp(-4 * wd * t) * start + lr * noise_trace * growth
    return result if result.ndim else float(result)


def sde_norm_squared(lr: float, wd: float, momentum: float = 0.0, *, noise_trace: float) -> float:
    """E|x|^2 at equilibrium: sqrt(lr tau/(2 wd (1-mu))) (theory.md 2.3, 9.7)."""
    return math.sqrt(lr * noise_trace / (2 * wd * (1 - momentum)))


class Transient(NamedTuple):
    """Direction of the first-order SDE at time t against the start."""

    quartic: float  # |x_t|^4
    cos: float  # E <y_0, y_t>
    cos_squared: float  # E <y_0, y_t>^2
    clock: float  # Brownian clock s on the sphere


def transient(t: float, lr: float, wd: float, *, sigma: float, dim: int, start: float) -> Transient:
    """Isotropic noise of variance sigma^2 per tangential direction, no mean gradient (theory.md 2.4, 2.5).

    `start` is |x_0|.
    """
    trace = sigma**2 * (dim - 1)
    Q = quartic_norm(t, lr, wd, noise_trace=trace, start=start**4)
    log_cos = -(wd * t + math.log(Q / start**4) / 4)
    clock = -2 * log_cos / (dim - 1)
    return Transient(float(Q), math.exp(log_cos), 1 / dim + (1 - 1 / dim) * math.exp(-dim * clock), clock)


class Stratonovich(NamedTuple):
    """The SDE's symbols read in Stratonovich's sense, at time t."""

    norm_squared: float
    cos: float  # E <y_0, y_t>


def stratonovich(t: float, lr: float, wd: float, *, noise_trace: float, start: float) -> Stratonovich:
    """Isotropic noise, no mean gradient, eq. 12 without its Ito growth: |x| only decays (theory.md 3.2, 2.2).

    The direction still diffuses with the clock of its own, ever smaller, norm; `start` is |x_0|.
    """
    R = start**2 * math.exp(-2 * wd * t)
    growth = t if wd == 0 else math.expm1(4 * wd * t) / (4 * wd)
    return Stratonovich(R, math.exp(-lr * noise_trace / (2 * start**4) * growth))


def sde_lag_cosine(lag: float | Array, u: float, momentum: float = 0.0) -> float | Array:
    """E cos between weights `lag` optimizer steps apart at equilibrium (theory.md 2.4, 9.7).

    exp(-u n) without momentum; with it the second-order SDE, good where its roots are complex, too.
    """
    n = np.asarray(lag, dtype=float)
    if momentum == 0:
        result = np.exp(-u * n)
    else:
        k = 1 - momentum
        root = np.emath.sqrt(k * k - 4 * u + 0j)
        # (s- e^{s+ n} - s+ e^{s- n})/(s- - s+) with s+- = (-k +- root)/2, free of 0/0 at the double root
        x = root * n / 2
        sinc = np.where(np.abs(x) < 1e-8, 1 + x * x / 6, np.sinh(x) / np.where(x == 0, 1, x))
        result = np.real(np.exp(-k * n / 2) * (np.cosh(x) + k * n / 2 * sinc))
    return result if np.ndim(result) else float(result)


def sde_step_angle(u: float, momentum: float = 0.0) -> float:
    """Angle over one optimizer step, radians; not the optimizer's own (theory.md 9.7)."""
    return 2 * math.asin(math.sqrt((1 - float(sde_lag_cosine(1.0, u, momentum))) / 2))


def sde_relaxation_steps(u: float, momentum: float = 0.0) -> float:
    """Steps in which a small deviation of the norm falls by e: 1/(4u) at mu = 0 (theory.md 2.3), else 9.7."""
    if momentum == 0:
        return 1 / (4 * u)
    k = 1 - momentum
    # A' = 2C, C' = D - kC - uA, D' = -2kD - 2uC + n/A, linearised about A = 1, C = 0, D = u, n = 2ku
    jacobian = np.array([[0, 2, 0], [-u, -k, 1], [-2 * k * u, -2 * u, -2 * k]])
    return -1 / max(np.linalg.eigvals(jacobian).real)


def schedule_angles(epochs: int, factors: Array, tuning_factor: float, *, start: float = 1.0) -> tuple[Array, Array]:
    """Angle per epoch in degrees and |x|^4 over its first equilibrium value (theory.md 10.8, golden 14.6).

    Parameters
    ----------
    epochs : int
    factors : ndarray, shape (epochs,)
        Learning rate of each epoch over that of the first.
    tuning_factor : float
        Of the first epoch, with momentum folded in.
    start : float
        |x_0|^4 over its equilibrium value.

    Returns
    -------
    degrees, quartic : ndarray, shape (epochs,)
        The quartic norm at the END of each epoch.
    """
    degrees, quartic, Q = np.empty(epochs), np.empty(epochs), start
    for e in range(epochs):
        tf = tuning_factor * factors[e]
        after = Q * math.exp(-4 * tf) + factors[e] * -math.expm1(-4 * tf)
        degrees[e] = math.degrees(math.acos(math.exp(-tf) * (Q / after) ** 0.25))
        quartic[e] = Q = after
    return degrees, quartic


def lr_drop_angle(steps: float | Array, u: float, drop: float) -> float | Array:
    """Angle per step `steps` after lr was divided by `drop` at equilibrium; u is the new lr wd (theory.md 6.5)."""
    return np.sqrt(2 * u) / np.sqrt(1 + (drop - 1) * np.exp(-4 * u * np.asarray(steps, dtype=float)))


def lr_drop_steps(u: float, drop: float, within: float) -> float:
    """Steps after which `lr_drop_angle` is within the fraction `within` of its equilibrium (theory.md 6.5).

    From below after a drop, from above where lr rose (`drop` below 1). With momentum u/(1 - mu) stands for u.
    """
    if drop == 1:
        return 0.0
    edge = (1 - within) ** -2 - 1 if drop > 1 else (1 + within) ** -2 - 1
    return max(0.0, math.log((drop - 1) / edge) / (4 * u))


def sphere_brownian(clock: float, degree: int) -> float:
    """E P_l(cos) of Brownian motion on S^2 at clock s: exp(-l (l+1) s/2) (theory.md 2.5)."""
    return math.exp(-degree * (degree + 1) * clock / 2)


def sphere_density(clock: float, c: float, terms: int = 200) -> float:
    """Density of c = cos(angle to the start) of Brownian motion on S^2 with respect to dc (theory.md 2.5)."""
    from scipy.special import eval_legendre

    degree = np.arange(terms)
    return float(np.sum((2 * degree + 1) / 2 * np.exp(-degree * (degree + 1) * clock / 2) * eval_legendre(degree, c)))
