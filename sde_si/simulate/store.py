"""From a run to its record: loaded if it exists, else simulated and saved."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.disk import check_writable, write_bytes
from sde_si.errors import DiskProblem
from sde_si.record import load, save
from sde_si.run import Run
from sde_si.simulate.api import next_epochs, next_paths
from sde_si.terminal import Progress, say
from sde_si.theory import predict

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.simulate.session import Session


@dataclass(frozen=True)
class Outcome:
    """A run and its record."""

    run: Run
    record: xr.Dataset
    path: Path
    reused: bool
    seconds: float


@dataclass(frozen=True)
class Store:
    """A folder of records.

    Attributes
    ----------
    folder : Path
    threads : int
        Worker threads.
    fresh, quiet, save_states : bool
        Compute again what exists; say nothing; save the end states.
    """

    folder: Path
    threads: int
    fresh: bool = False
    quiet: bool = False
    save_states: bool = False

    def check_writable(self) -> None:
        """Refuse a folder that cannot be written, before any work.

        Raises
        ------
        DiskProblem
        """
        check_writable(self.folder)

    def path(self, run: Run) -> Path:
        """The file of a run's record."""
        return self.folder / f"simulate-{run.method.name}-{run.digest()[:12]}.nc"

    def obtain(self, run: Run, *, until_equilibrium: bool = False, target_error: float | None = None) -> Outcome:
        """The record of `run`, or of the longer or wider run that the search ends with."""
        searching = until_equilibrium or target_error is not None
        pointer = self._pointer(run, until_equilibrium, target_error)
        if searching and pointer.exists() and not self.fresh:
            found = self._follow(pointer, run)
            if found is not None and self.path(found).exists():
                return self._load(found)
        if not searching and self.path(run).exists() and not self.fresh:
            return self._load(run)
        outcome = self._simulate(run, until_equilibrium, target_error)
        if searching:
            end = {"epochs": outcome.run.hyperparameters.epochs, "paths": outcome.run.paths}
            write_bytes(json.dumps(end).encode(), pointer)
        return outcome

    def _load(self, run: Run) -> Outcome:
        path = self.path(run)
        say(f"{run.method.name}: already done, loaded from {path} (--fresh computes again)", self.quiet)
        record = load(path)
        # What theory says today, should the record be older.
        predicted = predict(run)
        record = record.drop_vars(list(predicted.data_vars), errors="ignore").merge(predicted, combine_attrs="override")
        record.attrs["predictions"] = predicted.attrs["predictions"]
        return Outcome(run, record, path, True, float(json.loads(record.attrs["provenance"])["seconds"]))

    def _pointer(self, run: Run, until_equilibrium: bool, target_error: float | None) -> Path:
        """Where a search notes how many epochs and paths it ended with."""
        epochs = "auto" if until_equilibrium else run.hyperparameters.epochs
        digest = run.digest(epochs=epochs, target_error=target_error)
        return self.folder / f"search-{run.method.name}-{digest[:12]}.json"

    def _follow(self, pointer: Path, run: Run) -> Run | None:
        try:
            end = json.loads(pointer.read_text())
            return run.replace(
                paths=int(end["paths"]), hyperparameters=run.hyperparameters.replace(epochs=int(end["epochs"]))
            )
        except (OSError, ValueError, KeyError) as error:
            raise DiskProblem(f"{pointer} is damaged ({error}); remove it and run again") from error

    def _simulate(self, run: Run, until_equilibrium: bool, target_error: float | None) -> Outcome:
        announce_compilation(self.quiet)  # before the import, which compiles
        from sde_si.simulate.session import Session

        with Progress(run.method.name, run.paths * float(run.timetable.start[-1]), self.quiet) as progress:
            session = Session(run, threads=self.threads, progress=progress.advance)
            begun = 0 if self.fresh else session.restore(self.folder)
            if begun:
                say(f"{run.method.name}: goes on from the saved states at epoch {begun}", self.quiet)
            session.advance()
            record = session.record()
            if until_equilibrium:
                record = self._grow(session, record, progress, lambda r: next_epochs(session.run, r))
            if target_error is not None:
                record = self._grow(session, record, progress, lambda r: next_paths(session.run, r, target_error))
        path = self.path(session.run)
        save(record, path)
        if self.save_states:
            session.save_states(self.folder)
        return Outcome(session.run, record, path, False, session.seconds)

    def _grow(
        self, session: Session, record: xr.Dataset, progress: Progress, more: Callable[[Any], Run | None]
    ) -> xr.Dataset:
        """Go on while `more` of the record asks for more."""
        while (larger := more(record)) is not None:
            progress.total = max(progress.total, larger.paths * float(larger.timetable.start[-1]))
            session.change(larger)
            session.advance()
            record = session.record()
        return record


def announce_compilation(quiet: bool) -> None:
    """Say that the first run compiles, if numba's cache of the kernel is empty."""
    import sde_si

    cache = Path(sde_si.__file__).parent / "__pycache__"
    if not list(cache.glob("kernel.kernel-*.nbc")) and "NUMBA_CACHE_DIR" not in os.environ:
        say("compiling the time loop, once in its life: about 20 s", quiet)
