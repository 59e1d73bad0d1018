"""Paths of more than 65,536 weights: every part of a path is drawn and advanced by its own thread.

A part has a generator of its own. Norms and products are summed segment by segment in fixed order, so the numbers
do not depend on the threads. A segment never crosses the border of a group or of a part and fits into the cache.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numba import types

from sde_si import kernel as loop
from sde_si.jit import OPTIONS
from sde_si.pointers import HYPER_TYPE, RNG_TYPE, SIGNATURES, as_generator, from_address, generator_addresses
from sde_si.streams import parts

if TYPE_CHECKING:
    from sde_si.block import Block

Array = np.ndarray
SEGMENT = 1024
SHARES = 8  # of the parts, for each thread
_f8, _i8 = types.float64, types.int64
_MATRIX, _STACK = _f8[:, ::1], _f8[:, :, ::1]
# Spelt out here, because numba stamps a cached function with its own file only.
_STEP = types.void(_MATRIX, _STACK, HYPER_TYPE, _i8[::1], _STACK, _MATRIX)
_FILL = types.void(RNG_TYPE, _MATRIX)
assert (SIGNATURES["step"], SIGNATURES["fill"]) == (_STEP, _FILL)
_as_generator = as_generator
_as_step, _as_fill = from_address(_STEP), from_address(_FILL)


def segments(offsets: Array, dim: int) -> Array:
    """Table (segment, 3): low, high, group."""
    cuts = {0, dim, *(int(o) for o in offsets), *(part.start for part in parts(dim))}
    edges = sorted(cuts)
    rows = []
    for low, high in itertools.pairwise(edges):
        group = int(np.searchsorted(offsets, low, side="right")) - 1
        rows += [(start, min(start + SEGMENT, high), group) for start in range(low, high, SEGMENT)]
    return np.array(rows, dtype=np.int64)


@numba.njit(types.void(_f8[:, ::1], _f8[:, ::1], _i8[:, ::1], _f8[:, ::1]), **OPTIONS)
def _products(x, y, table, out):
    """<x, y> of each segment, into out (1, segment)."""
    for s in range(table.shape[0]):
        total = 0.0
        for j in range(np.uint64(table[s, 0]), np.uint64(table[s, 1])):
            total += x[0, j] * y[0, j]
        out[0, s] = total


@numba.njit(
    types.void(
        _i8[:, ::1], _i8, _i8, _f8[:, ::1], _f8[:, :, ::1], _i8[:, ::1], _i8[:, ::1],
        _f8[:, ::1],
    ),
    **OPTIONS,
)  # fmt: skip
def _draw(generators, function, fine, x, xi, bounds, table, out):
    """Fill parts of the increments xi (draw, 1, d), and while they are in the cache take their products with x.

    `bounds` (part, 4): low and high weight, first and last segment (counted from the first of `table`).
    """
    fill = _as_fill(function)
    if function == 0:
        xi[:] = 0.0
        out[:] = 0.0
        return
    for q in range(bounds.shape[0]):
        low, high = bounds[q, 0], bounds[q, 1]
        rng = _as_generator(generators[q])
        for i in range(xi.shape[0]):
            target = xi[i, 0][low:high].reshape((1, high - low))
            fill(rng, target)
            if fine > 1:
                more = np.empty((1, high - low))
                for _ in range(fine - 1):
                    fill(rng, more)
                    for j in range(more.shape[1]):
                        target[0, j] += more[0, j]
                for j in range(more.shape[1]):
                    target[0, j] *= 1 / np.sqrt(fine)
            for s in range(bounds[q, 2], bounds[q, 3]):
                total = 0.0
                for j in range(np.uint64(table[s, 0]), np.uint64(table[s, 1])):
                    total += x[0, j] * xi[i, 0, j]
                out[i, s] = total


@numba.njit(
    types.void(
        _f8[:, ::1], _f8[:, ::1], _STACK, _STACK, _STACK, HYPER_TYPE, _i8[:, ::1], _f8[:, :, ::1],
        _i8[::1], types.boolean, _f8[:, ::1],
    ),
    **OPTIONS,
)  # fmt: skip
def _advance(x, point, state, xi, g, hyper, table, scales, functions, drift, out):
    """Advance segments in place: noise, gradient (from `g`), step; moments of each segment into out (3, segment).

    `scales` (draw, 2, group) are a and b of the tangential noise a xi - b point.
    """
    step = _as_step(functions[0])
    draws, slots = xi.shape[0], state.shape[0]
    offsets = np.zeros(2, np.int64)
    size = 0
    for s in range(table.shape[0]):
        size = max(size, table[s, 1] - table[s, 0])
    room = np.empty((2 + slots + draws) * size)
    for s in range(table.shape[0]):
        low, high, group = table[s, 0], table[s, 1], table[s, 2]
        n = high - low
        offsets[1] = n
        old, new = room[:n].reshape((1, n)), room[n : 2 * n].reshape((1, n))
        memory = room[2 * n : (2 + slots) * n].reshape((slots, 1, n))
        gradient = room[(2 + slots) * n : (2 + slots + draws) * n].reshape((draws, 1, n))
        here, taken = x[0][low:high], point[0][low:high]
        for j in range(np.uint64(n)):
            old[0, j] = here[j]
        for k in range(slots):
            kept = state[k, 0][low:high]
            for j in range(np.uint64(n)):
                memory[k, 0, j] = kept[j]
        for i in range(draws):
            a, b, increments = scales[i, 0, group], scales[i, 1, group], xi[i, 0][low:high]
            if drift:
                mean = g[i, 0][low:high]
                for j in range(np.uint64(n)):
                    gradient[i, 0, j] = mean[j] + a * increments[j] - b * taken[j]
            else:
                for j in range(np.uint64(n)):
                    gradient[i, 0, j] = a * increments[j] - b * taken[j]
        step(old, memory, hyper, offsets, gradient, new)
        along = square = norm = 0.0
        for j in range(np.uint64(n)):
            delta = new[0, j] - old[0, j]
            along += old[0, j] * delta
            square += delta * delta
            norm += new[0, j] * new[0, j]
            here[j] = new[0, j]
        for k in range(slots):
            kept = state[k, 0][low:high]
            for j in range(np.uint64(n)):
                kept[j] = memory[k, 0, j]
        out[0, s] = along
        out[1, s] = square
        out[2, s] = norm


@numba.njit(types.void(_f8[:, ::1], _f8[:, ::1], _i8[:, ::1], _f8[:, ::1]), **OPTIONS)
def _compare(a, b, table, out):
    """Moments of b - a, segment by segment, as in `_advance`."""
    for s in range(table.shape[0]):
        along = square = norm = 0.0
        for j in range(np.uint64(table[s, 0]), np.uint64(table[s, 1])):
            delta = b[0, j] - a[0, j]
            along += a[0, j] * delta
            square += delta * delta
            norm += b[0, j] * b[0, j]
        out[0, s] = along
        out[1, s] = square
        out[2, s] = norm


class WideWork:
    """Work space for one path and its advance; the interface of `sde_si.block.Work`."""

    def __init__(self, block: Block, pool: ThreadPoolExecutor) -> None:
        engine, arrays = block.engine, block.engine.arrays
        run = engine.run
        self.block, self.pool = block, pool
        scheme, loss = run.scheme, run.problem.loss
        draws = len(scheme.draws)
        self.g = np.zeros((draws + 1, 1, arrays.dim))
        self.xi = np.empty((draws, 1, arrays.dim))
        self.scratch = np.empty((1, arrays.dim))
        self.point = block.x if scheme.where is None else np.empty((1, arrays.dim))
        self.sums = np.zeros((3, 1, engine.columns))
        self.table = segments(arrays.offsets, arrays.dim)
        lows = [part.start for part in engine.parts]
        starts = np.searchsorted(self.table[:, 0], [*lows, arrays.dim])
        self.bounds = np.stack([lows, [*lows[1:], arrays.dim], starts[:-1], starts[1:]], axis=1).astype(np.int64)
        # More shares than threads, taken as they come: cores are seldom equally fast.
        self.shares = np.array_split(np.arange(len(lows)), min(len(lows), SHARES * engine.threads))
        self.helpers = min(engine.threads, len(self.shares)) - 1
        self.fused = loss.noise is None and scheme.elementwise
        # The next increments can be drawn as soon as a part of the path stands, while it is in the cache.
        self.ahead = self.fused and scheme.where is None and engine.shape is None and not engine.constraint
        self.products: Array | None = None
        self.norm = self._norm(block.x)
        self.generators = np.stack([generator_addresses(rng) for rng in block.rngs])

    def _norm(self, x: Array) -> Array:
        return self._by_group(self._parallel(lambda _, rows, out: _products(x, x, rows, out), 1))[0]

    def _parallel(self, job: Callable[[Array, Array, Array], None], columns: int) -> Array:
        """``job(parts, segments, out)`` on every share of the parts, in all threads; returns (column, segment)."""
        results: list[Array] = [np.empty(0)] * len(self.shares)
        todo = iter(enumerate(self.shares))

        def work() -> None:
            for i, numbers in todo:
                rows = self.table[self.bounds[numbers[0], 2] : self.bounds[numbers[-1], 3]]
                results[i] = np.empty((columns, rows.shape[0]))
                job(numbers, rows, results[i])

        helpers = [self.pool.submit(work) for _ in range(self.helpers)]
        work()
        for helper in helpers:
            helper.result()
        return np.concatenate(results, axis=1)

    def _by_group(self, values: Array) -> Array:
        """Sums of (column, segment) over each group, and over all if there are several, shape (column, 1, group)."""
        groups = self.block.engine.arrays.groups
        sums = np.stack([np.bincount(self.table[:, 2], column, groups) for column in values])
        return np.concatenate([sums, sums.sum(axis=1, keepdims=True)], axis=1)[:, None] if groups > 1 else sums[:, None]

    def run(self, table: Array) -> None:
        """Advance the path by the steps of `table`."""
        block, substeps = self.block, self.block.engine.run.substeps
        for k in range(table.size):
            hyper, before = table[k], self.norm
            begin = block.x.copy() if substeps > 1 else block.x
            moments = np.empty(0)
            for i in range(substeps):
                held = block.x.copy() if block.engine.constraint else block.x
                last = k == table.size - 1 and i == substeps - 1  # what is drawn ahead does not outlive the table
                moments = self._substep(hyper, ahead=self.ahead and not last)
                if block.engine.constraint:
                    moments = self._project(held, moments[2, 0], float(hyper["radius"]))
                self.sums[1] += moments[1]
                self.sums[2] += self.norm
                self.norm = moments[2]
            if substeps > 1:
                moments = self._by_group(self._parallel(lambda _, s, o, b=begin: _compare(b, block.x, s, o), 3))
            loop.add_squared_angles(before, moments, self.sums[0])
            self._check(int(hyper["step"]))

    def _project(self, held: Array, norm: Array, radius: float) -> Array:
        """Hold the length (see `kernel.constrain`); `norm` (group,) are squared lengths. Moments against `held`."""
        block, arrays = self.block, self.block.engine.arrays
        groups = arrays.groups
        each = block.engine.constraint == loop.GROUPS
        scale = np.sqrt(radius**2 / groups / norm[:groups]) if each else np.full(groups, radius / np.sqrt(norm[-1]))
        for g in range(groups):
            block.x[:, arrays.offsets[g] : arrays.offsets[g + 1]] *= scale[g]
        return self._by_group(self._parallel(lambda _, s, o: _compare(held, block.x, s, o), 3))

    def _check(self, step: int) -> None:
        fault = self.block.fault
        if not (np.isfinite(self.norm).all() and (self.norm > 0).all()) and fault[0, 0] < 0:
            worst = self.norm[~np.isfinite(self.norm) | (self.norm <= 0)][0]
            fault[:, 0] = step, 1 if worst == np.inf else (3 if worst == 0 else 2)
        if fault[0, 0] >= 0:
            self.block.x[:] = np.nan

    def _substep(self, hyper: Any, *, ahead: bool) -> Array:
        """One substep, and `ahead` the increments of the next one; returns moments (3, 1, group)."""
        block, engine, point = self.block, self.block.engine, self.point
        arrays, loss, norm = engine.arrays, engine.run.problem.loss, self.norm
        if engine.run.scheme.where is not None:
            engine.run.scheme.where(block.x, block.state, hyper, point)
            norm = self._norm(point)
        draws = self.xi.shape[0]
        products = self._parallel(self._draw, draws) if self.products is None else self.products
        self.products = None
        if engine.shape is not None:
            for xi, out in zip(self.xi, products, strict=True):
                engine.shape(point, xi, block.memory, hyper, arrays.offsets)
                _products(point, xi, self.table, out[None])
        drift = loss.gradient is not None
        if loss.gradient is not None:
            loss.gradient(point, arrays.params, self.g[-1], np.empty(1))
            for i, drifts in enumerate(engine.run.scheme.draws):
                self.g[i] = self.g[-1] if drifts else 0.0
        along = self._by_group(products)[:, 0, : arrays.groups]
        scales = _scales(hyper, along, norm[0, : arrays.groups])
        if not self.fused:
            return self._whole(hyper, drift, scales)

        def job(numbers: Array, rows: Array, out: Array) -> None:
            _advance(
                block.x, point, block.state, self.xi, self.g, hyper, rows, scales, engine.functions, drift, out[:3]
            )
            if ahead:
                self._draw(numbers, rows, out[3:])

        values = self._parallel(job, 3 + draws * ahead)
        if ahead:
            self.products = values[3:]
        return self._by_group(values[:3])

    def _draw(self, numbers: Array, rows: Array, out: Array) -> None:
        engine, bounds = self.block.engine, self.bounds[numbers]
        bounds[:, 2:] -= bounds[0, 2]
        _draw(self.generators[numbers], engine.functions[4], engine.fine, self.point, self.xi, bounds, rows, out)

    def _whole(self, hyper: Any, drift: bool, scales: Array) -> Array:
        """The loss's own noise, or a step that needs all weights at once, in one thread."""
        block, engine, draws = self.block, self.block.engine, self.xi.shape[0]
        arrays, own = engine.arrays, engine.run.problem.loss.noise
        for i in range(draws):
            target = self.g[i]
            if not drift:
                target[:] = 0.0
            if own is None:
                a, b = scales[i]
                group = np.repeat(np.arange(arrays.groups), np.diff(arrays.offsets))
                target += a[group] * self.xi[i] - b[group] * self.point
            else:
                amplitude = float(hyper["noise1" if i == 0 else "noise2"] / np.sqrt(hyper["batch"]))
                own(self.point, self.xi[i], amplitude, arrays.params, arrays.offsets, target)
        engine.run.scheme.step(block.x, block.state, hyper, arrays.offsets, self.g, self.scratch)
        moments = self._by_group(self._parallel(lambda _, s, o: _compare(block.x, self.scratch, s, o), 3))
        block.x[:] = self.scratch
        return moments


def _scales(hyper: Any, along: Array, norm: Array) -> Array:
    """A and b of the noise a xi - b x, shape (draw, 2, group); `along` (draw, group) are <x, xi>, `norm` |x|^2."""
    noise = np.array([hyper["noise1"], hyper["noise2"]])[: along.shape[0], None]
    a = noise * np.sqrt(hyper["noise_variance"] / hyper["batch"]) / np.sqrt(norm)
    return np.stack([a, a * along / norm], axis=1)
