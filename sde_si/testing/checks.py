"""Contracts: what every loss and every method must satisfy, also a user's own."""

from __future__ import annotations

import math

import numpy as np

from sde_si.losses import Arrays
from sde_si.methods import HYPER, Method, Scheme
from sde_si.problem import Problem

Array = np.ndarray


def _close(a: Array, b: Array, tolerance: float, what: str) -> None:
    """Equal to `tolerance` of the larger one's size."""
    scale = max(float(np.max(np.abs(a), initial=0)), float(np.max(np.abs(b), initial=0)), 1e-300)
    worst = float(np.max(np.abs(a - b), initial=0)) / scale
    if not worst <= tolerance:
        msg = f"{what}: off by {worst:.2e} of its size, more than {tolerance:.0e}"
        raise AssertionError(msg)


def evaluate(problem: Problem, x: Array, *, N: int | None = None, seed: int = 0) -> tuple[Array, Array]:
    """Mean gradient (path, d) and loss (path,) of weights ``x[path, d]``."""
    arrays, gradient = problem.arrays(N, seed), problem.loss.gradient
    out, value = np.zeros_like(x), np.zeros(x.shape[0])
    if gradient is not None:
        gradient(x, arrays.params, out, value)
    return out, value


def noise_factor(problem: Problem, x: Array, *, N: int | None = None, seed: int = 0) -> Array:
    """The factor S of one sample's gradient covariance S S' at one path's weights ``x[1, d]``, shape (d, noise_dim)."""
    arrays = problem.arrays(N, seed)
    if problem.loss.noise is None:
        return isotropic_factor(x, arrays)
    columns = []
    for k in range(arrays.noise_dim):
        xi, out = np.zeros((1, arrays.noise_dim)), np.zeros_like(x)
        xi[0, k] = 1.0
        problem.loss.noise(x, xi, 1.0, arrays.params, arrays.offsets, out)
        columns.append(out[0])
    return np.stack(columns, axis=1)


def isotropic_factor(x: Array, arrays: Arrays) -> Array:
    """sqrt(c) P(y)/|x|, group by group, of one path's weights ``x[1, d]``."""
    S = np.zeros((arrays.dim, arrays.dim))
    for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
        part = x[0, low:high]
        length = np.linalg.norm(part)
        projector = np.eye(high - low) - np.outer(part, part) / length**2
        S[low:high, low:high] = math.sqrt(arrays.noise_variance) / length * projector
    return S


def check_loss(problem: Problem, x: Array, scale: float, *, N: int | None = None, seed: int = 0) -> None:
    """Check scale invariance and all that follows from it (theory.md 0.4) at weights `x` and `scale` times `x`.

    Parameters
    ----------
    problem : Problem
        Of any loss, also a user's own.
    x : ndarray, shape (path, d)
        Weights without a zero group.
    scale : float
        Positive.
    N, seed : int
        For generated data.

    Raises
    ------
    AssertionError
        Naming the first law that is broken, and by how much.
    """
    arrays = problem.arrays(N, seed)
    x = np.ascontiguousarray(x)
    g, value = evaluate(problem, x, N=N, seed=seed)
    scaled, same = evaluate(problem, scale * x, N=N, seed=seed)
    size = np.linalg.norm(x) * np.linalg.norm(g) + np.max(np.abs(value)) + 1e-300
    _close(value, same, 1e-9, "the loss must not depend on the weights' length")
    _close(g, scale * scaled, 1e-8, "grad L(a x) = grad L(x)/a")
    for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
        along = np.sum(x[:, low:high] * g[:, low:high], axis=1)
        if np.max(np.abs(along)) > 1e-9 * size:
            msg = f"<x, grad L> = 0 in the group of weights {low} to {high - 1}: found {along.max():.2e}"
            raise AssertionError(msg)
    if problem.loss.gradient is not None:
        _check_derivatives(problem, x, g, N, seed)
    _check_noise(problem, x[:1], scale, N, seed)
    if problem.loss.minibatch is not None:
        _check_minibatch(problem, x[:1], N, seed)


def _check_derivatives(problem: Problem, x: Array, g: Array, N: int | None, seed: int) -> None:
    """Finite differences: of the loss against the gradient, of the gradient along x against -grad (Euler)."""
    # A direction of its own seed: along x itself every gradient would pass.
    direction = np.random.default_rng([20_220_729, x.shape[1]]).standard_normal(x.shape)
    direction *= np.linalg.norm(x, axis=1, keepdims=True) / np.linalg.norm(direction, axis=1, keepdims=True)
    step = 1e-4
    _, up = evaluate(problem, x + step * direction, N=N, seed=seed)
    _, down = evaluate(problem, x - step * direction, N=N, seed=seed)
    found, expected = (up - down) / (2 * step), np.sum(g * direction, axis=1)
    scale = np.linalg.norm(g, axis=1) * np.linalg.norm(x, axis=1) + 1e-6 * (1 + np.abs(up))
    worst = float(np.max(np.abs(found - expected) / scale))
    if worst > 1e-3:
        msg = f"gradient and loss disagree: finite difference off by {worst:.1e} of |grad| |x|"
        raise AssertionError(msg)
    h = 1e-5
    up, _ = evaluate(problem, (1 + h) * x, N=N, seed=seed)
    down, _ = evaluate(problem, (1 - h) * x, N=N, seed=seed)
    _close((up - down) / (2 * h), -g, 1e-6, "H(x) x = -grad L(x)")


def _check_noise(problem: Problem, x: Array, scale: float, N: int | None, seed: int) -> None:
    arrays = problem.arrays(N, seed)
    S = noise_factor(problem, x, N=N, seed=seed)
    _close(S, scale * noise_factor(problem, scale * x, N=N, seed=seed), 1e-8, "S(a x) = S(x)/a")
    for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
        along = x[0, low:high] @ S[low:high]
        if np.max(np.abs(along)) > 1e-9 * np.linalg.norm(x) * max(np.linalg.norm(S), 1e-300):
            msg = f"Sigma(x) x = 0: the noise has a part along x, {np.max(np.abs(along)):.2e}"
            raise AssertionError(msg)
    if math.isfinite(arrays.noise_variance):
        trace = sum(
            np.sum(S[a:b] ** 2) * np.sum(x[0, a:b] ** 2)
            for a, b in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True)
        )
        expected = arrays.noise_trace
        _close(np.array([trace]), np.array([expected]), 1e-9, "noise_variance (d - 1) is the trace at the unit vector")


def _check_minibatch(problem: Problem, x: Array, N: int | None, seed: int) -> None:
    """The mean over all samples is the gradient, their covariance is S S'."""
    arrays = problem.arrays(N, seed)
    minibatch = problem.loss.minibatch
    assert minibatch is not None
    each = np.empty((arrays.N, arrays.dim))
    for i in range(arrays.N):
        minibatch(x, np.array([[i]]), arrays.params, each[i : i + 1])
    g, _ = evaluate(problem, x, N=N, seed=seed)
    _close(each.mean(axis=0), g[0], 1e-8, "the mean over all samples must be the gradient")
    whole = np.empty_like(x)
    minibatch(x, np.arange(arrays.N)[None], arrays.params, whole)
    _close(whole, g, 1e-8, "the minibatch of all samples must be the gradient")
    S = noise_factor(problem, x, N=N, seed=seed)
    _close(S @ S.T, np.cov(each.T, ddof=0), 1e-8, "S S' must be the covariance of the samples' gradients")


def _row(method: Method, scheme: Scheme, lr: float, wd: float, momentum: float) -> Array:
    """One record of `HYPER` for a step at these hyperparameters."""
    row = np.zeros(1, HYPER)
    row["lr"], row["wd"], row["momentum"], row["h"], row["batch"] = lr, wd, momentum, 1 / method.substeps, 1
    row["noise1"] = row["noise2"] = 1.0
    row["beta2"], row["eps"] = method.extras.get("beta2", 0.0), method.extras.get("eps", 0.0)
    for name, column in scheme.coefficients(row["lr"], row["wd"], row["momentum"], 1 / method.substeps).items():
        row[name] = column
    return row


def _check_elementwise(method: Method, scheme: Scheme, lr: float, wd: float, momentum: float) -> None:
    """All paths in one row must give what the paths by themselves give."""
    hyper = _row(method, scheme, lr, wd, momentum)[0]
    rng, paths, d = np.random.default_rng(1), 3, 4
    results = []
    x, state = rng.standard_normal((paths, d)), rng.random((scheme.slots, paths, d))
    g = rng.standard_normal((len(scheme.draws), paths, d))
    for rows, offsets in ((paths, np.array([0, 2, d])), (1, np.array([0, paths * d]))):
        long = paths * d // rows
        memory, out = state.reshape(scheme.slots, rows, long).copy(), np.full((rows, long), np.nan)
        scheme.step(x.reshape(rows, long), memory, hyper, offsets, g.reshape(len(g), rows, long), out)
        results.append(np.concatenate([out.ravel(), memory.ravel()]))
        if scheme.where is not None:
            scheme.where(x.reshape(rows, long), state.reshape(scheme.slots, rows, long), hyper, out)
            results[-1] = np.concatenate([results[-1], out.ravel()])
    _close(results[1], results[0], 1e-12, f"{method.name}: elementwise, so all paths in one row give the same weights")


def check_method(method: Method, *, lr: float, wd: float, momentum: float) -> None:
    """Check that a method's linear theory is that of its step, and that a step called elementwise is.

    The step must send (x, memory) to T (x, memory) plus noise of covariance K, for T and K of ``scheme.linear``
    (`splitting` without momentum is not linear and is checked through its norm and cosine instead; a method without a
    linear theory states nothing that could be checked here).

    Raises
    ------
    AssertionError
        If they differ.
    """
    scheme = method.scheme(momentum > 0)
    if scheme is not None and scheme.elementwise:
        _check_elementwise(method, scheme, lr, wd, momentum)
    if scheme is None or scheme.linear is None or (method.name == "splitting" and momentum == 0):
        return
    h, d = 1 / method.substeps, 3
    row = _row(method, scheme, lr, wd, momentum)
    T, K = scheme.linear(lr, wd, momentum, h)
    rng = np.random.default_rng(0)
    z = rng.standard_normal((2, 1, d))
    draws = len(scheme.draws)
    factors = np.zeros((2, draws))
    offsets = np.array([0, d])
    for i in range(-1, draws):
        g = np.zeros((draws + 1, 1, d))
        x, state, out = z[0].copy(), z[1:][: scheme.slots].copy(), np.empty((1, d))
        if i >= 0:
            x[:], state[:] = 0.0, 0.0
            g[i] = float(row["noise1"][0] if i == 0 else row["noise2"][0])
        scheme.step(x, state, row[0], offsets, g, out)
        if i >= 0:
            factors[0, i], factors[1, i] = out[0, 0], state[0, 0, 0] if scheme.slots else 0.0
            continue
        _close(out, T[0, 0] * z[0] + T[0, 1] * z[1], 1e-12, f"{method.name}: x of T")
        if scheme.slots:
            _close(state[0], T[1, 0] * z[0] + T[1, 1] * z[1], 1e-12, f"{method.name}: memory of T")
    _close(factors @ factors.T, K, 1e-9, f"{method.name}: K")
