"""Lyapunov exponents of Kodryan's pairs: where the equilibrium is periodic, neutral or chaotic."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sde_si.hyperparameters import check_count
from sde_si.jit import jitted
from sde_si.streams import START, generator

Array = np.ndarray
CHAOTIC, NEUTRAL, PERIODIC, UNDECIDED = "chaotic", "neutral", "periodic", "undecided"
KINDS = (CHAOTIC, NEUTRAL, PERIODIC, UNDECIDED)
SMALL = 1e-3  # an exponent as small is none: neutral modes come with what is left of their approach
CERTAIN = 5.0  # standard errors
BLOCKS = 16  # stretches of time: errors within a start are between them


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
        Of every start, one of `KINDS` (`tell`).
    why : tuple of str
        Of every start, what kept it undecided; else empty.
    """

    exponents: Array
    stderr: Array
    each: Array
    kinds: tuple[str, ...]
    why: tuple[str, ...]

    @property
    def largest(self) -> dict[str, tuple[int, float, float]]:
        """Number of starts of each kind, and mean and standard error of their largest exponent."""
        found = {}
        for kind in KINDS:
            top = self.each[[k == kind for k in self.kinds], 0]
            if top.size:
                found[kind] = (top.size, float(top.mean()), _error(top[:, None])[0])
        return found


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

    Raises
    ------
    BadInput
        If there are fewer iterations than stretches to compare.

    Notes
    -----
    One pair has ln|1 - 2/a^2|, a = alpha eta; n pairs at their joint two-cycle have n - 1 pairs of zeros beside
    ln|2/a^2 - 1| (theory.md 5.4). An exponent that is exactly zero is approached as ln(t)/t.
    """
    check_count("iterations", iterations, BLOCKS, "50000")
    alphas = np.asarray(alphas, dtype=float)
    dim = 2 * alphas.size
    rng = generator(seed, START, 0)
    z = rng.standard_normal((starts, dim))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    full = np.concatenate([z[:, None, :], rng.standard_normal((starts, dim - 1, dim))], axis=1)
    basis = np.ascontiguousarray(np.linalg.qr(full.transpose(0, 2, 1))[0].transpose(0, 2, 1)[:, 1:])
    strength = 2 * alphas * effective_lr
    advance_tangent(z, basis, strength, approach, np.zeros((starts, dim - 1)))
    steps = np.diff(np.arange(BLOCKS + 1) * iterations // BLOCKS)
    logs = np.zeros((BLOCKS, starts, dim - 1))
    for count, block in zip(steps, logs, strict=True):
        advance_tangent(z, basis, strength, int(count), block)
    each = logs.sum(axis=0) / iterations
    told = [tell(top / steps, alphas.size, approach + iterations, iterations) for top in logs[:, :, 0].T]
    kinds, why = zip(*told, strict=True)
    return Spectrum(each.mean(axis=0), _error(each), each, kinds, why)


def _error(each: Array) -> Array:
    count = len(each)
    return each.std(axis=0, ddof=1) / math.sqrt(count) if count > 1 else np.full(each.shape[1], math.nan)


def tell(blocks: Array, pairs: int, time: int, iterations: int) -> tuple[str, str]:
    """Kind of motion of one start, and what kept it undecided.

    Parameters
    ----------
    blocks : ndarray, shape (block,)
        Largest exponent over successive stretches of equal length.
    pairs : int
    time, iterations : int
        Iterations since the start, and those of all blocks.

    Notes
    -----
    Where the largest exponent is zero, tangent vectors grow at most as a power of time: without exponential growth a
    linear system of d = 2n - 1 dimensions grows as C t^(d - 1) (its Jordan blocks are no larger), ever more slowly, so
    that its exponent falls as ln(t)/t. Over no stretch of t iterations does ln of the growth exceed d ln(t), as long as
    C < t. Hence, with b = d ln(time) over the length of half of the measurement:

    - chaotic: the exponent is above b over both halves, and over the second not below the first by `CERTAIN` standard
      errors (between the blocks of each half): growth that does not stop, and more than any power's;
    - periodic: it is below -b over both. Or one pair that is not chaotic: it has no torus, and its orbit of period two
      attracts ever more weakly, with an exponent of about -2/a^2;
    - neutral (a torus or a neutral mode, quasi-periodic): it is within b of zero over both halves and within `SMALL`
      over the second;
    - undecided: anything else. Among these are an approach as slow as the run is long, and chaos that began or ended
      during the measurement.
    """
    halves = np.array_split(blocks, 2)
    (first, second), errors = (
        [half.mean() for half in halves],
        [half.std(ddof=1) / math.sqrt(half.size) for half in halves],
    )
    bound = (2 * pairs - 1) * math.log(time) / (iterations / 2)
    if min(first, second) > bound:
        if first - second <= CERTAIN * math.hypot(*errors):
            return CHAOTIC, ""
        return UNDECIDED, "the exponent still falls"
    if pairs == 1 or max(first, second) < -bound:
        return PERIODIC, ""
    if max(abs(first), abs(second)) > bound:
        return UNDECIDED, "the two halves of the time differ: chaos or an approach that began or ended"
    if abs(second) > SMALL:
        return UNDECIDED, "the exponent is no larger than what a slow approach leaves: too short a run"
    return NEUTRAL, ""
