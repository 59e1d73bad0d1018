"""`Sweep`: what is to be run, described once; run it, look at it, collect it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import check_count
from sde_si.sweep.axes import Axis, count, make_axes, points, solve_for_advice, solve_tuning_factor
from sde_si.sweep.checks import check_limits, check_out, check_shapes, nearest
from sde_si.sweep.job import Job, plain

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.sweep.summary import Summary


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Many runs: configurations times seeds, of simulations, of a function, or of a command.

    Parameters
    ----------
    kind : str, optional
        ``simulate`` (settings are the flags of ``sde-si simulate``), ``sphere`` (those of ``sde-si sphere``), ``train``
        (those of ``python -m validation.train``), ``call`` or ``command``; the last two follow from `function` and
        `command`.
    function : callable or str, optional
        A plain function, or its name ``path/file.py:name``: ``function(**settings)`` returns an xarray.Dataset, a
        number, or numbers and arrays by name.
    command : str, optional
        A command with ``{name}`` for a setting and ``{out}`` for the file that it writes.
    base : mapping
        Settings of every run.
    grid : mapping of str to list
        Settings and their values: every combination is run.
    zipped : mapping of str to list
        Settings whose lists of one length go together; crossed with the grid.
    runs : sequence of mapping
        Explicit combinations, crossed with the grid.
    seeds : int or sequence of int, optional
        So many seeds from 0 on, or these: the setting ``seed``. None: no such axis.
    solve_for : str
        The setting (lr, wd, momentum, N or B) that is fixed by the setting ``tuning_factor``.
    out : Path or str
        Folder of the records.

    Raises
    ------
    BadInput
        If the description contradicts itself.

    Examples
    --------
    >>> study = Sweep(base={"N": 640, "dim": 8}, grid={"lr": [0.1, 0.2]}, seeds=3)
    >>> len(study), study.dims
    (6, {'lr': 2, 'seed': 3})
    """

    kind: str = ""
    function: Callable[..., Any] | str | None = None
    command: str | None = None
    base: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Any] = field(default_factory=dict)
    zipped: Mapping[str, Any] = field(default_factory=dict)
    runs: Sequence[Mapping[str, Any]] = ()
    seeds: int | Sequence[int] | None = None
    solve_for: str = ""
    out: Path | str = "./runs"

    def __post_init__(self) -> None:
        from sde_si.sweep.kinds import KINDS

        tables = {"base": self.base, "grid": self.grid, "zip": self.zipped}
        check_shapes(self.kind, self.function, self.command, self.solve_for, self.runs, tables)
        check_out(self.out)
        one = self.function is None or self.command is None
        require(one, "command", "a function or a command", "both", "leaving one of them out")
        follows = "call" if self.function is not None else "command" if self.command is not None else "simulate"
        kind = self.kind or follows
        require(kind in KINDS, "kind", f"one of {', '.join(KINDS)}", repr(kind), nearest(kind, KINDS, follows))
        needs = KINDS[kind][0]
        given = self.function if self.function is not None else self.command
        advice = f'{"command" if kind == "command" else "function"} = "..."' if needs else "leaving it out"
        expected = f"{needs or 'neither function nor command'} for {kind}"
        require((given is None) == (not needs), "kind", expected, given, advice)
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "base", {name: plain(name, value) for name, value in self.base.items()})
        names = {name for axis in self.axes for name in axis.names}
        both = sorted(names & self.base.keys())
        where = ", ".join(both)
        require(not both, "base", "each setting in base or on an axis", f"{where} in both", f"[base] without {where}")
        solved = "tuning_factor" in names | self.base.keys() and kind in ("simulate", "train")
        advice = "tuning_factor = [0.1, 0.2] in [grid], or no solve_for"
        require(solved or not self.solve_for, "solve_for", "a tuning_factor that fixes it", self.solve_for, advice)
        free = solve_for_advice(self.solve_for, names | self.base.keys())
        require(self.solve_for not in names, "solve_for", f"no axis {self.solve_for} beside tuning_factor", "one", free)

    @property
    def axes(self) -> list[Axis]:
        """The axes, slowest first."""
        return make_axes(self.grid, self.zipped, self.runs, self.seeds)

    @property
    def dims(self) -> dict[str, int]:
        """Length of every axis by name."""
        return {axis.name: len(axis.values) for axis in self.axes}

    def __len__(self) -> int:
        return count(self.axes)

    def jobs(self, first: int = 0) -> Iterator[Job]:
        """The runs, made one at a time, from number `first` on and round.

        Raises
        ------
        BadInput
            When a run's turn comes whose settings are wrong.
        """
        return (self.job(point) for _, point in points(self.axes, first))

    def indexed(self) -> Iterator[tuple[tuple[int, ...], Job]]:
        """Every run with its index along the axes."""
        for index, point in points(self.axes):
            yield index, self.job(point)

    def job(self, point: Mapping[str, Any]) -> Job:
        """The run at one point of the axes.

        Raises
        ------
        BadInput
        """
        from sde_si.sweep.kinds import KINDS

        settings = {**self.base, **point}
        make = KINDS[self.kind][1]
        if self.kind in ("simulate", "train") and "tuning_factor" in settings:
            settings = solve_tuning_factor(settings, self.solve_for, decoupled=self._decoupled(settings))
        what = self.function if self.function is not None else self.command
        job = make(settings) if what is None else make(what, settings)
        return dataclasses.replace(job, point=dict(point))

    def _decoupled(self, settings: Mapping[str, Any]) -> bool:
        """Whether the weight decay of these settings bypasses the momentum."""
        if self.kind == "train":
            from sde_si.sweep.kinds.trainings import decoupled

            sized = settings.get("N") is not None or self.solve_for == "N"
            require(sized, "tuning_factor", "N beside it (the trainer's own is that of its data)", "none", "N = 5000")
            return decoupled(settings)
        from sde_si.resolve import find_method

        return find_method(settings.get("method", "sgd")).decoupled

    def check(self) -> None:
        """Refuse wrong settings before any work: every value of every axis is tried, beside the first of the others.

        Seeds only differ in number, so that the first stands for all. A combination that is wrong although each of its
        values is right is refused at its turn.

        Raises
        ------
        BadInput
        """
        axes = self.axes
        first = {name: value for axis in axes for name, value in zip(axis.names, axis.values[0], strict=True)}
        self.job(first)
        for axis in axes:
            if axis.names == ("seed",):
                for (seed,) in axis.values:
                    check_count("seeds", seed, least=0, advice="8")
                continue
            for values in axis.values[1:]:
                self.job(first | dict(zip(axis.names, values, strict=True)))

    def run(
        self,
        *,
        executor: Any = "local",
        timeout: float | None = None,
        minutes: float | None = None,
        retries: int = 0,
        retry_failed: bool = False,
        quiet: bool = False,
    ) -> Summary:
        """Do what is not done yet.

        Parameters
        ----------
        executor : str or object
            ``local[:workers]``, ``dask://HOST:PORT``, ``slurm[:option=value,...]``, or anything with ``submit``.
        timeout : float, optional
            Seconds that one run may take.
        minutes : float, optional
            Stop cleanly after so many minutes.
        retries : int
            Times that a run which raised an exception is tried again at once.
        retry_failed : bool
            Try again what failed, diverged or took too long at an earlier time.
        quiet : bool
            No progress, no messages.

        Returns
        -------
        Summary
            How many runs were done, found done, and not done and why.

        Raises
        ------
        BadInput
            Before any work.
        DiskProblem
            If records cannot be written; what is finished is kept.
        """
        from sde_si.simulate.store import Store, announce_compilation
        from sde_si.sweep.dispatch import Dispatcher
        from sde_si.sweep.executors import starter
        from sde_si.sweep.folder import Folder
        from sde_si.sweep.worker import IN_WORKER
        from sde_si.terminal import Progress

        if os.environ.get(IN_WORKER):
            guard = 'if __name__ == "__main__":'
            raise BadInput("sweep", f"a sweep to be started under {guard}", "one started inside its own worker")
        check_limits(timeout, minutes, retries)
        folder = Folder(Path(self.out).absolute(), quiet)
        start = starter(executor, folder.path, timeout)
        self.check()
        Store(folder.path, 1, quiet=True).check_writable()
        if self.kind == "simulate":
            announce_compilation(quiet)
        with Progress("sweep", len(self), quiet, unit="runs") as progress:
            dispatcher = Dispatcher(
                folder=folder, start=start, timeout=timeout, minutes=minutes, retries=retries,
                retry_failed=retry_failed, progress=progress, quiet=quiet,
            )  # fmt: skip
            return dispatcher.run(self.jobs, len(self))

    def status(self) -> dict[str, list[Job]]:
        """Runs by what the files say of them: done, running, failed, missing, unreadable."""
        from sde_si.sweep.folder import STATES, Folder

        folder = Folder(Path(self.out))
        found: dict[str, list[Job]] = {name: [] for name in STATES}
        running = folder.running_elsewhere()
        for job in self.jobs():
            found[folder.state(job, running)].append(job)
        return found

    def collect(self, *, quiet: bool = False) -> xr.Dataset:
        """All finished records as one Dataset over the sweep's axes (`sde_si.sweep.gather.collect`)."""
        from sde_si.sweep.gather import collect

        return collect(self, quiet=quiet)
