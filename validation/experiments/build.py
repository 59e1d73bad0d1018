"""The summary of an experiment from its finished runs: one Dataset over cell, seed, epoch (and group)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.record import SCHEMA
from validation.experiments.base import MOMENTS, Cell, Experiment
from validation.experiments.made import provenance_of
from validation.experiments.summary import command_of

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
COORDINATES = {
    "N": ("samples", "training samples"),
    "B": ("samples", "batch size at the start"),
    "lr": ("1", "learning rate per step at the start"),
    "wd": ("1", "weight decay"),
    "momentum": ("1", "momentum coefficient, or beta1"),
    "tuning_factor": ("1", "N lr wd/(B (1 - momentum)) at the start; N lr wd/B with decoupled decay"),
}
# by epoch alone in a record, by cell and epoch here
COURSE = {
    "lr_end": ("lr", "1", "learning rate of the epoch's last step"),
    "batch": ("batch", "samples", "batch size of the epoch"),
    "steps_per_epoch": ("steps_per_epoch", "steps", "optimizer steps of the epoch"),
    "angle_epoch_paper": ("angle_epoch_paper", "rad", SCHEMA["angle_epoch_paper"][2]),
}
SHORT = 12  # hex digits of a cell's digest by which a row is known
EQUILIBRIUM = ("angle_step", "angle_epoch")  # whose value at equilibrium, by the noise alone, stands beside them


def build(experiment: Experiment, scale: str, seeds: int, record_of: Callable[[Cell, int], xr.Dataset]) -> xr.Dataset:
    """The summary of finished runs.

    Parameters
    ----------
    experiment : Experiment
    scale : str
    seeds : int
    record_of : callable
        ``record_of(cell, seed)`` gives the run's record.
    """
    import xarray as xr

    cells = experiment.cells(scale)
    records = [[record_of(cell, seed) for seed in range(seeds)] for cell in cells]
    epochs = max(record.sizes["epoch"] for row in records for record in row)
    data: dict[str, Any] = {}
    for name in experiment.record:
        dims, unit, text = SCHEMA[name]
        values = np.stack([np.stack([_values(one, name, epochs, experiment.groups) for one in row]) for row in records])
        if np.isnan(values).all():
            continue
        shape = ("cell", "seed", *(d for d in dims if d != "path" and (d != "group" or experiment.groups)))
        data[name] = (shape, values.astype(np.float32), {"units": unit, "long_name": text})
    data |= _predicted(cells, data)
    for name, (source, unit, text) in COURSE.items():
        course = np.stack([_longest(row, source, epochs) for row in records])
        data[name] = (("cell", "epoch"), course.astype(np.float32), {"units": unit, "long_name": text})
    for name in EQUILIBRIUM:
        known = [json.loads(row[0].attrs["predictions"])[name]["value"] for row in records]
        text = f"{SCHEMA[name][2]}: noise alone at equilibrium, after the last change of the schedule; nan if unknown"
        values = np.array([np.nan if value is None else value for value in known])
        data[f"{name}_equilibrium"] = (("cell",), values, {"units": "rad", "long_name": text})
    dead = np.array([[int(one["diverged_step"].values[0]) for one in row] for row in records], np.int32)
    data["diverged_step"] = (("cell", "seed"), dead, {"units": "steps", "long_name": SCHEMA["diverged_step"][2]})
    coordinates: dict[str, Any] = {
        "seed": ("seed", np.arange(seeds, dtype=np.int32)),
        "epoch": ("epoch", np.arange(1, epochs + 1, dtype=np.int32), {"units": "epochs", "long_name": "epoch"}),
    }
    if experiment.groups:
        coordinates["group"] = ("group", records[0][0]["group"].values)
    summary = xr.Dataset(data, coordinates | _columns(cells, [row[0] for row in records]))
    summary.attrs = {
        "experiment": experiment.name,
        "title": experiment.title,
        "scale": scale,
        "digest": experiment.digest(scale),
        "command": f"{command_of(experiment.name, scale)} --seeds {seeds}",
        "paper": json.dumps(experiment.paper, sort_keys=True),
        "setup": json.dumps(_common(cells), sort_keys=True),
        "provenance": json.dumps(provenance_of(one for row in records for one in row), sort_keys=True),
    }
    return experiment.derive(summary) if experiment.derive else summary


def _predicted(cells: list[Cell], data: Mapping[str, Any]) -> dict[str, Any]:
    """What theory makes of the measured gradients (`validation.experiments.calibrated`)."""
    from validation.experiments.calibrated import NAMES, calibrated

    shape, template, _ = data["weight_norm"]
    made = {name: np.full(template.shape, np.nan, np.float32) for name in NAMES}
    for i, cell in enumerate(cells):
        # (seed, epoch, ...) becomes (epoch, seed, ...)
        known = {
            name: np.swapaxes(data[name][1][i].astype(float), 0, 1)
            for name in ("gradient", "weight_norm", *MOMENTS)
            if name in data
        }
        known["weight_norm_initial"] = data["weight_norm_initial"][1][i].astype(float)
        found = calibrated(dict(cell.settings), known)
        for name, values in (found or {}).items():
            made[name][i, :, : values.shape[0]] = np.swapaxes(values, 0, 1)
    text = "predicted from the measured gradients (theory.md 9.10)"
    return {
        f"{name}_predicted": (shape, values, {"units": SCHEMA[name][1], "long_name": f"{SCHEMA[name][2]}, {text}"})
        for name, values in made.items()
        if not np.isnan(values).all()
    }


def _values(record: xr.Dataset, name: str, epochs: int, groups: bool) -> Array:
    """A variable of a record of one path, epochs that a diverged run never had as nan."""
    found = record[name].isel(path=0)
    if "group" in found.dims and not groups:
        found = found.isel(group=-1, drop=True)
    values = found.values.astype(float)
    if "epoch" not in found.dims:
        return values
    missing = np.full((epochs - values.shape[0], *values.shape[1:]), np.nan)
    return np.concatenate([values, missing])


def _longest(row: list[xr.Dataset], name: str, epochs: int) -> Array:
    """A schedule, from the seed that went furthest."""
    values = max((record[name].values.astype(float) for record in row), key=len)
    return np.concatenate([values, np.full(epochs - values.size, np.nan)])


def _columns(cells: list[Cell], records: list[xr.Dataset]) -> dict[str, Any]:
    """Hyperparameters and labels as coordinates on the cells."""
    from validation.experiments.setups import hyperparameters

    columns: dict[str, Any] = {}
    every = [hyperparameters(cell.settings) for cell in cells]
    for name, (unit, text) in COORDINATES.items():
        if name == "tuning_factor":
            values: list[float] = [_factor(record, hp) for record, hp in zip(records, every, strict=True)]
        else:
            values = [float(getattr(hp, name)) for hp in every]
        columns[name] = ("cell", np.array(values), {"units": unit, "long_name": text})
    for name in dict.fromkeys(key for cell in cells for key in cell.labels):
        first = next(cell.labels[name] for cell in cells if name in cell.labels)
        absent: str | float = "" if isinstance(first, str) else float("nan")
        columns[name] = ("cell", np.array([cell.labels.get(name, absent) for cell in cells]))
    columns["digest"] = ("cell", np.array([cell.digest(0)[:SHORT] for cell in cells]))
    return columns


def _factor(record: xr.Dataset, hp: Any) -> float:
    """The tuning factor at the start, by the optimizer's kind of decay."""
    from validation.train.optimizers import OPTIMIZERS

    entry = OPTIMIZERS[json.loads(record.attrs["configuration"])["optimizer"]]
    return hp.decoupled_tuning_factor if entry.decoupled else hp.tuning_factor


def _common(cells: list[Cell]) -> dict[str, Any]:
    """Settings that all cells share."""
    first = cells[0].settings
    return {
        name: value
        for name, value in first.items()
        if all(name in cell.settings and cell.settings[name] == value for cell in cells)
    }
