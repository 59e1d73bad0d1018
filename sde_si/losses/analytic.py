"""Losses with noise of known law: no signal, a von Mises-Fisher field, one square, Kodryan's pairs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sde_si.errors import require
from sde_si.jit import jitted
from sde_si.losses.base import DEFAULT_DIM, NOISE_SCALE, Arrays, Loss, Parameter

ISOTROPIC = Loss(
    name="isotropic",
    summary="no mean gradient; isotropic tangential noise: every noise-only law is exact",
    source="theory.md 2.5, 8.1",
    flat=True,
)


@jitted
def vmf_gradient(x, params, out, value):
    """L = -<m, y> with m = params[1][0]."""
    m = params[1]
    for p in range(x.shape[0]):
        norm = along = 0.0
        for j in range(x.shape[1]):
            norm += x[p, j] * x[p, j]
            along += x[p, j] * m[0, j]
        a = 1 / np.sqrt(norm)
        b = a * along / norm
        value[p] = -a * along
        for j in range(x.shape[1]):
            out[p, j] = b * x[p, j] - a * m[0, j]


def _vmf_arrays(values: Mapping[str, Any], dim: int | None, N: int, rng: np.random.Generator) -> Arrays:
    d = DEFAULT_DIM if dim is None else dim
    scalars = np.array([[values["noise_scale"], values["signal"]]])
    mean = np.zeros((1, d))
    mean[0, 0] = values["signal"]
    return Arrays((scalars, mean, np.zeros((0, 0))), d, N, np.array([0, d]), values["noise_scale"])


VMF = Loss(
    name="vmf",
    summary="samples -<m_i, y> with m_i ~ N(m, c I): isotropic noise and a signal, stationary law von Mises-Fisher",
    source="theory.md 8.3, 16.3",
    gradient=vmf_gradient,
    parameters={"noise_scale": NOISE_SCALE, "signal": Parameter(1.0, "length of the mean field m", least=0.0)},
    arrays=_vmf_arrays,
)


@jitted
def bingham_gradient(x, params, out, value):
    """L = a y_1^2 with a = params[0][0, 1]."""
    a = params[0][0, 1]
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(x.shape[1]):
            norm += x[p, j] * x[p, j]
        square = x[p, 0] * x[p, 0] / norm
        value[p] = a * square
        for j in range(x.shape[1]):
            out[p, j] = -2 * a * square * x[p, j] / norm
        out[p, 0] += 2 * a * x[p, 0] / norm


BINGHAM = Loss(
    name="bingham",
    summary="a y_1^2 and isotropic noise: two wells at the poles (a < 0) or one at the equator, stationary law Bingham",
    source="theory.md 8.2, 8.3",
    gradient=bingham_gradient,
    parameters={"noise_scale": NOISE_SCALE, "curvature": Parameter(-1.0, "a of a y_1^2, of either sign")},
)


@jitted
def groups_gradient(x, params, out, value):
    """F = sum alpha_i x_i^2/(x_i^2 + y_i^2), pair by pair; alphas in params[1][0]."""
    alphas = params[1]
    for p in range(x.shape[0]):
        total = 0.0
        for i in range(alphas.shape[1]):
            a, b, alpha = x[p, 2 * i], x[p, 2 * i + 1], alphas[0, i]
            total += alpha * a * a / (a * a + b * b)
        value[p] = total
        for i in range(alphas.shape[1]):
            a, b, alpha = x[p, 2 * i], x[p, 2 * i + 1], alphas[0, i]
            norm = a * a + b * b
            slope = 2 * alpha * a * b / (norm * norm)
            out[p, 2 * i] = slope * b
            out[p, 2 * i + 1] = -slope * a


def _groups_arrays(values: Mapping[str, Any], dim: int | None, N: int, rng: np.random.Generator) -> Arrays:
    alphas = np.array([values["alphas"]], dtype=float)
    d = 2 * alphas.size
    require(dim in (None, d), "dim", f"{d}, two for each of the {alphas.size} alphas (or none)", dim)
    scalars = np.array([[values["noise_scale"]]])
    return Arrays((scalars, alphas, np.zeros((0, 0))), d, N, np.arange(0, d + 1, 2), values["noise_scale"])


GROUPS = Loss(
    name="groups",
    summary="sum of alpha_i x_i^2/(x_i^2 + y_i^2): every pair is scale-invariant on its own",
    source="Kodryan et al. 3.2; theory.md 5.3",
    gradient=groups_gradient,
    parameters={
        "noise_scale": NOISE_SCALE,
        "alphas": Parameter((1.0, 2.0, 4.0), "curvature of each pair", kind="numbers", above=0.0),
    },
    arrays=_groups_arrays,
)
