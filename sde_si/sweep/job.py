"""What one run of a sweep is: a name by digest, its place on the axes, and a function that makes its record."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import BadInput, DiskProblem
from sde_si.record import DAMAGED, checksums

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """One run: all that the engine knows of simulations, trainings or anybody's function.

    Attributes
    ----------
    name : str
        File of its record in the sweep's folder; holds the first 12 hex digits of the digest.
    digest : str
        Hex digest of all that decides its numbers; the record's attribute ``digest``.
    make : callable
        ``make()`` returns the record (an xarray.Dataset); it is pickled and called in a worker. It raises `Diverged`
        if there is no record to keep.
    point : mapping of str to plain value
        Where the run lies on the sweep's axes.
    prepare : callable, optional
        Called in the parent before a worker gets the run: compiles what the run needs. Not sent to workers.
    ready : callable, optional
        Called in the worker before its time is counted: imports what the run needs, once in the worker's life.
    cost : callable, optional
        Estimated seconds of the run on one thread.
    """

    name: str
    digest: str
    make: Callable[[], xr.Dataset]
    point: Mapping[str, Any] = field(default_factory=dict)
    prepare: Callable[[], object] | None = None
    ready: Callable[[], object] | None = None
    cost: Callable[[], float] | None = None


class Diverged(ArithmeticError):
    """A run that ceased to be finite; the message says where."""


def readable(path: Path, digest: str) -> str:
    """Why the file is not the finished record of `digest`; empty if it is.

    Reads the whole file: one that was cut off by another program, or of which the disk has changed a number, is not
    taken for finished.
    """
    from scipy.io import netcdf_file

    if path.exists() and not path.is_file():
        return "no file, but a folder or something else"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "a link to nothing" if path.is_symlink() else "missing"
    except OSError as error:
        raise DiskProblem(f"cannot read {path}: {error.strerror or error}") from error
    try:
        with netcdf_file(io.BytesIO(content), "r", mmap=False) as file:
            found = file._attributes.get("digest", b"").decode()
        stated, true = checksums(content)
    except Exception as error:
        # The parser of a foreign or half-written file raises whatever it stumbles over.
        return f"no record ({type(error).__name__}: {str(error)[:80]})"
    if stated not in ("", true):
        return DAMAGED
    return "" if found == digest else "the record of another run"


def as_record(value: Any) -> xr.Dataset:
    """What a user's function returned, as a Dataset: a Dataset, or numbers and arrays by name.

    Raises
    ------
    TypeError
        If it is neither.
    """
    import xarray as xr

    if isinstance(value, xr.Dataset):
        return value.copy()
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        value = {"value": value}
    if not isinstance(value, Mapping):
        msg = f"expected an xarray.Dataset, a number, or numbers and arrays by name, got {type(value).__name__}"
        raise TypeError(msg)
    data = {}
    for name, one in value.items():
        array = np.asarray(np.nan if one is None else one)
        if array.dtype.kind not in "fiub":
            msg = f"expected numbers for {name!r}, got {one!r}"
            raise TypeError(msg)
        array = array if array.dtype.kind == "f" else array.astype(np.float64)
        data[str(name)] = (tuple(f"{name}_{axis}" for axis in range(array.ndim)), array)
    return xr.Dataset(data)


def finished(value: Any, digest: str, settings: Settings, source: str) -> xr.Dataset:
    """The record of a user's own run, with the attributes that every record has."""
    from sde_si.provenance import provenance

    record = as_record(value)
    record.attrs.setdefault("configuration", json.dumps(dict(settings), sort_keys=True))
    record.attrs |= {"source": record.attrs.get("source", source), "digest": digest}
    record.attrs.setdefault("provenance", json.dumps(provenance(), sort_keys=True))
    return record


def plain(name: str, value: Any) -> Any:
    """A setting as plain JSON types.

    Raises
    ------
    BadInput
        If it is no number, text, truth value, or list or table of such.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, tuple | list):
        return [plain(name, one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): plain(name, one) for key, one in value.items()}
    if isinstance(value, Path):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise BadInput(name, "a number, text, truth value or list of such", repr(value))


def wherever(settings: Settings, files: Collection[str]) -> dict[str, Any]:
    """The settings with absolute paths: workers may stand in another folder.

    Parameters
    ----------
    settings : mapping
    files : collection of str
        Settings that may name a file, or ``path/file.py:name``; what is no file of this folder is left as it is.
    """
    out = dict(settings)
    for key in out.keys() & files:
        value = str(out[key])
        file, colon, _ = value.rpartition(".py:")
        with contextlib.suppress(OSError):  # a text that is too long for a name is none
            if Path(f"{file}.py" if colon else value).is_file():
                out[key] = str(Path(value).absolute())
    return out


def canonical(content: Any) -> bytes:
    """JSON with sorted keys, for digests."""
    return json.dumps(content, sort_keys=True).encode()
