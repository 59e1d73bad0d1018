"""What all blocks of a run share: compiled functions, tables, threads."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sde_si import kernel as loop
from sde_si.block import CHUNK, Block
from sde_si.machine import usable_cores
from sde_si.methods.base import HYPER
from sde_si.pointers import SIGNATURES, address
from sde_si.run import CONSTRAINTS, Run
from sde_si.streams import block_size, parts

Array = np.ndarray
Progress = Callable[[float], None]
Observe = Mapping[str, Callable[[Array], Array]]


class Engine:
    """Compiled functions, tables and work shared by all blocks of a run.

    Parameters
    ----------
    run : Run
    observe : mapping of str to callable, optional
        ``function(x) -> values[path]`` for weights ``x[path, d]``, called at the end of every epoch.
    threads : int, optional
        Worker threads; the numbers do not depend on them.
    progress : callable, optional
        Called with path-steps done since the last call.
    """

    def __init__(
        self, run: Run, observe: Observe | None = None, threads: int | None = None, progress: Progress | None = None
    ) -> None:
        self.run, self.observe = run, dict(observe or {})
        self.threads = threads or usable_cores()
        self.progress = progress or (lambda _: None)
        self.cancelled = threading.Event()
        self.arrays = run.arrays
        loss, law = run.problem.loss, run.law
        self.fill, self.shape = law.fill if law else None, run.shape
        entry = {
            "step": run.scheme.step,
            "gradient": loss.gradient,
            "noise": loss.noise,
            "minibatch": loss.minibatch,
            "fill": self.fill,
            "shape": self.shape,
            "where": run.scheme.where,
        }
        self.functions = np.array([address(name, entry[name]) for name in SIGNATURES], dtype=np.int64)
        if run.noise == "minibatch":
            self.kind = loop.MINIBATCH
        else:
            self.kind = loop.DIFFERENCE if run.noise == "difference" else loop.INCREMENTS
        self.fine = run.noise_from // run.substeps if run.noise_from else 1
        wide = self.kind == loop.INCREMENTS and self.arrays.noise_dim == self.arrays.dim
        self.parts = parts(self.arrays.dim) if wide else [slice(None)]
        self.columns = self.arrays.groups + (self.arrays.groups > 1)
        self.watched = True
        self.constraint = CONSTRAINTS.index(run.constraint)
        self._chunk = functools.lru_cache(maxsize=64)(self._rows)  # the blocks ask for the same

    @property
    def wide(self) -> bool:
        """Whether a path is so long that it is cut into parts (`sde_si.wide`)."""
        return len(self.parts) > 1

    def plan(self) -> Array:
        """The kernel's integers."""
        run, ordered = self.run, self.run.reshuffled and self.kind == loop.MINIBATCH
        integers = [run.substeps, self.kind, self.fine, self.arrays.N, ordered, self.watched, self.constraint]
        return np.array([*integers, run.scheme.elementwise], dtype=np.int64)

    def change(self, run: Run) -> None:
        """Go on with a run of more epochs or paths and else the same."""
        self.run = run
        self._chunk.cache_clear()

    def rows(self, epoch: int, low: int, high: int) -> Array:
        """The kernel's records of steps `low` to `high` of one epoch (from 0), all of one chunk."""
        chunk, begin = divmod(low, CHUNK)
        return self._chunk(epoch, chunk)[begin : begin + high - low]

    def _rows(self, epoch: int, chunk: int) -> Array:
        """The kernel's records of at most `CHUNK` steps of one epoch: never more, so that memory stays flat."""
        run, timetable = self.run, self.run.timetable
        hp, h = run.hyperparameters, 1 / run.substeps
        part = slice(chunk * CHUNK, (chunk + 1) * CHUNK)
        lr, momentum = timetable.lr_and_momentum(epoch, part)
        table = np.zeros(lr.size, HYPER)
        table["lr"], table["wd"], table["momentum"], table["h"] = lr, hp.wd, momentum, h
        # A method that uses them has them (`Method.extras`); the others' steps do not read them.
        table["beta2"], table["eps"] = hp.beta2 or 0.0, hp.eps or 0.0
        table["batch"], table["epoch_steps"] = timetable.batch[epoch], timetable.steps[epoch]
        table["epoch_step"] = part.start + np.arange(lr.size)
        table["step"] = timetable.start[epoch] + table["epoch_step"]
        table["noise_variance"] = self.arrays.noise_variance * timetable.noise(epoch, part)
        table["noise1"] = table["noise2"] = 1.0
        table["radius"] = run.start_norm
        for name, column in run.scheme.coefficients(lr, table["wd"], momentum, h).items():
            table[name] = column
        return table

    def blocks(self, first: int = 0) -> list[Block]:
        """Fresh blocks for the paths from `first` (a block's first path) on."""
        size = block_size(self.arrays.dim)
        return [Block(self, low, min(low + size, self.run.paths)) for low in range(first, self.run.paths, size)]

    def advance(self, blocks: list[Block], epochs: int) -> dict[str, Array]:
        """Run all blocks to the end of epoch number `epochs`; see `Block.advance` for what comes back.

        Raises
        ------
        Cancelled
            If another thread has set `cancelled`.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            if self.wide:
                results = [block.advance(epochs, pool) for block in blocks]
            else:
                futures = [pool.submit(block.advance, epochs) for block in blocks]
                try:
                    results = [future.result() for future in futures]
                except BaseException:
                    self.cancelled.set()
                    raise
        return {name: np.concatenate([result[name] for result in results]) for name in results[0]}
