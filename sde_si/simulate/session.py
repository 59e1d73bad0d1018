"""One simulation that can go on: to more epochs, to more paths, from saved states."""

from __future__ import annotations

import hashlib
import io
import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.block import Block
from sde_si.disk import write_bytes
from sde_si.engine import Engine, Observe, Progress
from sde_si.errors import DiskProblem
from sde_si.provenance import provenance
from sde_si.record import make
from sde_si.run import Run
from sde_si.streams import block_size
from sde_si.theory import displacement_ratio, predict, relaxation_rate

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
_PER_PATH = ("fault", "initial_norm")
_STATE = ("x", "state", "memory", "words", *_PER_PATH)


class Session:
    """The paths of one run, as far as they have got.

    Parameters
    ----------
    run : Run
    observe, threads, progress
        As in `Engine`.
    """

    def __init__(
        self, run: Run, *, observe: Observe | None = None, threads: int | None = None, progress: Progress | None = None
    ) -> None:
        self.run = run
        self.engine = Engine(run, observe, threads, progress)
        self.blocks = self.engine.blocks()
        self.results: dict[str, Array] = {}
        self.seconds = 0.0

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return self.blocks[0].epoch

    def change(self, run: Run) -> None:
        """Go on as a run with more epochs or more paths and else the same."""
        more = run.paths > self.run.paths
        self.run = run
        self.engine.change(run)
        if more:
            # The last block may have been cut short: it starts anew, and comes out the same where it overlaps.
            size = block_size(run.arrays.dim)
            whole = self.blocks[-1].high // size if self.blocks[-1].high % size == 0 else len(self.blocks) - 1
            kept, epoch = self.blocks[:whole], self.epoch
            added = self.engine.blocks(whole * size)
            results = self._timed(added, epoch) if epoch else {}
            for name, old in self.results.items():
                self.results[name] = np.concatenate([old[: whole * size], results[name]])
            self.blocks = kept + added

    def _timed(self, blocks: list[Block], epochs: int) -> dict[str, Array]:
        begin = time.perf_counter()
        try:
            return self.engine.advance(blocks, epochs)
        finally:
            self.seconds += time.perf_counter() - begin

    def advance(self, epochs: int | None = None) -> None:
        """Run all paths to the end of epoch number `epochs` (default: of the run)."""
        epochs = self.run.hyperparameters.epochs if epochs is None else epochs
        if epochs <= self.epoch:
            return
        found = self._timed(self.blocks, epochs)
        for name, new in found.items():
            old = self.results.get(name)
            if name in _PER_PATH or old is None:
                self.results[name] = new
            elif name == "angle_lag":
                new[:, : old.shape[1]] = np.where(np.isnan(old), new[:, : old.shape[1]], old)
                self.results[name] = new
            else:
                self.results[name] = np.concatenate([old, new], axis=1)

    def record(self) -> xr.Dataset:
        """The record of the epochs done."""
        run, results, timetable = self.run, self.results, self.run.timetable
        epochs = results["loss"].shape[1]
        last = [timetable.lr_and_momentum(e, slice(-1, None)) for e in range(epochs)]
        lr = np.array([rates[-1] for rates, _ in last])
        variables = {
            "cos_epoch": np.cos(results["angle_epoch"]),
            "angle_epoch": results["angle_epoch"],
            "angle_step": results["angle_step"],
            "weight_norm": results["weight_norm"],
            "effective_lr": lr[:, None] / results["weight_norm"] ** 2,
            "signal": results["signal"],
            "mean_squared_displacement": results["mean_squared_displacement"],
            "mean_squared_norm": results["mean_squared_norm"],
            "loss": results["loss"],
            "weight_norm_initial": results["initial_norm"],
            "lr": lr,
            "momentum": np.array([momenta[-1] for _, momenta in last]),
            "batch": timetable.batch[:epochs].astype(np.int32),
            "steps_per_epoch": timetable.steps[:epochs].astype(np.int32),
            "diverged_step": results["fault"][:, 0].astype(np.int32),
            "diverged_reason": np.maximum(results["fault"][:, 1], 0).astype(np.int32),
        }
        if run.lags:
            variables["cos_lag"] = np.cos(results["angle_lag"][:, :epochs])
        predicted = predict(run)
        record = make(
            variables,
            groups=run.arrays.groups,
            lags=run.lags,
            observables={name: results[name] for name in self.engine.observe},
            attributes={
                "source": "simulate",
                "method": run.method.name,
                "configuration": run.configuration(),
                "digest": run.digest(),
                "last_change": run.timetable.last_change,
                "tuning_factor": run.tuning_factor,
                "relaxation_rate": relaxation_rate(run),
                "expected_displacement_ratio": expected_ratio(run),
                "predictions": json.loads(predicted.attrs["predictions"]),
                "provenance": provenance(seconds=self.seconds, threads=self.engine.threads),
            },
        )
        return record.merge(predicted, combine_attrs="override")

    def save_states(self, folder: Path) -> Path:
        """Write everything that a longer run needs to go on bit-identically."""
        path = folder / _states_name(self.run, self.epoch)
        content: dict[str, Any] = {f"results.{name}": value for name, value in self.results.items()}
        for i, block in enumerate(self.blocks):
            content |= {f"{i}.{name}": getattr(block, name) for name in _STATE}
            content |= {f"{i}.reference.{e}": value for e, value in block.references.items()}
        buffer = io.BytesIO()
        np.savez(buffer, **content)
        write_bytes(buffer.getvalue(), path)
        return path

    def restore(self, folder: Path) -> int:
        """Go on from the longest saved beginning of this run in `folder`; returns its epochs, 0 if there is none.

        Raises
        ------
        DiskProblem
            If the file is damaged.
        """
        best, file = 0, None
        for path in folder.glob(f"states-{self.run.method.name}-*.npz"):
            epochs = path.stem.rpartition("-")[2]
            if epochs.isdigit() and best < int(epochs) <= self.run.hyperparameters.epochs:
                epoch = int(epochs)
                if path.name == _states_name(self.run, epoch):
                    best, file = epoch, path
        if file is None:
            return 0
        try:
            with np.load(file, allow_pickle=False) as stored:
                content = dict(stored)
            self._put(content, best)
        except Exception as error:
            raise DiskProblem(f"{file} is damaged ({error}); remove it and run again") from error
        return best

    def _put(self, content: Mapping[str, Array], epoch: int) -> None:
        for i, block in enumerate(self.blocks):
            block.epoch = epoch
            for name in _STATE:
                setattr(block, name, np.ascontiguousarray(content[f"{i}.{name}"]))
            prefix = f"{i}.reference."
            block.references = {int(k[len(prefix) :]): v for k, v in content.items() if k.startswith(prefix)}
        self.results = {k.partition(".")[2]: v for k, v in content.items() if k.startswith("results.")}


def _states_name(run: Run, epochs: int) -> str:
    """Named by all that decides the first `epochs` epochs, and by nothing that comes later."""
    begun = (np.stack(run.timetable.lr_and_momentum(e)).tobytes() for e in range(epochs))
    schedule = [*(hashlib.sha256(epoch).hexdigest() for epoch in begun), run.timetable.batch[:epochs].tolist()]
    return f"states-{run.method.name}-{run.digest(epochs=epochs, schedule=schedule)[:12]}-{epochs}.npz"


def expected_ratio(run: Run) -> float:
    """`displacement_ratio`, nan where there is no equilibrium."""
    return displacement_ratio(run) if run.settled.intrinsic_lr > 0 else math.nan
