"""Runs that the summaries of a folder hold: given back as records of single trainings, they are not done again.

A summary keeps of every run what its experiment records, so an experiment that shares cells with others, or the same
one with more seeds or cells, on another machine and without the files of the runs, does only what nobody has done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import Damaged
from sde_si.record import SCHEMA
from validation.experiments.base import Cell, Experiment, unique
from validation.experiments.build import COURSE, EQUILIBRIUM, SHORT
from validation.experiments.catalogue import EXPERIMENTS
from validation.experiments.made import of_one
from validation.experiments.setups import hyperparameters
from validation.experiments.summary import load, path_of
from validation.experiments.work import name_of

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True)
class Place:
    """Where a run is: the summary, its row, its seed."""

    summary: xr.Dataset
    row: int
    seed: int


def places(experiment: Experiment, scale: str, folder: Path) -> dict[str, Place]:
    """Runs of `experiment`, by the name of their file, of which a summary in `folder` holds all that it records.

    A run is known by its settings and seed, whatever the experiment that made it and whatever has become of that one.
    """
    cells = {cell.digest(0)[:SHORT]: cell for cell in unique(experiment.cells(scale))}
    found: dict[str, Place] = {}
    for name in EXPERIMENTS:
        path = path_of(name, scale, folder)
        summary = _summary(name, scale, folder, path.stat().st_mtime_ns) if path.exists() else None
        if summary is None or not _serves(summary, experiment):
            continue
        for row, digest in enumerate(summary["digest"].values.astype(str).tolist()):
            if digest in cells:
                for seed in summary["seed"].values.tolist():
                    found.setdefault(name_of(cells[digest], seed), Place(summary, row, seed))
    return found


@lru_cache(maxsize=32)
def _summary(name: str, scale: str, folder: Path, _changed: int) -> xr.Dataset | None:
    """None for a file that is none, which the command names: its own experiment makes it anew."""
    try:
        return load(name, scale, folder=folder)
    except (Damaged, KeyError):
        return None


def _serves(summary: xr.Dataset, experiment: Experiment) -> bool:
    """Whether all that the experiment records of a run is there."""
    needed = {*experiment.record, *COURSE, *(f"{name}_equilibrium" for name in EQUILIBRIUM), "diverged_step"}
    return (
        needed <= set(summary.data_vars)
        and {"digest", "seed"} <= set(summary.coords)
        and "provenance" in summary.attrs
        and ("group" in summary.dims) >= experiment.groups
    )


def unpack(place: Place, cell: Cell, experiment: Experiment) -> xr.Dataset:
    """The run's record: the variables that `experiment` keeps, with ``path`` as their first axis."""
    import xarray as xr

    found = place.summary.isel(cell=place.row).sel(seed=[place.seed]).rename(seed="path")
    found = found.isel(epoch=slice(hyperparameters(cell.settings).epochs))
    data: dict[str, Any] = {}
    for key in experiment.record:
        dims, unit, text = SCHEMA[key]
        dims = tuple(dim for dim in dims if dim in found.dims)
        data[key] = (dims, found[key].transpose(*dims).values.astype(float), {"units": unit, "long_name": text})
    for key, (source, unit, text) in COURSE.items():
        data[source] = (("epoch",), found[key].values.astype(float), {"units": unit, "long_name": text})
    data["diverged_step"] = (("path",), found["diverged_step"].values)
    known = {key: float(found[f"{key}_equilibrium"]) for key in EQUILIBRIUM}
    record = xr.Dataset(data, {"group": found["group"].values} if "group" in found.dims else None)
    record.attrs = {
        "digest": cell.digest(place.seed),
        "configuration": json.dumps({"optimizer": "sgd", **cell.settings, "seed": place.seed}),
        "predictions": json.dumps({key: {"value": None if np.isnan(v) else v} for key, v in known.items()}),
        "provenance": json.dumps(
            {**of_one(json.loads(place.summary.attrs["provenance"])), "kept_in": place.summary.attrs["experiment"]}
        ),
    }
    return record
