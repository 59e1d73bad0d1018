"""The one record: an xarray Dataset over path, epoch, group (and lag), and one immutable file on disk.

Theory, simulations and real networks all use it. ``group`` is always there: one entry ``all``, or the groups'
numbers and then ``all``.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.errors import DiskProblem

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
PER_GROUP = ("path", "epoch", "group")

# name -> (dimensions, unit, long name); every record uses these and no others, but for a user's observables
SCHEMA: dict[str, tuple[tuple[str, ...], str, str]] = {
    "cos_epoch": (PER_GROUP, "1", "cosine between the weights at the start and the end of the epoch"),
    "angle_epoch": (PER_GROUP, "rad", "angle between the weights at the start and the end of the epoch"),
    "angle_step": (PER_GROUP, "rad", "root mean square angle of one optimizer step"),
    "weight_norm": (PER_GROUP, "1", "length of the weights at the end of the epoch"),
    "effective_lr": (PER_GROUP, "1", "learning rate over squared length at the end of the epoch"),
    "signal": (PER_GROUP, "1", "squared mean gradient at the unit vector at the end of the epoch"),
    "mean_squared_displacement": (PER_GROUP, "1", "squared displacement of a substep, mean over the epoch"),
    "mean_squared_norm": (PER_GROUP, "1", "squared length before a substep, mean over the epoch"),
    "loss": (("path", "epoch"), "1", "full loss at the end of the epoch"),
    "cos_lag": (
        ("path", "epoch", "lag", "group"),
        "1",
        "cosine between the weights at the epoch's start and a lag later",
    ),
    "weight_norm_initial": (("path", "group"), "1", "length of the weights at the start"),
    "lr": (("epoch",), "1", "learning rate of the epoch's last step"),
    "momentum": (("epoch",), "1", "momentum coefficient of the epoch's last step"),
    "batch": (("epoch",), "samples", "batch size"),
    "steps_per_epoch": (("epoch",), "steps", "optimizer steps of the epoch"),
    "diverged_step": (("path",), "steps", "step at which the path ceased to be finite, or -1"),
    "diverged_reason": (("path",), "1", "0 finite, 1 weight norm overflowed, 2 NaN, 3 weight norm is zero"),
}
SCHEMA |= {
    f"{name}_predicted": (tuple(d for d in SCHEMA[name][0] if d not in ("path", "group")), SCHEMA[name][1], "predicted")
    for name in ("weight_norm", "effective_lr", "cos_epoch", "angle_epoch", "angle_step", "cos_lag")
}
SCHEMA["angle_epoch_paper"] = (("epoch",), "rad", "angle per epoch by Yun et al. eqs. 18, 27")
REASONS = {1: "weight norm overflowed", 2: "weight is NaN", 3: "weight norm is zero"}


def group_names(count: int) -> list[str]:
    """``["all"]``, or ``["1", ..., "n", "all"]``."""
    return ["all"] if count == 1 else [*(str(g + 1) for g in range(count)), "all"]


def make(
    variables: Mapping[str, Array],
    *,
    groups: int,
    lags: Sequence[int] = (),
    observables: Mapping[str, Array] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A record of these variables.

    Parameters
    ----------
    variables : mapping of str to ndarray
        Names and dimensions as in `SCHEMA`.
    groups : int
        Number of scale-invariant groups.
    lags : sequence of int
        Optimizer steps, if there is a ``cos_lag``.
    observables : mapping of str to ndarray, optional
        A user's own, (path, epoch).
    attributes : mapping, optional
        Attributes of the record; what is not a string or number is stored as JSON.
    """
    import xarray as xr

    data = {}
    for name, values in variables.items():
        dims, unit, long_name = SCHEMA[name]
        data[name] = (dims, np.asarray(values), {"units": unit, "long_name": long_name})
    for name, values in (observables or {}).items():
        data[name] = (("path", "epoch"), np.asarray(values), {"units": "", "long_name": f"observable {name}"})
    epochs: int = next(v.shape[d.index("epoch")] for d, v, _ in data.values() if "epoch" in d)
    coords: dict[str, Any] = {
        "epoch": ("epoch", np.arange(1, epochs + 1, dtype=np.int32), {"units": "epochs", "long_name": "epoch"}),
        "group": ("group", group_names(groups), {"long_name": "scale-invariant group"}),
    }
    if any("lag" in dims for dims, *_ in data.values()):
        coords["lag"] = ("lag", np.array(lags, dtype=np.int32), {"units": "steps", "long_name": "lag"})
    record = xr.Dataset(data, coords)
    for key, value in (attributes or {}).items():
        record.attrs[key] = value if isinstance(value, str | int | float) else json.dumps(value, sort_keys=True)
    return record


def diverged(record: xr.Dataset) -> list[dict[str, Any]]:
    """Paths that ceased to be finite: where, when and how."""
    steps, reasons = record["diverged_step"].values, record["diverged_reason"].values
    return [
        {"path": int(p), "step": int(steps[p]), "quantity": REASONS[int(reasons[p])]}
        for p in np.flatnonzero(steps >= 0)
    ]


def configuration(record: xr.Dataset) -> dict[str, Any]:
    """What decided the record's numbers."""
    return json.loads(record.attrs["configuration"])


def save(record: xr.Dataset, path: Path | str) -> None:
    """Write the record as one file, whole or not at all.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses; nothing is left behind.
    """
    write_bytes(bytes(record.to_netcdf(engine="scipy", format="NETCDF3_64BIT")), Path(path))  # pyright: ignore[reportArgumentType]


def write_bytes(content: bytes, path: Path) -> None:
    """Write a file under a temporary name, fsync it, rename it, fsync the folder.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DiskProblem(f"cannot write {path}: {error.strerror or error}; try --out with another folder") from error


def load(path: Path | str) -> xr.Dataset:
    """Read a record.

    Raises
    ------
    DiskProblem
        If the file is missing or no record.
    """
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="scipy") as opened:
            record = opened.load()
        configuration(record)
    except OSError as error:
        raise DiskProblem(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        reason = str(error).partition("\n")[0][:80]
        raise DiskProblem(f"{path} is no record of sde_si ({type(error).__name__}: {reason})") from error
    return record
