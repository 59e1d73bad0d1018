"""Paths of more than 65,536 weights: every part of a path is drawn and advanced by its own thread.

A part has a generator of its own. Norms and products are summed segment by segment in fixed order
(`sde_si.segments`), so the numbers do not depend on the threads.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.rows import GROUPS, add_squared_angles
from sde_si.segments import SEGMENT, advance, compare, draw, products, segments

if TYPE_CHECKING:
    from sde_si.block import Block

Array = np.ndarray


class _Share:
    """Neighbouring parts that one thread takes at a time, and its room for them."""

    def __init__(self, parts: Array, table: Array, bounds: Array, words: Array, streams: int) -> None:
        self.rows = table[bounds[parts[0], 0] : bounds[parts[-1], 1]]
        self.bounds = bounds[parts] - bounds[parts[0], 0]
        self.words = words[parts[0] : parts[-1] + 1]  # a view: the block's own generators advance
        self.room = np.empty(streams * SEGMENT)
        self.outputs: dict[int, Array] = {}

    def out(self, columns: int) -> Array:
        """Room for so many numbers of each segment, the same at every call."""
        if columns not in self.outputs:
            self.outputs[columns] = np.empty((columns, self.rows.shape[0]))
        return self.outputs[columns]


def _guided(parts: int, threads: int) -> list[Array]:
    """Cut parts into shares that grow smaller: few calls, and threads of unlike speed still end together."""
    shares, low = [], 0
    while low < parts:
        size = max(1, (parts - low) // (2 * threads))
        shares.append(np.arange(low, low + size))
        low += size
    return shares


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
        self.scratch, self.begin, self.held = np.empty((3, 1, arrays.dim))  # touched, and so taken, when needed
        self.point = block.x if scheme.where is None else np.empty((1, arrays.dim))
        self.sums = np.zeros((3, 1, engine.columns))
        self.table = segments(arrays.offsets, arrays.dim)
        lows = [part.start for part in engine.parts]
        starts = np.searchsorted(self.table[:, 0], [*lows, arrays.dim])
        bounds = np.stack([starts[:-1], starts[1:]], axis=1).astype(np.int64)
        streams = 1 + draws + scheme.slots
        self.shares = [_Share(p, self.table, bounds, block.words, streams) for p in _guided(len(lows), engine.threads)]
        self.helpers = min(engine.threads, len(self.shares)) - 1
        self.fused = loss.noise is None and scheme.elementwise
        # The next increments can be drawn as soon as a segment of the path stands, while it is in the cache.
        drawn = engine.fill is not None and engine.fine == draws == 1 and engine.shape is None
        self.ahead = self.fused and drawn and scheme.where is None and not engine.constraint
        self.products: Array | None = None
        self.norm = self._norm(block.x)

    def _norm(self, x: Array) -> Array:
        return self._by_group(self._parallel(lambda share, out: compare(x, x, share.rows, out), 3))[2]

    def _parallel(self, job: Callable[[_Share, Array], None], columns: int) -> Array:
        """``job(share, out)`` on every share of the path, in all threads; returns (column, segment)."""
        todo = iter(self.shares)

        def work() -> None:
            for share in todo:
                job(share, share.out(columns))

        helpers = [self.pool.submit(work) for _ in range(self.helpers)]
        work()
        for helper in helpers:
            helper.result()
        return np.concatenate([share.out(columns) for share in self.shares], axis=1)

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
            if substeps > 1:
                self.begin[:] = block.x  # fresh memory for every step would take longer than the step
            moments = np.empty(0)
            for i in range(substeps):
                if block.engine.constraint:
                    self.held[:] = block.x
                last = k == table.size - 1 and i == substeps - 1  # what is drawn ahead does not outlive the table
                moments = self._substep(hyper, ahead=self.ahead and not last)
                if block.engine.constraint:
                    moments = self._project(moments[2, 0], float(hyper["radius"]))
                self.sums[1] += moments[1]
                self.sums[2] += self.norm
                self.norm = moments[2]
            if substeps > 1:
                moments = self._by_group(
                    self._parallel(lambda share, out: compare(self.begin, block.x, share.rows, out), 3)
                )
            add_squared_angles(before.ravel(), moments.reshape(3, -1), self.sums[0].ravel())
            self._check(int(hyper["step"]))

    def _project(self, norm: Array, radius: float) -> Array:
        """Hold the length (see `rows.constrain`); `norm` (group,) are squared lengths. Moments against `held`."""
        block, arrays = self.block, self.block.engine.arrays
        groups = arrays.groups
        each = block.engine.constraint == GROUPS
        scale = np.sqrt(radius**2 / groups / norm[:groups]) if each else np.full(groups, radius / np.sqrt(norm[-1]))
        for g in range(groups):
            block.x[:, arrays.offsets[g] : arrays.offsets[g + 1]] *= scale[g]
        return self._by_group(self._parallel(lambda share, out: compare(self.held, block.x, share.rows, out), 3))

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
        inner = self._parallel(self._draw, draws) if self.products is None else self.products
        self.products = None
        if engine.shape is not None:
            for xi, out in zip(self.xi, inner, strict=True):
                engine.shape(point, xi, block.memory, hyper, arrays.offsets)
                products(point, xi, self.table, out[None])
        drift = loss.gradient is not None
        if loss.gradient is not None:
            loss.gradient(point, arrays.params, self.g[-1], np.empty(1))
            for i, drifts in enumerate(engine.run.scheme.draws):
                self.g[i] = self.g[-1] if drifts else 0.0
        along = self._by_group(inner)[:, 0, : arrays.groups]
        scales = _scales(hyper, along, norm[0, : arrays.groups])
        if not self.fused:
            return self._whole(hyper, drift, scales)

        def job(share: _Share, out: Array) -> None:
            advance(
                block.x, point, block.state, self.xi, self.g, hyper, scales, engine.functions, drift, ahead,
                share.words, share.bounds, share.rows, share.room, out,
            )  # fmt: skip

        values = self._parallel(job, 3 + ahead)
        if ahead:
            self.products = values[3:]
        return self._by_group(values[:3])

    def _draw(self, share: _Share, out: Array) -> None:
        engine = self.block.engine
        draw(
            self.point, self.xi, engine.functions, engine.fine, share.words, share.bounds, share.rows, share.room,
            out,
        )  # fmt: skip

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
        moments = self._by_group(self._parallel(lambda share, out: compare(block.x, self.scratch, share.rows, out), 3))
        block.x[:] = self.scratch
        return moments


def _scales(hyper: Any, along: Array, norm: Array) -> Array:
    """A and b of the noise a xi - b x, shape (draw, 2, group); `along` (draw, group) are <x, xi>, `norm` |x|^2."""
    noise = np.array([hyper["noise1"], hyper["noise2"]])[: along.shape[0], None]
    a = noise * np.sqrt(hyper["noise_variance"] / hyper["batch"]) / np.sqrt(norm)
    return np.stack([a, a * along / norm], axis=1)
