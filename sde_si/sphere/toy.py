"""Kodryan's pairs without noise, many starts at once: the room's own time loop.

For F = sum alpha_i x_i^2/(x_i^2 + y_i^2) on sum (x_i^2 + y_i^2) = 1 a step of projected gradient descent closes in the
squares a = x^2, b = y^2: with e = 2 alpha eta/(a + b)^2, a' = a (1 - e b)^2/S and b' = b (1 + e a)^2/S, where S makes
the sum 1. No root, one division a pair, nothing subtracted but 1 - e b: as exact as the general kernel (`sde_si.kernel`
with ``constraint="total"``), with which it agrees to rounding while chaos allows (theory.md 5.2, 5.3).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sde_si.jit import jitted
from sde_si.machine import usable_cores

Array = np.ndarray
WIDTH = 128  # starts advanced together: their squares stay in the innermost cache
FLOOR = 1e-300  # of x^2: at 0 a group is held for good, even where a slow approach would let it grow again
LOGARITHM = 16  # steps whose factors 1 + s^2 are multiplied before a logarithm is taken


@jitted
def _steps(p, q, k, alphas, count, product, total, before, loss):
    """Go `count` steps without a rescaling; total is the sum S of all squares of a start, product that of 1 + s^2."""
    groups, width = p.shape
    for _ in range(count):
        for j in range(width):
            before[j], total[j] = total[j], 0.0
        for g in range(groups):
            alpha = alphas[g]
            pg, qg, kg, product_g = p[g], q[g], k[g], product[g]
            for j in range(width):
                pj, qj = pg[j], qg[j]
                inverse = 1.0 / (pj + qj)
                e = kg[j] * before[j] * inverse * inverse
                u, v = e * pj, e * qj
                loss[j] += alpha * pj * inverse
                product_g[j] *= 1.0 + u * v
                shrink, grow = 1.0 - v, 1.0 + u
                pj *= shrink * shrink
                qj *= grow * grow
                pg[j], qg[j] = pj, qj
                total[j] += pj + qj


@jitted
def _settle(p, q, product, total, logs):
    """Take the logarithms of the products, and make the squares of each start sum to 1, x^2 being at least `FLOOR`."""
    for j in range(p.shape[1]):
        total[j] = 1.0 / total[j]
    for g in range(p.shape[0]):
        for j in range(p.shape[1]):
            logs[g, j] += np.log(product[g, j])
            product[g, j] = 1.0
            p[g, j] = max(p[g, j] * total[j], FLOOR)
            q[g, j] *= total[j]
    for j in range(p.shape[1]):
        total[j] = 1.0


@jitted
def advance_pairs(a, b, strength, alphas, steps, sums):
    """Advance squares a, b (group, start) in place by `steps`, strength = 2 alpha eta of the same shape.

    Added to sums (group + 1, start): ln(1 + s_i^2) of every step and, last, the loss before every step. The map is
    homogeneous: between logarithms the squares are not divided by their sum S, but e is multiplied by it. Should that
    leave the range of floating-point numbers, the same steps are done again one by one.
    """
    groups, starts = a.shape
    width = min(128, (starts + 15) // 16 * 16)  # whole vectors, as few as hold the starts
    p, q, k = np.empty((groups, width)), np.empty((groups, width)), np.zeros((groups, width))
    p0, q0, product, logs = np.empty_like(p), np.empty_like(p), np.empty_like(p), np.empty_like(p)
    total, before, loss, loss0 = np.empty(width), np.empty(width), np.empty(width), np.empty(width)
    for low in range(0, starts, width):
        n = min(width, starts - low)
        # lanes without a start do nothing
        p[:], q[:], k[:], product[:], logs[:], total[:], loss[:] = 0.5 / groups, 0.5 / groups, 0.0, 1.0, 0.0, 1.0, 0.0
        for g in range(groups):
            for j in range(n):
                p[g, j], q[g, j], k[g, j] = a[g, low + j], b[g, low + j], strength[g, low + j]
        done = 0
        while done < steps:
            count = min(LOGARITHM, steps - done)
            p0[:], q0[:], loss0[:] = p, q, loss
            _steps(p, q, k, alphas, count, product, total, before, loss)
            size, growth = 0.0, 0.0
            for g in range(groups):
                for j in range(width):
                    growth += product[g, j]
            for j in range(width):
                size += total[j] + loss[j]
            # squares of 1/S enter: far below the largest number, or they would underflow unseen
            if size < 1e100 and growth < np.inf:
                _settle(p, q, product, total, logs)
            else:
                p[:], q[:], loss[:], product[:], total[:] = p0, q0, loss0, 1.0, 1.0
                for _ in range(count):
                    _steps(p, q, k, alphas, 1, product, total, before, loss)
                    _settle(p, q, product, total, logs)
            done += count
        for j in range(n):
            sums[groups, low + j] += loss[j]
            for g in range(groups):
                sums[g, low + j] += logs[g, j]
                a[g, low + j], b[g, low + j] = p[g, j], q[g, j]


class Pairs:
    """Starts of the toy, each at its own effective LR.

    Parameters
    ----------
    squares : ndarray, shape (2, group, start)
        x_i^2 and y_i^2; scaled so that all of a start sum to 1.
    effective_lr : ndarray, shape (start,)
        Total effective LR of each start.
    alphas : sequence of float, shape (group,)
    threads : int, optional
        The numbers do not depend on them.
    """

    def __init__(self, squares: Array, effective_lr: Array | float, alphas: Array, threads: int | None = None) -> None:
        self.squares = np.ascontiguousarray(squares / squares.sum(axis=(0, 1)), dtype=float)
        self.alphas = np.asarray(alphas, dtype=float)
        self.effective_lr = np.broadcast_to(np.asarray(effective_lr, dtype=float), self.squares.shape[2:]).copy()
        self.strength = 2 * self.alphas[:, None] * self.effective_lr
        self.sums = np.zeros((self.alphas.size + 1, self.effective_lr.size))
        self.steps = 0
        self.threads = threads or usable_cores()

    def advance(self, steps: int) -> None:
        """Go on by `steps` iterations."""
        starts = self.effective_lr.size
        edges = np.arange(0, starts + WIDTH, WIDTH).clip(max=starts)

        def job(i: int) -> None:
            low, high = edges[i], edges[i + 1]
            if low == high:
                return
            part = [np.ascontiguousarray(v[:, low:high]) for v in (*self.squares, self.strength, self.sums)]
            advance_pairs(part[0], part[1], part[2], self.alphas, steps, part[3])
            self.squares[0][:, low:high], self.squares[1][:, low:high] = part[0], part[1]
            self.sums[:, low:high] = part[3]

        if edges.size == 2 or self.threads == 1:
            for i in range(edges.size - 1):
                job(i)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(job, range(edges.size - 1)))
        self.steps += steps

    def forget(self) -> None:
        """Begin the sums anew."""
        self.sums[:] = 0
        self.steps = 0

    @property
    def shares(self) -> Array:
        """Share rho_i^2 of the squared length, shape (group, start); the individual effective LR is eta over it."""
        return self.squares.sum(axis=0)

    @property
    def loss(self) -> Array:
        """F of each start."""
        return (self.alphas[:, None] * self.squares[0] / self.shares).sum(axis=0)

    @property
    def losses(self) -> Array:
        """What each group adds to F, shape (group, start); 0 at the floor."""
        x = self.squares[0]
        return np.where(x > 2 * FLOOR, self.alphas[:, None] * x / self.shares, 0.0)

    @property
    def effective_steps(self) -> Array:
        """s_i = eta_i |g_i| at unit length, shape (group, start); the angle of the group's next step is its atan."""
        return self.strength * np.sqrt(self.squares[0] * self.squares[1]) / self.shares**2

    @property
    def gradient_norm(self) -> Array:
        """Length of the whole gradient at unit length."""
        return np.sqrt((self.shares * self.effective_steps**2).sum(axis=0)) / self.effective_lr

    @property
    def angle(self) -> Array:
        """Angle of the next step of all weights: tan^2 = sum rho_i^2 s_i^2."""
        return np.arctan(self.effective_lr * self.gradient_norm)

    @property
    def mean_loss(self) -> Array:
        """Time mean of F since `forget`."""
        return self.sums[-1] / self.steps

    @property
    def mean_growth(self) -> Array:
        """Time mean of ln(1 + s_i^2) since `forget`, shape (group, start): equal over groups (theory.md 5.2)."""
        return self.sums[:-1] / self.steps


def random_squares(groups: int, starts: int, rng: np.random.Generator) -> Array:
    """Squares (2, group, start) of directions uniform on the sphere of all weights."""
    return rng.standard_normal((starts, groups, 2)).transpose(2, 1, 0) ** 2
