"""What the collected arrays of a sweep must hold, from the form of its records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

_DROPPED = ("digest", "configuration", "provenance", "predictions")  # attributes that are one run's own
_MOST = 20  # different values of one entry of the runs' provenance that are kept


class Layout:
    """What the collected arrays must hold: sizes, labels, types, and the settings that differ."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.labels: dict[str, np.ndarray] = {}
        self.label_attributes: dict[str, dict[str, Any]] = {}
        self.variables: dict[str, tuple[tuple[str, ...], np.dtype[Any], dict[str, Any]]] = {}
        self.attributes: dict[str, Any] = {}
        self._shapes: dict[str, set[tuple[int, ...]]] = {}
        self._made: dict[tuple[int, ...], dict[str, Any]] = {}
        self._made_in: dict[str, set[str]] = {}
        self._count = 0

    def add(self, index: tuple[int, ...], record: xr.Dataset) -> None:
        """Take one record's form into account; its numbers are read again later."""
        self._count += 1
        for dim, size in record.sizes.items():
            dim = str(dim)
            if dim in record.coords:
                new = record[dim].values
                old = self.labels.get(dim, new[:0])
                self.label_attributes.setdefault(dim, dict(record[dim].attrs))
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
        for key, value in json.loads(record.attrs.get("provenance", "{}")).items():
            self._made_in.setdefault(key, set()).add(json.dumps(value))
        own = {k: v for k, v in record.attrs.items() if k not in _DROPPED}
        if self._count == 1:
            self.attributes = own
        self.attributes = {k: v for k, v in self.attributes.items() if k in own and own[k] == v}

    def provenance(self) -> dict[str, Any]:
        """What all runs share as it is; of times and numbers the least and the largest; else the different values."""
        out: dict[str, Any] = {}
        for key, found in self._made_in.items():
            values = [json.loads(value) for value in sorted(found)]
            number = all(isinstance(v, int | float) for v in values)
            if len(values) == 1:
                out[key] = values[0]
            elif number or key == "written":
                out[key] = [min(values), max(values)]
            else:
                out[key] = values[:_MOST] + ([f"and {len(values) - _MOST} more"] if len(values) > _MOST else [])
        return out

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
