"""Rotation in a basin: every mode of the Hessian pulls the weights back (theory.md 18)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from sde_si.errors import require

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
    """1 - E cos between weights 0, 1, ..., `steps` steps apart in a basin, for small rotations (theory.md 18.2, 18.7).

    Of a mode of pull b under unit noise, half the mean squared displacement over n steps is A_n = V(b) (1 - rho_b(n)).
    rho obeys x's own recursion, also at n = 0 where rho(-1) = rho(1), so A_{n+1} - A_n = A_1 (h_n + mu h_{n-1}) with
    the response h to a kick (h_{-1} = 0, h_0 = 1, h_{n+1} = (1+mu-b) h_n - mu h_{n-1}) and
    A_1 = 1/((1-mu)(2(1+mu) - b)). In that form no mode needs a variance of its own, and b may be negative.

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
        gradients of the basin, E|v|^2 = 2u/(1+mu) E|x|^2 (9.2): one step is exactly 1 - cos = u/(1+mu). False: noise
        alone, V(u) of 18.2 as it is printed, for pulls of at least 0; the result is too large by a factor
        1 + sum w b/(2 (1 + mu)) to first order in b.

    Returns
    -------
    ndarray, shape (steps + 1,)
        Zero at lag 0.

    Raises
    ------
    BadInput
        If a mode is at or beyond the edge of stability.
    """
    w = np.asarray(weights, dtype=float) / np.sum(weights)
    b, edge = u + np.asarray(pulls, dtype=float), 2 * (1 + momentum)
    require(bool(np.all(b < edge)), "pulls", f"less than {edge:g} - u, or the mode is unstable", float(b.max()))
    first = w / ((1 - momentum) * (edge - b))  # w A_1
    unit = first.sum() * (1 + momentum) / u if balanced else float(mode_variance(u, momentum))
    out, h, before = np.zeros(steps + 1), np.ones_like(b), np.zeros_like(b)
    for n in range(steps):
        out[n + 1] = out[n] + first @ (h + momentum * before)
        h, before = (1 + momentum - b) * h - momentum * before, h
    return out / unit


_EULER = 8  # differences in Euler's transformation: an alternating sum from its first terms


def _steps_apart(response: Numbers) -> tuple[Array, Array]:
    """The checked response H_n, and H_n - H_{n+1} + H_{n+2} - ..."""
    H = np.asarray(response, dtype=float)
    require(H.ndim == 1 and H.size >= 2 and H[0] > 0, "response", "at least 2 numbers, the first above 0", H)
    D, difference = np.zeros(H.size), H
    for k in range(min(_EULER, H.size)):
        D[: difference.size] += difference / 2 ** (k + 1)
        difference = difference[:-1] - difference[1:]
    return H, D


def response_versines(u: float, momentum: float, response: Numbers) -> Array:
    """1 - E cos between weights 0, 1, ... steps apart, from how the weights answer to their own noise (theory.md 18.8).

    Summed over the modes with their shares w of the noise, `confined_versines` says for D_n = sum w (A_{n+1} - A_n) and
    the mean response H_n = sum w h_n to a kick by noise, since (2(1+mu) - b) h_n = h_{n+1} + (1+mu) h_n + mu h_{n-1}:
    D_n + D_{n+1} = H_n/(1-mu). So 1 - cos grows over two steps by the response,

        versine(n+2) - versine(n) = lr^2 tau/((1-mu) |x|^4) H_n,

    a relation between fluctuation and response in which no curvature appears. The scale follows from one step,
    1 - cos = u/(1+mu): D_n = (H_n - H_{n+1} + H_{n+2} - ...)/(1-mu), summed by Euler's transformation, which looks at
    the next few delays only, since responses are measured with noise. It takes for granted a norm equilibrium, noise
    drawn with replacement, and a motion that is symmetric under time reversal. Where it is not, as in a basin that is
    not quadratic with more noise in some directions than in others, H_n + I_{n+1}/K in the place of H_n makes it right:
    K = lr^2 times the noise trace, I_n = -lr E<d, g + g'> of the displacement d over n steps, with the gradients at
    both its ends (theory.md 18.9).

    Parameters
    ----------
    u, momentum : float
        Intrinsic learning rate per step, momentum coefficient.
    response : sequence of float, shape (steps,)
        H_0 > 0, H_1, ...: what is left of a kick along itself, 0, 1, ... steps after it, in any unit. At least 2.

    Returns
    -------
    ndarray, shape (steps + 1,)
        Zero at lag 0.
    """
    H, D = _steps_apart(response)
    # versine(n) + versine(n+1) - versine(1) is the sum of the responses before n; versine(n+1) - versine(n) is D_n.
    half = (np.cumsum(H) + D[0] - np.append(D[1:], H[-1] - D[-1])) / 2
    half[0] = D[0]
    return np.concatenate([[0.0], half]) * (u / (1 + momentum) / D[0])


def response_norm(lr: float, wd: float, momentum: float, response: Numbers, *, noise_trace: float) -> float:
    """Length of the weights at which decay balances noise and basin, by the response to noise (theory.md 18.7, 18.8).

    |x|^4 = (lr^2 tau/u) sum w b V(b), and sum w b V(b) = (1+mu)/(1-mu) (H_0 - H_1 + H_2 - ...)/H_0.

    Parameters
    ----------
    lr, wd, momentum : float
        Learning rate per step, weight decay (> 0), momentum coefficient.
    response : sequence of float
        As in `response_versines`; the first few delays decide.
    noise_trace : float
        Trace tau of the minibatch-gradient covariance at the unit vector.
    """
    H, D = _steps_apart(response)
    return float((lr * noise_trace / wd * (1 + momentum) / (1 - momentum) * D[0] / H[0]) ** 0.25)


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
