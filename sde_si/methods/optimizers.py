"""The discrete optimizers: SGD and SGDM in the paper's and in torch's form, SGDW, SVAG."""

from __future__ import annotations

from typing import Any

import numpy as np

from sde_si.jit import jitted
from sde_si.methods.base import Array, Method, Scheme, outer, unit_noise


@jitted
def euler_step(x, state, hyper, offsets, g, out):
    """x' = x - lr h (g + wd x): SGD at h = 1, Euler-Maruyama below (theory.md 3.6)."""
    rate, wd = hyper.lr * hyper.h, hyper.wd
    g = g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[p, i] = x[p, i] - rate * (g[p, i] + wd * x[p, i])


@jitted
def velocity_step(x, state, hyper, offsets, g, out):
    """v' = c0 v - lr h (g + wd x), x' = x + h v' (Yun et al. eq. 3 at h = 1, eqs. 19-20 below)."""
    rate, wd, h, damping = hyper.lr * hyper.h, hyper.wd, hyper.h, hyper.c0
    v, g = state[0], g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            v[p, i] = damping * v[p, i] - rate * (g[p, i] + wd * x[p, i])
            out[p, i] = x[p, i] + h * v[p, i]


@jitted
def buffer_step(x, state, hyper, offsets, g, out):
    """b' = momentum b + g + wd x, x' = x - lr b' (torch)."""
    lr, wd, momentum = hyper.lr, hyper.wd, hyper.momentum
    b, g = state[0], g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            b[p, i] = momentum * b[p, i] + (g[p, i] + wd * x[p, i])
            out[p, i] = x[p, i] - lr * b[p, i]


@jitted
def decoupled_step(x, state, hyper, offsets, g, out):
    """v' = momentum v - lr g, x' = (1 - lr wd) x + v'."""
    lr, momentum, shrink = hyper.lr, hyper.momentum, 1.0 - hyper.lr * hyper.wd
    v, g = state[0], g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            v[p, i] = momentum * v[p, i] - lr * g[p, i]
            out[p, i] = shrink * x[p, i] + v[p, i]


@jitted
def svag_step(x, state, hyper, offsets, g, out):
    """x' = x - lr h (c0 g0 + c1 g1 + wd x): two batches, their difference amplified (theory.md 4.1)."""
    rate, wd, c0, c1 = hyper.lr * hyper.h, hyper.wd, hyper.c0, hyper.c1
    first, second = g[0], g[1]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[p, i] = x[p, i] - rate * (c0 * first[p, i] + c1 * second[p, i] + wd * x[p, i])


def euler_linear(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array]:
    """x' = (1 - u h) x + lr sqrt(h) noise."""
    return np.diag([1 - lr * wd * h, 0.0]), outer(lr * np.sqrt(h), 0)


def damping(momentum: Any, h: float) -> Any:
    """1 - (1 - momentum) h, written so that it is the momentum itself, to the bit, at h = 1."""
    return momentum + (1 - momentum) * (1 - h)


def velocity_coefficients(lr: Array, wd: Array, momentum: Array, h: float) -> dict[str, Array]:
    """Noise of variance h a substep, and the velocity's damping."""
    return {"noise1": np.full_like(lr, 1 / np.sqrt(h)), "c0": damping(momentum, h)}


def velocity_linear(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array]:
    """z = (x, v) of `velocity_step` (theory.md 9.2 at h = 1)."""
    u, m = lr * wd, damping(momentum, h)
    return np.array([[1 - u * h * h, h * m], [-u * h, m]]), outer(lr * h**1.5, lr * h**0.5)


def _buffer_linear(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array]:
    """z = (x, buffer): good for any schedule, also where lr is 0 (theory.md 9.10)."""
    return np.array([[1 - lr * wd, -lr * momentum], [wd, momentum]]), outer(lr, -1)


def _decoupled_linear(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array]:
    """z = (x, v) of `decoupled_step` (theory.md 9.5)."""
    return np.array([[1 - lr * wd, momentum], [0, momentum]]), outer(lr, lr)


def svag_coefficients(lr: Array, wd: Array, momentum: Array, h: float) -> dict[str, Array]:
    """(1 +- sqrt(2l - 1))/2 for l = 1/h (theory.md 4.1)."""
    root = np.sqrt(2 / h - 1)
    return {"c0": np.full_like(lr, (1 + root) / 2), "c1": np.full_like(lr, (1 - root) / 2)}


PLAIN_SGD = Scheme(step=euler_step, elementwise=True, coefficients=unit_noise, linear=euler_linear)

OPTIMIZERS = (
    Method(
        name="sgd",
        summary="SGD; with momentum in the paper's displacement form",
        source="Yun et al. eqs. 1, 3; theory.md 0.8 (S)",
        prediction="theory.md 9.2, 2.7",
        sde=False,
        plain=PLAIN_SGD,
        heavy=Scheme(
            step=velocity_step, elementwise=True, slots=1, coefficients=velocity_coefficients, linear=velocity_linear
        ),
    ),
    Method(
        name="sgd-torch",
        summary="SGD as torch writes it: the velocity is scaled by the lr of the moment",
        source="theory.md 0.8 (P)",
        prediction="theory.md 9.2, 2.7",
        sde=False,
        plain=PLAIN_SGD,
        heavy=Scheme(step=buffer_step, elementwise=True, slots=1, coefficients=unit_noise, linear=_buffer_linear),
    ),
    Method(
        name="sgdw",
        summary="SGD with decoupled weight decay lr wd a step",
        source="theory.md 0.8 (D), 9.5",
        prediction="theory.md 9.5, 2.7",
        sde=False,
        plain=PLAIN_SGD,
        heavy=Scheme(step=decoupled_step, elementwise=True, slots=1, coefficients=unit_noise, linear=_decoupled_linear),
        decoupled=True,
    ),
    Method(
        name="svag",
        summary="l substeps with the noise of SGD amplified by sqrt(l): towards the SDE by real minibatches",
        source="theory.md 4.1-4.3",
        prediction="theory.md 4.3, 3.5, 2.7",
        sde=True,
        plain=Scheme(
            step=svag_step, elementwise=True, coefficients=svag_coefficients, linear=euler_linear, draws=(True, True)
        ),
        heavy=None,
        substeps=4,
        weak_order=1,
    ),
)
