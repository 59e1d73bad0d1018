"""Running experiments: what is done, what is left and for how long, the engine, and the summary at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.disk import check_writable
from sde_si.errors import Damaged
from sde_si.sweep.folder import Folder
from sde_si.sweep.job import Job as Run
from validation.experiments.base import Cell, Experiment, unique
from validation.experiments.build import build
from validation.experiments.kept import Place, places, unpack
from validation.experiments.setups import seconds
from validation.experiments.summary import RECORDS, damage, path_of, up_to_date, write
from validation.experiments.work import images_of, job_of, name_of, run_of

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.sweep.summary import Summary
    from validation.train.job import Job


@dataclass(frozen=True)
class Plan:
    """One experiment at one scale, with its folder of runs.

    Attributes
    ----------
    experiment : Experiment
    scale : str
    seeds : int
    work : Path
        Folder of the runs, shared by all experiments.
    records : Path
        Folder of the summaries.
    """

    experiment: Experiment
    scale: str
    seeds: int
    work: Path
    records: Path = RECORDS

    @cached_property
    def runs(self) -> list[tuple[Cell, int]]:
        """Cells and seeds, each once; all cells of the first seed come first."""
        return [(cell, seed) for seed in range(self.seeds) for cell in unique(self.experiment.cells(self.scale))]

    @property
    def done(self) -> bool:
        """Whether its summary is there and belongs to the present configuration."""
        return up_to_date(self.experiment.name, self.scale, self.seeds, self.records)

    @property
    def damage(self) -> Damaged | None:
        """What is wrong with its summary; None if it is whole, or if there is none."""
        return damage(self.experiment.name, self.scale, self.records)

    @cached_property
    def kept(self) -> dict[str, Place]:
        """Runs that a summary beside this one's holds, by the name of their file."""
        return places(self.experiment, self.scale, self.records)

    @property
    def held(self) -> int:
        """How many of the runs summaries hold."""
        return sum(name_of(cell, seed) in self.kept for cell, seed in self.runs)

    def missing(self) -> list[tuple[Cell, int]]:
        """Runs without a file, in no summary either."""
        names = ((cell, seed, name_of(cell, seed)) for cell, seed in self.runs)
        return [(cell, seed) for cell, seed, name in names if name not in self.kept and not (self.work / name).exists()]

    def check(self, device: str, data_dir: str | None) -> None:
        """Refuse, before any work, a cell that cannot be trained or data that are not there.

        Raises
        ------
        BadInput, DiskProblem
        """
        largest: dict[str, Job] = {}
        for cell in unique(cell for cell, _ in self.missing()):
            job = job_of({**cell.settings, "seed": 0}, device=device, data_dir=data_dir)
            if job.data not in largest or job.hyperparameters.N > largest[job.data].hyperparameters.N:
                largest[job.data] = job
        for job in largest.values():
            job.check(images_of(job))

    def sweep(
        self, *, device: str, data_dir: str | None, workers: int, minutes: float | None, retry_failed: bool, quiet: bool
    ) -> Summary:
        """Do what is missing, on local processes of one thread each."""
        from sde_si.sweep.dispatch import Dispatcher
        from sde_si.sweep.executors import starter
        from sde_si.terminal import Progress

        check_writable(self.work, "--work")
        check_writable(self.records)
        if found := self.damage:
            Folder(self.records, quiet).move_aside(self.path, found.what, "it is made again")

        runs = [(cell, seed) for cell, seed in self.runs if name_of(cell, seed) not in self.kept]

        def jobs(first: int = 0) -> Iterator[Run]:
            for cell, seed in runs[first:] + runs[:first]:
                yield run_of(cell, seed, self.work, device=device, data_dir=data_dir)

        with Progress(f"{self.experiment.name} {self.scale}", len(runs), quiet, unit="runs") as progress:
            dispatcher = Dispatcher(
                folder=Folder(self.work, quiet), start=starter(f"local:{workers}", self.work, None), minutes=minutes,
                retry_failed=retry_failed, progress=progress, quiet=quiet,
            )  # fmt: skip
            return dispatcher.run(jobs, len(runs))

    def summarise(self) -> Path:
        """Write the summary from the files of the runs.

        Raises
        ------
        DiskProblem
            If a run is missing or unreadable.
        """
        return write(build(self.experiment, self.scale, self.seeds, self.record), self.records)

    def record(self, cell: Cell, seed: int) -> xr.Dataset:
        """Of one run: from a summary that holds it, or its file.

        Raises
        ------
        DiskProblem
        """
        from sde_si.record import load

        name = name_of(cell, seed)
        return unpack(self.kept[name], cell, self.experiment) if name in self.kept else load(self.work / name)

    @property
    def path(self) -> Path:
        """Of the summary."""
        return path_of(self.experiment.name, self.scale, self.records)


def estimate(plans: Iterable[Plan]) -> dict[str, float]:
    """Seconds of one core (or of the accelerator) that each plan has left, runs of earlier plans not counted again."""
    counted: set[str] = set()
    left = {}
    for plan in plans:
        mine = [(cell, seed) for cell, seed in plan.missing() if name_of(cell, seed) not in counted]
        counted |= {name_of(cell, seed) for cell, seed in mine}
        left[f"{plan.experiment.name}-{plan.scale}"] = sum(seconds(cell.settings) for cell, _ in mine)
    return left


def listing(experiments: Sequence[Experiment], scales: Sequence[str]) -> list[dict[str, Any]]:
    """What there is: title, source, figures, number of runs and estimated core hours by scale."""
    rows = []
    for experiment in experiments:
        sizes = {}
        for scale in scales:
            cells = unique(experiment.cells(scale))
            cost = experiment.seeds[scale] * sum(seconds(cell.settings) for cell in cells) / 3600
            sizes[scale] = {"runs": len(cells) * experiment.seeds[scale], "hours": round(cost, 3)}
        rows.append({"name": experiment.name, "title": experiment.title, "source": experiment.source,
                     "figures": list(experiment.figures), "scales": sizes})  # fmt: skip
    return rows


__all__ = ["Plan", "estimate", "listing"]
