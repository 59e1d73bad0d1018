"""One Dataset, or one table, of all finished records of a sweep."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import DiskProblem, require
from sde_si.record import load, write_bytes
from sde_si.sweep.folder import Folder
from sde_si.terminal import say

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from sde_si.sweep.api import Sweep

_DROPPED = ("digest", "configuration", "provenance", "predictions")  # attributes that are one run's own


def collect(sweep: Sweep, *, quiet: bool = False) -> xr.Dataset:
    """All finished records over the sweep's axes, then the records' own dimensions.

    A variable that is called as an axis (``lr``) gets the name ``lr_recorded``. A run that is not finished is NaN; so
    is the rest of a record shorter than the longest. A file that is half-written or foreign is named on stderr and
    skipped. Settings that differ between the runs and are no axis (as the one that
    ``tuning_factor`` fixes) become coordinates. Memory: that of the result.

    Raises
    ------
    DiskProblem
        If there is no finished record at all.
    """
    import xarray as xr

    axes, folder = sweep.axes, Folder(Path(sweep.out), quiet)
    shape = tuple(len(axis.values) for axis in axes)
    found: list[tuple[tuple[int, ...], Path]] = []
    layout = _Layout()
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
    for index, path in found:
        record = load(path)
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
    coords: dict[str, Any] = {name: (name, labels) for name, labels in layout.labels.items()}
    for axis in axes:
        for i, name in enumerate(axis.names):
            label = name if len(axis.names) > 1 else renamed[axis.name]
            coords[label] = (renamed[axis.name], _labels([values[i] for values in axis.values]))
    dims = [renamed[name] for name in names]
    coords |= {name: (dims, values) for name, values in layout.settings(shape, set(coords)).items()}
    attributes = layout.attributes | {"runs": int(np.prod(shape)), "finished": len(found)}
    return xr.Dataset(variables, coords, attributes)


def _labels(values: list[Any]) -> np.ndarray:
    """Coordinate labels: numbers or text as they are, anything else as JSON."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) or all(
        isinstance(v, str) for v in values
    ):
        return np.array(values)
    return np.array([v if isinstance(v, str) else json.dumps(v) for v in values])


class _Layout:
    """What the collected arrays must hold: sizes, labels, types, and the settings that differ."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.labels: dict[str, np.ndarray] = {}
        self.variables: dict[str, tuple[tuple[str, ...], np.dtype[Any], dict[str, Any]]] = {}
        self.attributes: dict[str, Any] = {}
        self._shapes: dict[str, set[tuple[int, ...]]] = {}
        self._made: dict[tuple[int, ...], dict[str, Any]] = {}
        self._count = 0

    def add(self, index: tuple[int, ...], record: xr.Dataset) -> None:
        """Take one record's form into account; its numbers are read again later."""
        self._count += 1
        for dim, size in record.sizes.items():
            dim = str(dim)
            if dim in record.coords:
                new = record[dim].values
                old = self.labels.get(dim, new[:0])
                more = [label for label in new.tolist() if label not in set(old.tolist())]
                if more:
                    self.labels[dim] = np.array([*old.tolist(), *more])
                self.sizes[dim] = len(self.labels.get(dim, old))
            else:
                self.sizes[dim] = max(self.sizes.get(dim, 0), size)
        for name, variable in record.data_vars.items():
            name = str(name)
            dims = tuple(map(str, variable.dims))
            if variable.dtype.kind in "fiu":
                self.variables.setdefault(name, (dims, variable.dtype, dict(variable.attrs)))
                self._shapes.setdefault(name, set()).add(variable.shape)
        # Only scalars can be labels; every run keeps a few, the arrays stay on the disk.
        made = json.loads(record.attrs["configuration"])
        self._made[index] = {k: v for k, v in made.items() if isinstance(v, int | float | str)}
        own = {k: v for k, v in record.attrs.items() if k not in _DROPPED}
        if self._count == 1:
            self.attributes = own
        self.attributes = {k: v for k, v in self.attributes.items() if k in own and own[k] == v}

    def ragged(self, name: str) -> bool:
        """Whether some record lacks a part of the variable."""
        return len(self._shapes[name]) > 1

    def place(self, dim: str, record: xr.Dataset) -> Any:
        """Where a record's entries along `dim` go."""
        if dim not in self.labels:
            return slice(0, record.sizes[dim])
        labels = record[dim].values.tolist()
        whole = self.labels[dim].tolist()
        return slice(0, len(labels)) if whole[: len(labels)] == labels else [whole.index(label) for label in labels]

    def settings(self, shape: tuple[int, ...], taken: set[str]) -> dict[str, np.ndarray]:
        """Settings that differ between the runs and are no axis, as arrays over the axes."""
        out = {}
        keys = {key for made in self._made.values() for key in made} - taken - set(self.variables) - set(self.sizes)
        for key in sorted(keys):
            values = {index: made.get(key) for index, made in self._made.items()}
            if len({json.dumps(value) for value in values.values()}) < 2:
                continue
            number = all(isinstance(value, int | float) for value in values.values())
            array = np.full(shape, np.nan if number else "", float if number else object)
            for index, value in values.items():
                array[index] = value
            out[key] = array
        return out


def table(data: xr.Dataset) -> pd.DataFrame:
    """The collected data as a table: means over paths, and their standard errors, one row for each epoch and group.

    Columns are the axes, the settings that differ, and every variable; with a ``path`` dimension ``NAME_stderr`` is the
    standard error of the mean over paths.
    """
    import warnings

    if "path" in data.dims:
        columns = {}
        for name, variable in data.data_vars.items():
            if "path" not in variable.dims:
                columns[name] = variable
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a run that is missing has no mean
                number = variable.notnull().sum("path")
                columns[name] = variable.mean("path")
                if variable.dtype.kind == "f":
                    columns[f"{name}_stderr"] = variable.std("path", ddof=1) / np.sqrt(number)
        data = data.drop_dims("path").assign(columns)
    frame = data.to_dataframe() if data.sizes else data.to_pandas().to_frame().T
    return frame.reset_index() if data.sizes else frame


def write(data: xr.Dataset, path: Path) -> None:
    """Write the collected data as NetCDF (``.nc``) or as a Parquet table (``.parquet``), whole or not at all.

    Raises
    ------
    BadInput
        If the name ends otherwise, or pyarrow is missing.
    DiskProblem
    """
    from importlib.util import find_spec

    require(path.suffix in (".nc", ".parquet"), "to", "a file ending in .nc or .parquet", path, "all.parquet")
    if path.suffix == ".nc":
        flat = data.copy()
        for name, variable in flat.variables.items():
            if variable.dtype == object:
                flat[name] = variable.astype(str)
        # NetCDF-3 has no 64-bit integers; what does not fit is refused by xarray.
        write_bytes(bytes(flat.to_netcdf(engine="scipy", format="NETCDF3_64BIT")), path)  # pyright: ignore[reportArgumentType]
        return
    require(find_spec("pyarrow") is not None, "to", "pyarrow for Parquet", "no such package",
            'pip install "sde_si[parquet]"')  # fmt: skip
    buffer = io.BytesIO()
    table(data).to_parquet(buffer, index=False)
    write_bytes(buffer.getvalue(), path)
