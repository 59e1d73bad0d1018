"""Integrators of the SDE: Euler-Maruyama, and a splitting whose norm is exact."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from sde_si.jit import jitted
from sde_si.methods.base import Array, Method, Scheme
from sde_si.methods.optimizers import (
    euler_linear,
    euler_step,
    velocity_coefficients,
    velocity_linear,
    velocity_step,
)


def _euler_coefficients(lr: Array, wd: Array, momentum: Array, h: float) -> dict[str, Array]:
    return {"noise1": np.full_like(lr, 1 / np.sqrt(h))}


@jitted
def sphere_step(x, state, hyper, offsets, g, out):
    """Norm by its closed form (theory.md 2.3), direction by a tangent step of the exact mean cosine (3.8).

    With q = |x|^4: q' = exp(-4uh) q + lr^2 tau (1 - exp(-4uh))/(2u), and the clock of the direction is
    v2 = int gamma^2 tau dk = 2 (u h + ln(r'/r)). A tangent step of mean square exp(v2) - 1, normalised, has
    E cos = exp(-v2/2) up to O(v2^2/d).
    """
    lr, h = hyper.lr, hyper.h
    u = lr * hyper.wd
    decay = -np.expm1(-4 * u * h)
    growth = lr * lr * (decay / (2 * u) if u > 0 else 2 * h)
    for p in range(x.shape[0]):
        for c in range(offsets.size - 1):
            low, high = np.uint64(offsets[c]), np.uint64(offsets[c + 1])
            norm = 0.0
            for j in range(low, high):
                norm += x[p, j] * x[p, j]
            trace = hyper.noise_variance * (offsets[c + 1] - offsets[c] - 1) / hyper.batch
            q = norm * norm
            # relative change of q, kept small so that no digits are lost
            change = trace * growth / q - decay
            clock = 2 * u * h + 0.5 * np.log1p(change)
            gamma = lr / norm
            expected = trace * gamma * gamma * h
            factor = lr * h * (np.sqrt(np.expm1(clock) / expected) if expected > 0 else 1.0)
            square = 0.0
            for j in range(low, high):
                out[p, j] = x[p, j] - factor * g[0, p, j]
            for j in range(low, high):
                square += out[p, j] * out[p, j]
            scale = np.sqrt(norm * np.sqrt(1 + change) / square)
            for j in range(low, high):
                out[p, j] *= scale


@jitted
def midpoint(x, state, hyper, out):
    """X + (h/2) v: gradient and noise in the middle of the substep make the scheme second order."""
    half = 0.5 * hyper.h
    v = state[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[p, i] = x[p, i] + half * v[p, i]


@jitted
def exponential_step(x, state, hyper, offsets, g, out):
    """Velocity damping, weight decay and noise by their exact linear flow, the gradient frozen (theory.md 9.9).

    x' = c0 x + c1 v - noise, v' = c2 x + c3 v - c5 g0 with the correlated noise of x in c4 g0 and ``noise2`` g1.
    """
    c0, c1, c2, c3, c4, c5 = hyper.c0, hyper.c1, hyper.c2, hyper.c3, hyper.c4, hyper.c5
    v, first, second = state[0], g[0], g[1]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            old = v[p, i]
            v[p, i] = c2 * x[p, i] + c3 * old - c5 * first[p, i]
            out[p, i] = c0 * x[p, i] + c1 * old - c4 * first[p, i] - second[p, i]


def flow(lr: ArrayLike, wd: ArrayLike, momentum: ArrayLike, h: float) -> tuple[Array, Array, Array]:
    """Exact flow over h steps of dv = (-(1-momentum) v - u x - lr f) dk + lr dB, dx = v dk (theory.md 9.9).

    A Taylor series over h/2^s steps, doubled s times. A schedule has thousands of learning rates: all are treated
    together, and each by sums and products alone, so that a setting's numbers do not depend on the others beside it
    and no call to LAPACK is made (whose threads wait for each other when the machine is busy).

    Parameters
    ----------
    lr, wd, momentum : array_like, shape (...)
        Hyperparameters per step.
    h : float
        Steps.

    Returns
    -------
    matrix : ndarray, shape (..., 2, 2)
        z(h) = matrix z(0) for z = (x, v).
    covariance : ndarray, shape (..., 2, 2)
        Of the noise.
    force : ndarray, shape (..., 2)
        Response to a constant force f = -1.
    """
    lr, wd, damping = np.broadcast_arrays(np.asarray(lr, float), wd, 1 - np.asarray(momentum, float))
    u = lr * wd
    doublings = np.maximum(np.frexp(h * np.maximum(1, np.abs(u) + damping))[1] + 2, 0)  # h |drift| / 2^s <= 1/4
    t = np.ldexp(h, -doublings)

    # e^(drift t), the integral of its second column, and that of the square of this column, for unit noise and force
    one, zero = np.ones_like(t), np.zeros_like(t)
    terms = [one, zero, zero, one, zero, t, zero, zero, t]
    sums = list(terms)
    for k in range(1, _ORDER):
        m00, m01, m10, m11, _, _, xx, xv, vv = terms
        scale, integral = t / k, t / (k + 1)
        m00, m01, m10, m11 = m10, m11, -u * m00 - damping * m10, -u * m01 - damping * m11
        xx, xv, vv = 2 * xv, vv - u * xx - damping * xv, -2 * (u * xv + damping * vv)
        matrix = [entry * scale for entry in (m00, m01, m10, m11)]
        terms = [*matrix, matrix[1] * integral, matrix[3] * integral, *(entry * integral for entry in (xx, xv, vv))]
        sums = [total + term for total, term in zip(sums, terms, strict=True)]
    for level in range(int(doublings.max(initial=0))):
        m00, m01, m10, m11, fx, fv, xx, xv, vv = sums
        top_x, top_v = m00 * xx + m01 * xv, m00 * xv + m01 * vv
        low_x, low_v = m10 * xx + m11 * xv, m10 * xv + m11 * vv
        twice = [
            *(m00 * m00 + m01 * m10, m00 * m01 + m01 * m11, m10 * m00 + m11 * m10, m10 * m01 + m11 * m11),
            *(fx + m00 * fx + m01 * fv, fv + m10 * fx + m11 * fv),
            *(xx + top_x * m00 + top_v * m01, xv + top_x * m10 + top_v * m11, vv + low_x * m10 + low_v * m11),
        ]
        sums = [np.where(level < doublings, after, before) for after, before in zip(twice, sums, strict=True)]
    m00, m01, m10, m11, fx, fv, xx, xv, vv = sums
    square = lr * lr
    covariance = np.stack([square * xx, square * xv, square * xv, square * vv], axis=-1)
    matrix = np.stack([m00, m01, m10, m11], axis=-1)
    return matrix.reshape(*t.shape, 2, 2), covariance.reshape(*t.shape, 2, 2), np.stack([lr * fx, lr * fv], axis=-1)


_ORDER = 18  # terms of the series: the next one is below 1e-17 of the sum


def _exponential_coefficients(lr: Array, wd: Array, momentum: Array, h: float) -> dict[str, Array]:
    settings, where = np.unique(np.stack([lr, wd, momentum]), axis=1, return_inverse=True)
    rates, decays, momenta = settings
    matrix, covariance, force = flow(rates, decays, momenta, h)
    still = rates == 0
    # one for what does not move: no division by zero
    variance, pull = np.where(still, 1.0, covariance[:, 1, 1]), np.where(still, 1.0, force[:, 1])
    l11 = np.sqrt(variance)
    l21 = covariance[:, 0, 1] / l11
    l22 = np.sqrt(np.maximum(covariance[:, 0, 0] - l21 * l21, 0.0))
    # The first draw is c5 (gradient + noise1 * noise): c5 carries the force on v, noise1 the noise of v.
    columns = [l11 / pull, l22, *matrix.reshape(-1, 4).T, l21 * pull / l11, force[:, 1]]
    return {name: column[where.ravel()] for name, column in zip(_COLUMNS, columns, strict=True)}


_COLUMNS = ("noise1", "noise2", "c0", "c1", "c2", "c3", "c4", "c5")


def _exponential_linear(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array]:
    matrix, covariance, _ = flow(lr, wd, momentum, h)
    return matrix, covariance


def _sphere_linear(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array]:
    """First order: E x decays by exp(-uh); K as the limit of small u."""
    decay = np.exp(-lr * wd * h)
    u = lr * wd
    noise = lr * lr * (-np.expm1(-2 * u * h) / (2 * u) if u else h)
    return np.diag([decay, 0.0]), np.diag([noise, 0.0])


INTEGRATORS = (
    Method(
        name="em",
        summary="Euler-Maruyama of the SDE; with momentum the velocity first, then the weights",
        source="Yun et al. eqs. 12, 15; with momentum 19-22; theory.md 3.1, 9.9",
        prediction="theory.md 3.5, 3.6, 9.2, 2.7 at its substep",
        sde=True,
        plain=Scheme(step=euler_step, elementwise=True, coefficients=_euler_coefficients, linear=euler_linear),
        heavy=Scheme(
            step=velocity_step, elementwise=True, slots=1, coefficients=velocity_coefficients, linear=velocity_linear
        ),
        substeps=8,
        weak_order=1,
    ),
    Method(
        name="splitting",
        summary="exact norm (no momentum) or exact linear flow (momentum); for noise of constant trace",
        source="theory.md 2.3, 3.8, 9.9",
        sde=True,
        plain=Scheme(step=sphere_step, coefficients=_euler_coefficients, linear=_sphere_linear),
        heavy=Scheme(
            step=exponential_step,
            where=midpoint,
            slots=1,
            coefficients=_exponential_coefficients,
            linear=_exponential_linear,
            draws=(True, False),
            elementwise=True,
        ),
        substeps=4,
        weak_order=1,
        constant_trace=True,
    ),
)
