"""A block of paths: its state between epochs, and what is seen at the end of every epoch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from sde_si import kernel as loop
from sde_si.angles import angles
from sde_si.streams import NOISE, ORDER, SAMPLING, START, block_size, generator, words
from sde_si.wide import WideWork

if TYPE_CHECKING:
    from sde_si.engine import Engine

Array = np.ndarray
CHUNK = 4096
BALANCE = ("mean_squared_displacement", "mean_squared_norm")


class Cancelled(Exception):
    """The run was interrupted."""


class Block:
    """A block of paths that are drawn and advanced together; its state between epochs."""

    def __init__(self, engine: Engine, low: int, high: int) -> None:
        self.engine, self.low, self.high = engine, low, high
        run, arrays = engine.run, engine.arrays
        size = block_size(arrays.dim)
        self.size, self.index = size, low // size
        self.epoch = 0
        start = generator(run.seed, START, self.index).standard_normal((size, arrays.dim))[: high - low]
        for g in range(arrays.groups):
            part = slice(arrays.offsets[g], arrays.offsets[g + 1])
            start[:, part] /= np.sqrt(np.sum(start[:, part] ** 2, axis=1, keepdims=True))
        self.x = start * (run.start_norm / np.sqrt(arrays.groups))
        self.initial_norm = np.sqrt(self._norms())
        self.state = np.zeros((run.scheme.slots, *self.x.shape))
        keys = [(self.index, i) for i in range(len(engine.parts))] if engine.wide else [(self.index,)]
        sources = [generator(run.seed, NOISE, *key) for key in keys]
        self.words = np.stack([words(rng) for rng in (*sources, generator(run.seed, SAMPLING, self.index))])
        self.memory = np.zeros((high - low, arrays.noise_dim if engine.shape else 0))
        self.fault = np.full((2, high - low), -1, dtype=np.int64)
        self.references: dict[int, Array] = {}

    def _norms(self) -> Array:
        """Squared norms of each group and, with several groups, of all, shape (path, group)."""
        offsets = self.engine.arrays.offsets
        norms = np.add.reduceat(self.x**2, offsets[:-1], axis=1)
        return np.concatenate([norms, norms.sum(axis=1, keepdims=True)], axis=1) if norms.shape[1] > 1 else norms

    def _angles(self, reference: Array) -> Array:
        """Angle between `reference` and the weights, shape (path, group)."""
        out = np.empty((self.x.shape[0], self.engine.columns))
        angles(reference, self.x, self.engine.arrays.offsets, out)
        return out

    def advance(self, epochs: int, pool: ThreadPoolExecutor | None = None) -> dict[str, Array]:
        """Run to the end of epoch number `epochs`.

        Returns
        -------
        dict of ndarray
            For every epoch run: ``angle_epoch``, ``weight_norm``, ``angle_step``, ``mean_squared_displacement``,
            ``mean_squared_norm``, ``signal`` of shape (path, epoch, group), ``loss`` (path, epoch), ``angle_lag``
            (path, epoch, lag, group); ``fault`` (path, 2); and the observables (path, epoch).
        """
        engine = self.engine
        paths, count, columns = self.x.shape[0], epochs - self.epoch, engine.columns
        names = ("angle_epoch", "weight_norm", "angle_step", *BALANCE, "signal")
        out: dict[str, Array] = {name: np.full((paths, count, columns), np.nan) for name in names}
        out["loss"] = np.full((paths, count), np.nan)
        out["angle_lag"] = np.full((paths, epochs, len(engine.run.lags), columns), np.nan)
        out |= {name: np.full((paths, count), np.nan) for name in engine.observe}
        first = self.epoch
        work = Work(self) if pool is None else WideWork(self, pool)
        with np.errstate(all="ignore"):  # a diverged path is NaN, named in the record, and no warning
            for e in range(first, epochs):
                self._epoch(e, work, out, e - first)
        out["fault"] = self.fault.T
        out["initial_norm"] = self.initial_norm
        return out

    def _epoch(self, e: int, work: Work | WideWork, out: dict[str, Array], row: int) -> None:
        engine, steps = self.engine, int(self.engine.run.timetable.steps[e])
        begin = self.x.copy()
        if engine.run.lags:
            self.references[e] = begin
        work.sums[:] = 0
        if isinstance(work, Work) and engine.run.reshuffled and engine.kind == loop.MINIBATCH:
            work.order = self.order(e)
        for low, high, reached in self._pieces(e, steps):
            if engine.cancelled.is_set():
                raise Cancelled
            work.run(engine.rows(e, low, high))
            for reference, lag in reached:
                out["angle_lag"][:, reference, lag] = self._angles(self.references[reference])
            engine.progress((high - low) * self.x.shape[0])
        self.epoch = e + 1
        out["angle_epoch"][:, row] = self._angles(begin)
        norms = self._norms()
        out["weight_norm"][:, row] = np.sqrt(norms)
        out["angle_step"][:, row] = np.sqrt(work.sums[0] / steps)
        for name, total in zip(BALANCE, work.sums[1:], strict=True):
            out[name][:, row] = total / (steps * engine.run.substeps)
        self._gradient(out, row, norms, work)
        view = self.x.view()
        view.flags.writeable = False
        for name, function in engine.observe.items():
            out[name][:, row] = function(view)

    def _gradient(self, out: dict[str, Array], row: int, norms: Array, work: Work | WideWork) -> None:
        """Full loss, and the squared mean gradient at the unit vector, at the end of the epoch."""
        engine = self.engine
        function = engine.run.problem.loss.gradient
        out["loss"][:, row], out["signal"][:, row] = 0.0, 0.0
        if function is None:
            out["loss"][self.fault[0] >= 0, row] = out["signal"][self.fault[0] >= 0, row] = np.nan
            return
        gradient, value = work.g[0], np.empty(self.x.shape[0])
        function(self.x, engine.arrays.params, gradient, value)
        squares = np.add.reduceat(gradient**2, engine.arrays.offsets[:-1], axis=1)
        if squares.shape[1] > 1:
            squares = np.concatenate([squares, squares.sum(axis=1, keepdims=True)], axis=1)
        out["loss"][:, row], out["signal"][:, row] = value, squares * norms

    def order(self, e: int) -> Array:
        """The samples' order in epoch `e` of each path: a function of (seed, path, epoch) alone."""
        run, n = self.engine.run, self.engine.arrays.N
        return np.stack([generator(run.seed, ORDER, p, e).permutation(n) for p in range(self.low, self.high)])

    def _pieces(self, e: int, steps: int) -> list[tuple[int, int, list[tuple[int, int]]]]:
        """Cut an epoch into chunks, and wherever a lag is reached: (low, high, [(epoch of reference, lag), ...])."""
        start, lags = self.engine.run.timetable.start, self.engine.run.lags
        cuts: dict[int, list[tuple[int, int]]] = {steps: []}
        for cut in range(CHUNK, steps, CHUNK):
            cuts[cut] = []
        for reference in list(self.references):
            if lags and start[reference] + lags[-1] <= start[e]:
                del self.references[reference]
                continue
            for i, lag in enumerate(lags):
                inside = int(start[reference] + lag - start[e])
                if 0 < inside <= steps:
                    cuts.setdefault(inside, []).append((reference, i))
        edges = sorted(cuts)
        return [(low, high, cuts[high]) for low, high in zip([0, *edges[:-1]], edges, strict=True)]


class Work:
    """The kernel's work space for one block."""

    def __init__(self, block: Block) -> None:
        engine, arrays = block.engine, block.engine.arrays
        paths, dim = block.x.shape
        self.block = block
        self.draws = np.array(engine.run.scheme.draws, dtype=np.int64)
        filled = engine.fill is not None and engine.kind == loop.INCREMENTS
        self.xi = np.empty((1 + (engine.fine > 1), block.size if filled else 0, arrays.noise_dim if filled else 0))
        self.order = np.empty((block.size, 0), dtype=np.int64)
        self.rooms = np.empty((3 + (engine.run.scheme.where is not None), paths, dim))
        self.g = np.empty((self.draws.size + (engine.kind == loop.DIFFERENCE), paths, dim))
        self.sums = np.zeros((3, paths, engine.columns))
        self.plan = engine.plan()

    def run(self, table: Array) -> None:
        """Advance the block by the steps of `table`."""
        block, arrays = self.block, self.block.engine.arrays
        loop.kernel(
            block.x,
            block.state,
            table,
            self.plan,
            self.draws,
            block.engine.functions,
            block.words,
            arrays.params,
            arrays.offsets,
            block.memory,
            self.xi,
            self.order,
            self.rooms,
            self.g,
            self.sums,
            block.fault,
        )
