"""The committed summary of an experiment: where it is, whether it is whole and of today, read and written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_si.errors import Damaged, DiskProblem, require_known
from sde_si.record import SCHEMA, read, save
from validation.experiments.base import SCALES, Experiment
from validation.experiments.catalogue import EXPERIMENTS

if TYPE_CHECKING:
    import xarray as xr

RECORDS = Path(__file__).resolve().parent.parent / "records" / "experiments"


def find(name: str) -> Experiment:
    """The experiment of that name.

    Raises
    ------
    BadInput
    """
    require_known("names", name, EXPERIMENTS, advice="--list")
    return EXPERIMENTS[name]


def check_scale(scale: str) -> None:
    """Refuse what is no scale.

    Raises
    ------
    BadInput
    """
    require_known("scale", scale, SCALES, advice="cpu")


def current(name: str, scale: str) -> str:
    """Digest of the experiment's present configuration; a summary with another one is out of date."""
    check_scale(scale)
    return find(name).digest(scale)


def path_of(name: str, scale: str, folder: Path = RECORDS) -> Path:
    """Where the summary is, or would be."""
    check_scale(scale)
    return folder / f"{find(name).name}-{scale}.nc"


def present(name: str, folder: Path = RECORDS) -> list[str]:
    """Scales of which there is a summary, largest first."""
    return [scale for scale in reversed(SCALES) if path_of(name, scale, folder).exists()]


def load(name: str, scale: str | None = None, *, folder: Path = RECORDS) -> xr.Dataset:
    """The summary of an experiment, of the largest scale that is there unless one is named.

    To what is in the file it adds ``cos_epoch``, ``effective_lr`` (lr over squared norm) and ``effective_lr_epoch``
    (times the steps of the epoch: Yun et al. eq. 10), which follow from it.

    Raises
    ------
    BadInput
        For an unknown name or scale.
    DiskProblem
        If there is none, or it cannot be read; `Damaged` if it is not what was written.
    """
    there = present(name, folder) if scale is None else [scale]
    if not there or not path_of(name, there[0], folder).exists():
        raise DiskProblem(
            f"there is no record of {name} at scale {scale or 'any'}; try {command_of(name, scale or 'cpu')}"
        )
    data = _read(name, there[0], folder)
    data["cos_epoch"] = np.cos(data["angle_epoch"])
    data["effective_lr"] = (data["lr_end"] / data["weight_norm"] ** 2).transpose(*data["weight_norm"].dims)
    data["effective_lr_epoch"] = (data["effective_lr"] * data["steps_per_epoch"]).transpose(*data["weight_norm"].dims)
    for made, (unit, text) in {
        "cos_epoch": SCHEMA["cos_epoch"][1:],
        "effective_lr": SCHEMA["effective_lr"][1:],
        "effective_lr_epoch": ("1", "effective learning rate times steps per epoch (Yun et al. eq. 10)"),
    }.items():
        data[made].attrs = {"units": unit, "long_name": text}
    return data


def up_to_date(name: str, scale: str, seeds: int, folder: Path = RECORDS) -> bool:
    """Whether there is a whole summary of the present configuration with at least so many seeds."""
    if not path_of(name, scale, folder).exists():
        return False
    try:
        data = _read(name, scale, folder)
    except Damaged:
        return False
    return data.attrs.get("digest") == current(name, scale) and data.sizes["seed"] >= seeds


def damage(name: str, scale: str, folder: Path = RECORDS) -> Damaged | None:
    """What is wrong with the summary that stands there; None if it is whole, or if there is none."""
    if path_of(name, scale, folder).exists():
        try:
            _read(name, scale, folder)
        except Damaged as error:
            return error
    return None


def _read(name: str, scale: str, folder: Path) -> xr.Dataset:
    """What is in the file."""

    def check(data: xr.Dataset) -> None:
        found = f"{data.attrs['experiment']} ({data.attrs['scale']})"
        if found != f"{name} ({scale})":
            raise Damaged(f"the record of {found}, not of {name} ({scale})")

    advice = f"restore it, or make it again: {command_of(name, scale)}"
    return read(path_of(name, scale, folder), check, advice=advice)


def command_of(name: str, scale: str) -> str:
    """The command that makes the summary."""
    return f"python -m validation.experiments {name} --scale {scale}"


def write(summary: xr.Dataset, folder: Path = RECORDS) -> Path:
    """Write the summary under its name; returns the path."""
    path = path_of(summary.attrs["experiment"], summary.attrs["scale"], folder)
    save(summary, path)
    return path
