"""Runs that the summaries of a folder hold: given back as records of single trainings, they are not done again.

A summary keeps of every run what its experiment records, so an experiment that shares cells with others, or the same
one with more seeds, on another machine and without the files of the runs, does only what nobody has done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import DiskProblem
from sde_si.record import SCHEMA
from validation.experiments.base import Cell, Experiment
from validation.experiments.catalogue import EXPERIMENTS
from validation.experiments.setups import hyperparameters
from validation.experiments.summary import COURSE, EQUILIBRIUM, load, path_of, up_to_date
from validation.experiments.work import name_of

if TYPE_CHECKING:
    import xarray as xr

TOTALS = ("seconds", "cpu_seconds")  # of a provenance, over all runs


@dataclass(frozen=True)
class Place:
    """Where a run is: the summary's experiment, its row and its seed."""

    experiment: Experiment
    row: int
    cell: Cell
    seed: int

    def serves(self, experiment: Experiment) -> bool:
        """Whether all that `experiment` records of a run is kept here."""
        return set(experiment.record) <= set(self.experiment.record) and self.experiment.groups >= experiment.groups


def places(experiment: Experiment, scale: str, folder: Path) -> dict[str, Place]:
    """Runs of `experiment` by the name of their file, and where in the summaries of `folder` they are."""
    wanted = {cell.digest(0) for cell in experiment.cells(scale)}
    return {
        name_of(place.cell, place.seed): place
        for place in _all(scale, folder)
        if place.serves(experiment) and place.cell.digest(0) in wanted
    }


def _all(scale: str, folder: Path) -> Iterator[Place]:
    for name, experiment in EXPERIMENTS.items():
        if not up_to_date(name, scale, 1, folder):
            continue
        seeds = _summary(name, scale, folder, path_of(name, scale, folder).stat().st_mtime_ns).sizes["seed"]
        for row, cell in enumerate(experiment.cells(scale)):
            yield from (Place(experiment, row, cell, seed) for seed in range(seeds))


@lru_cache(maxsize=32)
def _summary(name: str, scale: str, folder: Path, _changed: int) -> xr.Dataset:
    return load(name, scale, folder=folder)


def unpack(place: Place, scale: str, folder: Path) -> xr.Dataset:
    """The run's record: the variables that its experiment keeps, with ``path`` as their first axis.

    Raises
    ------
    DiskProblem
        If the summary lacks something that every summary has.
    """
    import xarray as xr

    name = place.experiment.name
    path = path_of(name, scale, folder)
    summary = _summary(name, scale, folder, path.stat().st_mtime_ns)
    try:
        found = summary.isel(cell=place.row, seed=[place.seed]).rename(seed="path")
        found = found.isel(epoch=slice(hyperparameters(place.cell.settings).epochs))
        data: dict[str, Any] = {}
        for key in place.experiment.record:
            dims, unit, text = SCHEMA[key]
            dims = tuple(dim for dim in dims if dim != "group" or place.experiment.groups)
            # a summary leaves out what is nan in all of its runs
            values = found[key].transpose(*dims) if key in found else _nan(found, dims)
            data[key] = (dims, values.values.astype(float), {"units": unit, "long_name": text})
        for key, (source, unit, text) in COURSE.items():
            data[source] = (("epoch",), found[key].values.astype(float), {"units": unit, "long_name": text})
        data["diverged_step"] = (("path",), found["diverged_step"].values)
        known = {key: float(found[f"{key}_equilibrium"]) for key in EQUILIBRIUM}
        whole = json.loads(summary.attrs["provenance"])
        shared = {key: whole[key] / whole["runs"] for key in TOTALS if key in whole}
    except (KeyError, ValueError) as error:
        raise DiskProblem(f"{path} is no summary of {name}: it lacks {error}") from error
    record = xr.Dataset(data, {"group": found["group"].values} if place.experiment.groups else None)
    predictions: Mapping[str, Any] = {k: {"value": None if np.isnan(v) else v} for k, v in known.items()}
    record.attrs = {
        "digest": place.cell.digest(place.seed),
        "configuration": json.dumps({"optimizer": "sgd", **place.cell.settings, "seed": place.seed}),
        "predictions": json.dumps(predictions),
        "provenance": json.dumps({**whole, **shared, "kept_in": name}),
    }
    return record


def _nan(found: xr.Dataset, dims: tuple[str, ...]) -> xr.DataArray:
    import xarray as xr

    return xr.DataArray(np.full([found.sizes[dim] for dim in dims], np.nan), dims=dims)
