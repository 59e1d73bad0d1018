"""Lyapunov exponents of Kodryan's pairs: where the equilibrium is periodic, neutral or chaotic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sde_si.jit import jitted
from sde_si.streams import START, generator

Array = np.ndarray
CERTAIN = 5.0  # standard errors
NEUTRAL = 1e-3  # a smaller exponent is none: neutral modes come with what is left of their approach


@jitted
def advance_tangent(z, basis, strength, steps, logs):
    """Advance directions z (start, 2n) and orthonormal tangent vectors basis (start, 2n - 1, 2n) by `steps`.

    Added to logs (start, 2n - 1): logarithms of the stretching of each vector (Gram and Schmidt after every step).
    """
    starts, dim = z.shape
    count = basis.shape[1]
    new = np.empty(dim)
    jacobian = np.empty((dim // 2, 4))
    for p in range(starts):
        for _ in range(steps):
            total = 0.0
            for g in range(dim // 2):
                x, y, k = z[p, 2 * g], z[p, 2 * g + 1], strength[g]
                r = x * x + y * y
                q = k / (r * r)
                jacobian[g, 0] = 1 - q * y * y + 4 * q * x * x * y * y / r
                jacobian[g, 1] = -2 * q * x * y + 4 * q * x * y * y * y / r
                jacobian[g, 2] = 2 * q * x * y - 4 * q * x * x * x * y / r
                jacobian[g, 3] = 1 + q * x * x - 4 * q * x * x * y * y / r
                new[2 * g], new[2 * g + 1] = x * (1 - q * y * y), y * (1 + q * x * x)
                total += new[2 * g] ** 2 + new[2 * g + 1] ** 2
            scale = 1 / np.sqrt(total)
            for j in range(dim):
                z[p, j] = new[j] * scale
            for i in range(count):
                along = 0.0
                for g in range(dim // 2):
                    a, b = basis[p, i, 2 * g], basis[p, i, 2 * g + 1]
                    first = scale * (jacobian[g, 0] * a + jacobian[g, 1] * b)
                    second = scale * (jacobian[g, 2] * a + jacobian[g, 3] * b)
                    basis[p, i, 2 * g], basis[p, i, 2 * g + 1] = first, second
                    along += first * z[p, 2 * g] + second * z[p, 2 * g + 1]
                for j in range(dim):
                    basis[p, i, j] -= along * z[p, j]
                for h in range(i):
                    dot = 0.0
                    for j in range(dim):
                        dot += basis[p, i, j] * basis[p, h, j]
                    for j in range(dim):
                        basis[p, i, j] -= dot * basis[p, h, j]
                size = 0.0
                for j in range(dim):
                    size += basis[p, i, j] * basis[p, i, j]
                size = np.sqrt(size)
                logs[p, i] += np.log(size)
                for j in range(dim):
                    basis[p, i, j] /= size


@dataclass(frozen=True)
class Spectrum:
    """Lyapunov exponents per iteration.

    Attributes
    ----------
    exponents, stderr : ndarray, shape (2n - 1,)
        Means over starts, largest first, and their standard errors between starts.
    each : ndarray, shape (start, 2n - 1)
        Of every start.
    kinds : tuple of str
        Of every start: ``chaotic`` (largest exponent above `NEUTRAL`), ``neutral`` (within it: a torus or a neutral
        mode, quasi-periodic), ``periodic`` (all exponents below it; or one pair within it, which has no torus and
        whose orbit of period two attracts ever more weakly: its exponent goes as -2/a^2).
    """

    exponents: Array
    stderr: Array
    each: Array
    kinds: tuple[str, ...]


def lyapunov(
    alphas: Array, effective_lr: float, *, starts: int = 16, approach: int = 20_000, iterations: int = 50_000,
    seed: int = 0,
) -> Spectrum:  # fmt: skip
    """Lyapunov exponents of projected gradient descent on Kodryan's pairs.

    Parameters
    ----------
    alphas : sequence of float
    effective_lr : float
        Total.
    starts, approach, iterations, seed : int
        Random starts; iterations before and during the measurement.

    Notes
    -----
    One pair has ln|1 - 2/a^2|, a = alpha eta; n pairs at their joint two-cycle have n - 1 pairs of zeros beside
    ln|2/a^2 - 1| (theory.md 5.4). An exponent that is exactly zero is approached as ln(t)/t.
    """
    alphas = np.asarray(alphas, dtype=float)
    dim = 2 * alphas.size
    rng = generator(seed, START, 0)
    z = rng.standard_normal((starts, dim))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    full = np.concatenate([z[:, None, :], rng.standard_normal((starts, dim - 1, dim))], axis=1)
    basis = np.ascontiguousarray(np.linalg.qr(full.transpose(0, 2, 1))[0].transpose(0, 2, 1)[:, 1:])
    strength = 2 * alphas * effective_lr
    advance_tangent(z, basis, strength, approach, np.zeros((starts, dim - 1)))
    logs = np.zeros((starts, dim - 1))
    advance_tangent(z, basis, strength, iterations, logs)
    each = logs / iterations
    error = each.std(axis=0, ddof=1) / math.sqrt(starts) if starts > 1 else np.full(dim - 1, math.nan)
    # one pair has an attracting orbit and no torus: a weak attraction is none the less periodic (theory.md 5.4)
    zero = "neutral" if alphas.size > 1 else "periodic"
    kinds = tuple("chaotic" if top > NEUTRAL else zero if top > -NEUTRAL else "periodic" for top in each[:, 0])
    return Spectrum(each.mean(axis=0), error, each, kinds)
