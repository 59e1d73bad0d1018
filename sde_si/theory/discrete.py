"""Closed forms of the discrete optimizers without a mean gradient (theory.md 1, 2.7, 9)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from sde_si.theory.linear import recursion

Array = np.ndarray


class Moments(NamedTuple):
    """Stationary second moments of the weight x and its last displacement v: E|x|^2, E<x, v>, E|v|^2."""

    xx: float
    xv: float
    vv: float


def sgd_moments(lr: float, wd: float, momentum: float = 0.0, *, noise_trace: float) -> Moments:
    """Equilibrium of SGD or SGDM without a mean gradient, exact in u = lr wd (theory.md 1.4, 9.2).

    Parameters
    ----------
    lr, wd, momentum : float
        Learning rate per step, weight decay (> 0), momentum coefficient in [0, 1).
    noise_trace : float
        Trace tau of the minibatch-gradient covariance at the unit vector.

    Examples
    --------
    >>> round(sgd_moments(0.1, 0.5, noise_trace=7.0).xx, 12)
    0.847318545736
    """
    u = lr * wd
    xx = math.sqrt(lr * noise_trace / (wd * (1 - momentum) * (2 - u / (1 + momentum))))
    return Moments(xx, u * xx / (1 + momentum), 2 * u * xx / (1 + momentum))


def sgdw_moments(lr: float, wd: float, momentum: float = 0.0, *, noise_trace: float) -> Moments:
    """Equilibrium of SGD with decoupled weight decay lr wd a step (theory.md 9.5)."""
    b = 1 - lr * wd
    square = lr * lr * noise_trace
    xx = math.sqrt(square * (1 + b * momentum) / ((1 - b * b) * (1 - momentum**2) * (1 - b * momentum)))
    vv = square / ((1 - momentum**2) * xx)
    # v is the whole displacement only without decay: <x, v> of the displacement that adds to b x
    return Moments(xx, vv / (1 - b * momentum), vv)


def step_angle(u: float, momentum: float = 0.0) -> float:
    """Angle of one step at norm equilibrium, radians: arccos(1 - u/(1+mu)) (theory.md 1.3, 9.2).

    E<x, x'>/E|x|^2 = 1 - u/(1+mu) holds at stationarity for ANY scale-invariant loss, because <x, g> = 0 is all
    that the balance of E|x|^2 and E<x, v> needs.
    """
    return angle_of(u / (1 + momentum))


def _cosines(T: Array, steps: int, start: float) -> Array:
    """First component of T^n (1, `start`), start = E<x, v>/E|x|^2, for n = 0 .. `steps`."""
    (p, q), (r, t) = T.tolist()
    out, x, v = np.empty(steps + 1), 1.0, start
    for n in range(steps + 1):
        out[n] = x
        x, v = p * x + q * v, r * x + t * v
    return out


def lag_cosines(steps: int, u: float, momentum: float = 0.0) -> Array:
    """E cos between weights 0, 1, ..., `steps` optimizer steps apart at equilibrium (theory.md 9.2, c_n).

    By the recursion of weight and displacement, which is good where its roots are complex, too.
    """
    return _cosines(recursion(u, momentum)[0], steps, u / (1 + momentum))


def decoupled_lag_cosines(steps: int, u: float, momentum: float = 0.0) -> Array:
    """As `lag_cosines`, for decoupled weight decay u a step (theory.md 9.5)."""
    b = 1 - u
    start = (1 - b * b) / (1 + b * momentum)  # E<x, v>/E|x|^2 = D/A/(1 - b mu)
    return _cosines(recursion(u, momentum, decoupled=True)[0], steps, start)


def lag_roots(u: float, momentum: float) -> tuple[float, float, float]:
    """(z+, z-, alpha) of c_n = alpha z+^n + (1 - alpha) z-^n; for u < (1 - sqrt(mu))^2 (theory.md 9.2)."""
    half = (1 + momentum - u) / 2
    root = math.sqrt(half * half - momentum)
    return half + root, half - root, (1 - u / (1 + momentum) - half + root) / (2 * root)


class FiniteDimension(NamedTuple):
    """First order in 1/d at equilibrium (theory.md 2.7)."""

    variance: float  # Var(R)/A^2; E|x|^2 = A (1 + variance/2)
    versine_step: float  # 1 - E cos over one step
    cos: float  # E cos over n steps
    angle_step: float  # rms angle of one step, radians


def finite_dimension(
    steps: int, u: float, momentum: float, dim: int, *, kurtosis: float = 2.0, decoupled: bool = False
) -> FiniteDimension:
    """Corrections of first order in 1/d to the self-averaging laws (theory.md 2.7).

    Parameters
    ----------
    steps : int
        Lag n of the cosine.
    u, momentum : float
        Intrinsic learning rate per step, momentum coefficient.
    dim : int
        Dimension d of the group.
    kurtosis : float
        (d-1) Var(|g|^2)/E|g|^2^2 of the noise: 2 for normal increments, 0 for constant length.
    decoupled : bool
        Decoupled weight decay.

    Returns
    -------
    FiniteDimension
    """
    mu = momentum
    T, _ = recursion(u, mu, decoupled=decoupled)
    # (R, C, D)' = M (R, C, D) + m (1, 1, 1): the squares of x' = b x + mu v, v' = -pull x + mu v
    (p, q), (r, t) = T
    M = np.array([[p * p, 2 * p * q, q * q], [p * r, p * t + q * r, q * t], [r * r, 2 * r * t, t * t]])
    ones = np.ones(3)
    shape = np.linalg.solve(np.eye(3) - M, ones)  # stationary (R, C, D) per unit of m
    nu, C0, D0 = 1 / shape[0], shape[1] / shape[0], shape[2] / shape[0]
    Mt = M - nu * np.outer(ones, [1.0, 0, 0])
    noise = (kurtosis * nu**2 + 4 * mu**2 * nu * (D0 - C0**2)) / (dim - 1)
    S = np.linalg.solve(np.eye(9) - np.kron(Mt, Mt), noise * np.ones(9)).reshape(3, 3)
    V = S[0, 0]

    # Carried along the lag, all linearly: z = (cosine, <x0, v>), K = covariances of (R, C, D) now with z's
    # fluctuation, h = those of R at the start, G = of (R, C, D) now with those at the start.
    size = 2 + 6 + 2 + 9
    A = np.zeros((size, size))
    zs, Ks, hs, Gs = slice(0, 2), slice(2, 8), slice(8, 10), slice(10, 19)
    A[zs, zs], A[hs, hs] = T, T
    A[Ks, Ks], A[Gs, Gs] = np.kron(Mt, T), np.kron(Mt, np.eye(3))
    A[Ks, zs] = 2 * mu * nu / (dim - 1) * np.outer(np.ones(6), [-C0, 1.0])
    start = np.concatenate([[1.0, C0], S[:, :2].ravel(), S[0, :2], S.ravel()])

    def expected(state: Array) -> float:
        return float(state[0] * (1 + 0.75 * V + state[10] / 4) - (state[8] + state[2]) / 2)

    versine = 1 - expected(A @ start)
    cos = expected(np.linalg.matrix_power(A, steps) @ start)
    return FiniteDimension(float(V), versine, cos, rms_angle(versine))


def rms_angle(versine: float) -> float:
    """Root mean square angle, radians, of a narrow law with E(1 - cos) = `versine` (theory.md 2.7)."""
    return math.sqrt(2 * versine + versine**2 / 3)


def angle_of(versine: float) -> float:
    """arccos(1 - versine), exact for small angles, radians."""
    return 2 * math.asin(math.sqrt(versine / 2))


class FixedLength(NamedTuple):
    """Norms and mean cosines after each of n steps."""

    norm_squared: Array
    cos: Array


def fixed_length_sgd(steps: int, lr: float, wd: float, *, noise_trace: float, start: float) -> FixedLength:
    """SGD with gradient noise of constant length from |x_0|^2 = `start`: exact at every step (theory.md 1.1, 1.8).

    Returns
    -------
    FixedLength
        |x_k|^2 and E cos(x_0, x_k) for k = 0 .. `steps`.
    """
    a, R = 1 - lr * wd, np.empty(steps + 1)
    R[0] = start
    for k in range(steps):
        R[k + 1] = a * a * R[k] + lr * lr * noise_trace / R[k]
    return FixedLength(R, a ** np.arange(steps + 1) * np.sqrt(start / R))


def relaxation_steps(u: float, momentum: float = 0.0) -> float:
    """Steps in which a small deviation of the norm falls by e (theory.md 1.4, 9.4); 1/(4u) to first order at mu = 0."""
    trace = 1 + momentum - 4 * u + 2 * u * u / (1 + momentum)
    roots = np.roots([1, -trace, momentum])
    return -1 / math.log(max(abs(roots)))


def growth_factors(lr: Array, wd: float, momentum: Array) -> Array:
    """Factors alpha_k by which the weights decay against those of the equivalent run without weight decay.

    x_{k+1} = (1 + m_k - u_k) x_k - m_k x_{k-1} - lr_k g(x_k) and xt_k = x_k/(alpha_0 ... alpha_{k-1}) obey the same
    recursion with wd = 0, momentum m_k/(alpha_k alpha_{k-1}) and learning rate lr_k/(alpha_k (alpha_0 ...
    alpha_{k-1})^2) if alpha_k = 1 + m_k - u_k - m_k/alpha_{k-1}: theory.md 1.7 for any schedule.

    Parameters
    ----------
    lr, momentum : ndarray, shape (steps,)
        Learning rate and the factor m on the last displacement, step by step.
    wd : float
        Weight decay; lr wd <= (1 - sqrt(momentum))^2 at the first step.

    Returns
    -------
    ndarray, shape (steps + 1,)
        alpha_{-1} (the fixed point at the first step's values), alpha_0, ...
    """
    out = np.empty(lr.size + 1)
    trace = 1 + momentum[0] - lr[0] * wd
    out[0] = (trace + math.sqrt(trace * trace - 4 * momentum[0])) / 2
    for k in range(lr.size):
        out[k + 1] = 1 + momentum[k] - lr[k] * wd - momentum[k] / out[k]
    return out


class Reshuffled(NamedTuple):
    """Equilibrium under reshuffled noise."""

    cos_epoch: float  # between the ends of consecutive epochs
    norm_factor: float  # E|x|^2 over its value with replacement


def reshuffled(steps: int, u: float, momentum: float = 0.0, dim: float = math.inf) -> Reshuffled:
    """Noise that sums to zero over every epoch of `steps` steps, L = 0 (theory.md 1.13).

    To first order in rho/(1-mu), rho = n u; without momentum in the limit of many steps, with the leading 1/d term.
    """
    n, mu, rho = steps, momentum, steps * u
    if mu == 0:
        root = np.emath.sqrt(2 * rho - rho * rho / 4)
        limit = math.exp(-rho / 2) / float(np.real(np.cos(root) + rho * np.sinc(root / np.pi) / 2))
        return Reshuffled(limit - rho**2 * (n + 1) / (6 * (dim - 1) * (n - 1)), 1.0)
    nu = u * (1 - mu) * (2 - u / (1 + mu))
    V = mu**2 * (1 - mu ** (2 * n)) / (1 - mu**2) - mu**2 * (1 - mu**n) ** 2 / (n * (1 - mu) ** 2)
    f = 1 - 2 * mu / ((n - 1) * (1 - mu)) * (1 - (1 - mu**n) / (n * (1 - mu)))
    versine = nu / f * n / (n - 1) * V / ((1 - mu) ** 2 * (1 + mu**n))
    return Reshuffled(1 - versine, math.sqrt(f))
