"""Rotation in a basin: every mode of the Hessian pulls the weights back (theory.md 18)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from sde_si.errors import require
from sde_si.theory.discrete import lag_cosines

Array = np.ndarray
Numbers: TypeAlias = Sequence[float] | Array


def mode_variance(pull: float | Array, momentum: float = 0.0) -> float | Array:
    """Stationary variance V(b) of one mode under unit noise (theory.md 18.1).

    Parameters
    ----------
    pull : float or ndarray
        b = lr (wd + curvature) per step, in (0, 2 (1 + momentum)).
    momentum : float
        Momentum coefficient in [0, 1).

    Raises
    ------
    BadInput
        If a mode is unstable.

    Examples
    --------
    >>> round(mode_variance(0.02), 6)
    25.252525
    """
    b = np.asarray(pull, dtype=float)
    edge = 2 * (1 + momentum)
    stable = bool(np.all((b > 0) & (b < edge)))
    require(stable, "pull", f"a pull per step in (0, {edge:g}), or the mode is unstable", pull)
    result = (1 + momentum) / ((1 - momentum) * b * (edge - b))
    return result if result.ndim else float(result)


def confined_versines(
    steps: int, u: float, momentum: float, pulls: Numbers, weights: Numbers, *, balanced: bool = True
) -> Array:
    """1 - E cos between weights 0, 1, ..., `steps` steps apart in a basin, for small rotations (theory.md 18.2).

    Parameters
    ----------
    steps : int
        Largest lag.
    u, momentum : float
        Intrinsic learning rate per step, momentum coefficient.
    pulls : sequence of float
        lr times the curvature of each mode, per step, weight decay not included; all zero is no basin (9.2).
    weights : sequence of float
        Each mode's share of the noise; their sum is made 1.
    balanced : bool
        True: the length of the weights is the one at which decay balances all that displaces them, noise and the
        gradients of the basin, E|v|^2 = 2u/(1+mu) E|x|^2 (9.2). False: noise alone, V(u) of 18.2 as it is printed;
        the result is too large by a factor 1 + sum w b/(2 (1 + mu)) to first order in b.

    Returns
    -------
    ndarray, shape (steps + 1,)
        Zero at lag 0.

    Raises
    ------
    BadInput
        If a mode is unstable.
    """
    w = np.asarray(weights, dtype=float) / np.sum(weights)
    b = u + np.asarray(pulls, dtype=float)
    spread = w * mode_variance(b, momentum)
    unit = float(spread @ b) / u if balanced else float(mode_variance(u, momentum))
    out = np.zeros(steps + 1)
    for share, pull in zip(spread, b, strict=True):
        out += share * (1 - lag_cosines(steps, float(pull), momentum))
    return out / unit


class Basin(NamedTuple):
    """Equilibrium of the weights' length near a minimum on the sphere."""

    norm_squared: float  # E|x|^2
    pulls: Array  # lr times each mode's curvature at that length, per step


def basin(lr: float, wd: float, momentum: float = 0.0, *, curvatures: Numbers, traces: Numbers) -> Basin:
    """Length at which decay balances noise and the basin's own gradients, and the pulls there (theory.md 9.2, 18.1).

    From E|v|^2 = (2u/(1+mu)) E|x|^2, which any scale-invariant loss keeps, and E|v_i|^2 = 2 var_i (1 - rho_i(1)) of
    each mode: |x|^4 = (lr^2/u) sum tau_i b_i V(b_i), b_i = u + lr k_i/|x|^2. Without curvature it is A^2 of 9.2.

    Parameters
    ----------
    lr, wd, momentum : float
        Learning rate per step, weight decay (> 0), momentum coefficient.
    curvatures : sequence of float
        Eigenvalues k_i >= 0 of the loss's Hessian in the tangent space at the unit vector.
    traces : sequence of float
        Minibatch-noise variance tau_i along each, at the unit vector.
    """
    from scipy.optimize import brentq

    u, k, tau = lr * wd, np.asarray(curvatures, dtype=float), np.asarray(traces, dtype=float)

    def excess(square: float) -> float:
        b = u + lr * k / square
        return float(lr * lr / u * (tau @ (b * mode_variance(b, momentum)))) / square**2 - 1

    # No shorter than by the noise alone, and no mode beyond the edge of stability.
    low = lr * math.sqrt(float(tau.sum()) * float(mode_variance(u, momentum)))
    low = max(low * (1 - 1e-12), lr * float(k.max()) / (2 * (1 + momentum) - u) * (1 + 1e-12))
    high = 2 * low
    while excess(high) > 0:
        high *= 2
    square = float(brentq(excess, low, high, rtol=1e-14))  # pyright: ignore[reportArgumentType]
    return Basin(square, lr * k / square)
