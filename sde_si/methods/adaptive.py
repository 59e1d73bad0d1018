"""Optimizers that divide by the gradient's size or take its sign: Adam with L2 decay, AdamW, Lion.

Their steps are not linear in weights and memory: no linear theory. What theory says of their equilibrium stands in
`sde_si.theory.nonlinear`.
"""

from __future__ import annotations

import numpy as np

from sde_si.jit import jitted
from sde_si.methods.base import Method, Scheme, unit_noise


@jitted
def adam_step(x, state, hyper, offsets, g, out):
    """m' = b1 m + (1-b1)(g + wd x), v' = b2 v + (1-b2)(g + wd x)^2, both corrected for their start at 0 (torch)."""
    b1, b2, wd, eps = hyper.momentum, hyper.beta2, hyper.wd, hyper.eps
    rate = hyper.lr / (1.0 - b1 ** (hyper.step + 1.0))
    root = np.sqrt(1.0 - b2 ** (hyper.step + 1.0))
    m, v, g = state[0], state[1], g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            d = g[p, i] + wd * x[p, i]
            m[p, i] = b1 * m[p, i] + (1.0 - b1) * d
            v[p, i] = b2 * v[p, i] + (1.0 - b2) * (d * d)
            out[p, i] = x[p, i] - rate * m[p, i] / (np.sqrt(v[p, i]) / root + eps)


@jitted
def adamw_step(x, state, hyper, offsets, g, out):
    """Adam of the bare gradient, and the weights shrink by lr wd beside it (torch)."""
    b1, b2, eps, shrink = hyper.momentum, hyper.beta2, hyper.eps, 1.0 - hyper.lr * hyper.wd
    rate = hyper.lr / (1.0 - b1 ** (hyper.step + 1.0))
    root = np.sqrt(1.0 - b2 ** (hyper.step + 1.0))
    m, v, g = state[0], state[1], g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            m[p, i] = b1 * m[p, i] + (1.0 - b1) * g[p, i]
            v[p, i] = b2 * v[p, i] + (1.0 - b2) * (g[p, i] * g[p, i])
            out[p, i] = shrink * x[p, i] - rate * m[p, i] / (np.sqrt(v[p, i]) / root + eps)


@jitted
def lion_step(x, state, hyper, offsets, g, out):
    """x' = (1 - lr wd) x - lr sign(b1 m + (1-b1) g), then m' = b2 m + (1-b2) g."""
    lr, b1, b2, shrink = hyper.lr, hyper.momentum, hyper.beta2, 1.0 - hyper.lr * hyper.wd
    m, g = state[0], g[0]
    for p in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[p, i] = shrink * x[p, i] - lr * np.sign(b1 * m[p, i] + (1.0 - b1) * g[p, i])
            m[p, i] = b2 * m[p, i] + (1.0 - b2) * g[p, i]


_ADAM = Scheme(step=adam_step, elementwise=True, slots=2, coefficients=unit_noise, linear=None)
_ADAMW = Scheme(step=adamw_step, elementwise=True, slots=2, coefficients=unit_noise, linear=None)
_LION = Scheme(step=lion_step, elementwise=True, slots=1, coefficients=unit_noise, linear=None)

ADAPTIVE = (
    Method(
        name="adam",
        summary="Adam with L2 decay in the gradient, as torch.optim.Adam; momentum is beta1",
        source="Kosson et al.; theory.md 6.7",
        prediction="theory.md 6.7",
        sde=False,
        plain=_ADAM,
        heavy=_ADAM,
        extras={"beta2": 0.999, "eps": 1e-8},
        symmetry={"lr": 1, "wd": -2, "eps": -1},
    ),
    Method(
        name="adamw",
        summary="Adam with decoupled decay lr wd a step, as torch.optim.AdamW; momentum is beta1",
        source="Kosson et al.; theory.md 6.7, 9.6",
        prediction="theory.md 6.7, 9.5",
        sde=False,
        plain=_ADAMW,
        heavy=_ADAMW,
        decoupled=True,
        extras={"beta2": 0.999, "eps": 1e-8},
        symmetry={"lr": 1, "wd": -1, "eps": -1},
    ),
    Method(
        name="lion",
        summary="sign of an average of gradients, decoupled decay lr wd a step; momentum is beta1",
        source="Chen et al. 2023; theory.md 6.7",
        prediction="theory.md 6.7, 14.15",
        sde=False,
        plain=_LION,
        heavy=_LION,
        decoupled=True,
        extras={"beta2": 0.99},
        symmetry={"lr": 1, "wd": -1},
    ),
)
