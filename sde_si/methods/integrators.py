"""Integrators of the SDE: Euler-Maruyama, and a splitting whose norm is exact."""

from __future__ import annotations

import numpy as np

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


def flow(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array, Array]:
    """Exact flow over h steps of dv = (-(1-momentum) v - u x - lr f) dk + lr dB, dx = v dk.

    Returns
    -------
    matrix : ndarray, shape (2, 2)
        z(h) = matrix z(0) for z = (x, v).
    covariance : ndarray, shape (2, 2)
        Of the noise, by Van Loan's block exponential.
    force : ndarray, shape (2,)
        Response to a constant force f = -1.
    """
    from scipy.linalg import expm

    drift = np.array([[0.0, 1.0], [-lr * wd, -(1 - momentum)]])
    block = np.zeros((4, 4))
    block[:2, :2], block[2:, 2:], block[1, 3] = -drift, drift.T, lr * lr
    exponential = expm(block * h)
    matrix = exponential[2:, 2:].T
    augmented = np.zeros((3, 3))
    augmented[:2, :2], augmented[1, 2] = drift, lr
    return matrix, matrix @ exponential[:2, 2:], expm(augmented * h)[:2, 2]


def _exponential_coefficients(lr: Array, wd: Array, momentum: Array, h: float) -> dict[str, Array]:
    settings, where = np.unique(np.stack([lr, wd, momentum]), axis=1, return_inverse=True)
    columns = np.zeros((len(_COLUMNS), settings.shape[1]))
    for i, (rate, decay, mu) in enumerate(settings.T):
        matrix, covariance, force = flow(rate, decay, mu, h)
        if rate == 0:
            columns[:, i] = [1, 0, *matrix.ravel(), 0, 0]
            continue
        l11 = np.sqrt(covariance[1, 1])
        l21 = covariance[0, 1] / l11
        l22 = np.sqrt(max(covariance[0, 0] - l21 * l21, 0.0))
        # The first draw is c5 (gradient + noise1 * noise): c5 carries the force on v, noise1 the noise of v.
        columns[:, i] = [l11 / force[1], l22, *matrix.ravel(), l21 * force[1] / l11, force[1]]
    return dict(zip(_COLUMNS, columns[:, where.ravel()], strict=True))


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
