"""One Dataset of all finished records of a sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import DiskProblem
from sde_si.provenance import provenance
from sde_si.record import SCHEMA, load
from sde_si.sweep.folder import Folder
from sde_si.sweep.layout import Layout
from sde_si.terminal import say

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.sweep.api import Sweep

# of settings that no record has as a variable
_UNITS = {"N": "samples", "B": "samples", "epochs": "epochs", "tuning_factor": "1/epoch", "seed": "1", "wd": "1"}


def collect(sweep: Sweep, *, quiet: bool = False) -> xr.Dataset:
    """All finished records over the sweep's axes, then the records' own dimensions.

    A variable that is called as an axis (``lr``) gets the name ``lr_recorded``. A run that is not finished is NaN; so
    is the rest of a record shorter than the longest. A file that is half-written or foreign is named on stderr and
    skipped. Settings that differ between the runs and are no axis (as the one that
    ``tuning_factor`` fixes) become coordinates, and so does the file of each run (``record``). Units and long names
    stay with the variables; the attribute ``provenance`` says where and when the runs were made, and when they were
    collected. Memory: that of the result.

    Raises
    ------
    DiskProblem
        If there is no finished record at all.
    """
    import xarray as xr

    axes, folder = sweep.axes, Folder(Path(sweep.out), quiet)
    shape = tuple(len(axis.values) for axis in axes)
    found: list[tuple[tuple[int, ...], Path]] = []
    layout = Layout()
    ours = set()
    for index, job in sweep.indexed():
        path = folder.record(job)
        ours.add(path.name)
        if not path.exists():
            continue
        try:
            why = folder.finished(job)
            record = None if why else load(path)
        except DiskProblem as error:
            why, record = str(error), None
        if record is None:
            say(f"{path}: {why}; skipped", quiet)
            continue
        layout.add(index, record)
        found.append((index, path))
    if others := folder.strangers(ours):
        say(f"{folder.path}: {len(others)} *.nc that are no run of this sweep, as {others[0]}; skipped", quiet)
    if not found:
        raise DiskProblem(f"no finished record of this sweep in {folder.path}; run it first")
    names = [axis.name for axis in axes]
    taken = set(names) & set(layout.sizes)
    renamed = {name: f"{name}_axis" if name in taken else name for name in names}
    data = {}
    for name, (dims, dtype, _) in layout.variables.items():
        fill = len(found) < int(np.prod(shape)) or layout.ragged(name)
        kind = np.dtype(np.float64) if fill and dtype.kind in "iu" else dtype
        data[name] = np.full((*shape, *(layout.sizes[d] for d in dims)), np.nan if kind.kind == "f" else 0, kind)
    files = np.full(shape, "", object)
    for index, path in found:
        record, files[index] = load(path), path.name
        for name, (dims, _, _) in layout.variables.items():
            if name in record and record[name].dims == dims:
                data[name][(*index, *(layout.place(d, record) for d in dims))] = record[name].values
    settings = {name for axis in axes for name in axis.names} | set(renamed.values())
    variables = {
        f"{name}_recorded" if name in settings else name: (
            [*(renamed[n] for n in names), *layout.variables[name][0]],
            values,
            layout.variables[name][2],
        )
        for name, values in data.items()
    }
    coords: dict[str, Any] = {
        name: (name, labels, layout.label_attributes[name]) for name, labels in layout.labels.items()
    }
    for axis in axes:
        for i, name in enumerate(axis.names):
            label = name if len(axis.names) > 1 else renamed[axis.name]
            values = _labels([values[i] for values in axis.values])
            coords[label] = (renamed[axis.name], values, _described(name, values))
    dims = [renamed[name] for name in names]
    coords |= {
        name: (dims, values, _described(name, values)) for name, values in layout.settings(shape, set(coords)).items()
    }
    coords["record"] = (dims, files, {"long_name": "file of the run's record, empty if it is not finished"})
    counts = {"runs": int(np.prod(shape)), "finished": len(found)}
    made = json.dumps({"collected": provenance(), "runs": layout.provenance()}, sort_keys=True)
    return xr.Dataset(variables, coords, layout.attributes | counts | {"provenance": made})


def _described(name: str, values: np.ndarray) -> dict[str, str]:
    """Unit and long name of a setting."""
    if values.dtype.kind not in "fiu":
        return {"long_name": f"setting {name}"}
    _, unit, _ = SCHEMA.get(name, ((), _UNITS.get(name, ""), ""))
    return {"units": unit, "long_name": f"setting {name}"} if unit else {"long_name": f"setting {name}"}


def _labels(values: list[Any]) -> np.ndarray:
    """Coordinate labels: numbers or text as they are, anything else as JSON."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) or all(
        isinstance(v, str) for v in values
    ):
        return np.array(values)
    return np.array([v if isinstance(v, str) else json.dumps(v) for v in values])
