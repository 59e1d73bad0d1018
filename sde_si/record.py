"""The one record: an xarray Dataset over path, epoch, group (and lag), and one immutable file on disk.

Theory, simulations and real networks all use it. ``group`` is always there: one entry ``all``, or the groups'
numbers and then ``all``.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.disk import NETCDF, write_bytes
from sde_si.errors import Damaged, DiskProblem

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
    "noise_trace": (PER_GROUP, "1", "trace of the minibatch noise at the unit vector at the end of the epoch"),
    "gradient": (PER_GROUP, "1", "squared minibatch gradient at the unit vector, mean over the epoch"),
    "radial_gradient": (
        PER_GROUP,
        "1",
        "rms cosine of weights and minibatch gradient, 0 if invariant (theory.md 15.5)",
    ),
    "angle_middle": (PER_GROUP, "rad", "angle between the weights in the middle of the epoch before and of this one"),
    "log_cos_step": (PER_GROUP, "1", "logarithm of the cosine of a step, summed over the epoch (theory.md 1.3)"),
    "split_decay": (PER_GROUP, "1", "share of cos_epoch from the start's weights (theory.md 1.11)"),
    "split_velocity": (PER_GROUP, "1", "share of cos_epoch from the start's velocity (theory.md 1.11)"),
    "split_drift": (PER_GROUP, "1", "share of cos_epoch from the epoch's gradients (theory.md 1.11)"),
    "curvature": (("path", "checkpoint", "node"), "1", "curvature of the mean loss at the weights (theory.md 18.3)"),
    "curvature_weight": (("path", "checkpoint", "node"), "1", "share of the minibatch noise along it"),
    "response": (
        ("path", "kick", "delay"),
        "1",
        "what is left of a minibatch's kick after so many steps, along it (theory.md 18.8)",
    ),
    "kick_size": (("path", "kick"), "1", "squared kick, lr^2 times the noise trace, over the squared length"),
    "asymmetry": (
        ("path", "kick", "lag"),
        "1",
        "-lr (<d, g + g'> - 2 (L' - L)) over the squared length, of a way d over each lag (theory.md 18.9)",
    ),
    "loss": (("path", "epoch"), "1", "full loss at the end of the epoch"),
    "train_loss": (("path", "epoch"), "1", "minibatch loss, mean over the epoch"),
    "test_loss": (("path", "epoch"), "1", "loss on the test set at the end of the epoch"),
    "test_accuracy": (("path", "epoch"), "1", "share of the test set that is right at the end of the epoch"),
    "loss_mean": (("path",), "1", "loss, mean over the last half of the time"),
    "growth_mean": (("path", "group"), "1", "ln(1 + tan^2 of a step), mean over the last half (theory.md 5.2)"),
    "regime": ((), "1", "0 undecided, 1 convergence, 2 chaotic equilibrium, 3 divergence"),
    "regime_confidence": ((), "1", "confidence of the regime"),
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
CHECKSUM = "checksum"  # attribute of the file; a record in memory has none
DAMAGED = "damaged: its numbers are not those that were written (checksum)"
REASONS = {1: "weight norm overflowed", 2: "weight is NaN", 3: "weight norm is zero"}


def group_names(groups: int | Sequence[str]) -> list[str]:
    """``["all"]``, or the groups' names (``"1"`` ... ``"n"`` of a number) and then ``"all"``."""
    names = [str(g + 1) for g in range(groups)] if isinstance(groups, int) else list(groups)
    return ["all"] if len(names) == 1 else [*names, "all"]


def make(
    variables: Mapping[str, Array],
    *,
    groups: int | Sequence[str],
    lags: Sequence[int] = (),
    observables: Mapping[str, Array] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """A record of these variables.

    Parameters
    ----------
    variables : mapping of str to ndarray
        Names and dimensions as in `SCHEMA`.
    groups : int or sequence of str
        Number of scale-invariant groups, or their names.
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
    """Paths that ceased to be finite: where, when and how; none in a record that does not say."""
    if "diverged_step" not in record:
        return []
    steps, reasons = record["diverged_step"].values, record["diverged_reason"].values
    return [
        {"path": int(p), "step": int(steps[p]), "quantity": REASONS[int(reasons[p])]}
        for p in np.flatnonzero(steps >= 0)
    ]


def configuration(record: xr.Dataset) -> dict[str, Any]:
    """What decided the record's numbers."""
    return json.loads(record.attrs["configuration"])


def save(record: xr.Dataset, path: Path | str, *, keep: bool = False) -> None:
    """Write the record as one file, whole or not at all; with `keep`, a file that is there already stays.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses; nothing is left behind.
    """
    # First among the attributes, so that nobody's text can be taken for the place that is filled in below.
    attributes = {CHECKSUM: "0" * 64} | {key: value for key, value in record.attrs.items() if key != CHECKSUM}
    form = record.copy(deep=False)
    form.attrs = attributes
    content = bytes(form.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))  # pyright: ignore[reportArgumentType]
    _, value = checksums(content)
    write_bytes(content.replace(b"0" * 64, value.encode(), 1), Path(path), keep=keep)


def checksums(content: bytes) -> tuple[str, str]:
    """The checksum that a record's file states ("" if it was written before there was one), and its true one.

    It covers names, dimensions, values and attributes as they lie in the file, apart from the provenance: two files
    of one run have the same. NetCDF-3 itself would not notice another number.
    """
    from scipy.io import netcdf_file

    total = hashlib.sha256()
    with netcdf_file(io.BytesIO(content), "r", mmap=False) as file:
        _add_attributes(total, {k: v for k, v in file._attributes.items() if k not in (CHECKSUM, "provenance")})
        for name, variable in sorted(file.variables.items()):
            shape = [name, *variable.dimensions, variable.typecode(), *map(str, variable.shape)]
            total.update("\0".join(shape).encode())
            total.update(np.ascontiguousarray(variable.data))  # pyright: ignore[reportArgumentType]
            _add_attributes(total, variable._attributes)
        return file._attributes.get(CHECKSUM, b"").decode(), total.hexdigest()


def _add_attributes(total: Any, attributes: Mapping[str, Any]) -> None:
    for key, value in sorted(attributes.items()):
        array = np.asarray(value)
        # numbers lie in the file with the largest byte first, on every machine
        raw = value if isinstance(value, bytes) else array.astype(array.dtype.newbyteorder(">")).tobytes()
        total.update(key.encode() + b"\0" + raw)


def load(path: Path | str) -> xr.Dataset:
    """Read the record of a run; one from before there was a checksum is taken as it is.

    Raises
    ------
    DiskProblem
        If the file is missing, no record, or damaged.
    """
    return read(path, configuration, sealed=False)


def read(
    path: Path | str,
    check: Callable[[xr.Dataset], object],
    *,
    sealed: bool = True,
    advice: str = "remove it and make it again",
) -> xr.Dataset:
    """Read what `save` has written.

    Parameters
    ----------
    path : Path or str
    check : callable
        ``check(record)`` raises if the record is not that which should stand there.
    sealed : bool
        Refuse a file without a checksum.
    advice : str
        What to do about a damaged file.

    Raises
    ------
    Damaged
        If the file is no such record, or not as it was written.
    DiskProblem
        If it cannot be read at all.
    """
    import xarray as xr

    content = b""
    try:
        content = Path(path).read_bytes()
        stated, true = checksums(content)
        if stated != true and (stated or sealed):
            raise Damaged(DAMAGED if stated else "damaged: it has lost its checksum")
        with xr.open_dataset(io.BytesIO(content), engine="scipy") as opened:
            record = opened.load()
        record.attrs.pop(CHECKSUM, None)
        check(record)
    except Damaged as error:
        raise Damaged(f"{path}: {error}", advice) from error
    except OSError as error:
        raise DiskProblem(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        reason = str(error).partition("\n")[0][:80]
        reason = f"{type(error).__name__}: {reason}" if content.startswith(NETCDF) else "no NetCDF-3 file"
        raise Damaged(f"{path} is no record of sde_si ({reason})", advice if sealed else "") from error
    return record
