"""Small copies of records of trainings, with the command that makes each again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.methods import METHODS
from sde_si.options import written
from sde_si.record import configuration, save

if TYPE_CHECKING:
    import xarray as xr

RECORDS = Path(__file__).resolve().parents[1] / "records" / "networks"


def title_of(record: xr.Dataset) -> str:
    """Network, data, optimizer and sampling in one line."""
    made = configuration(record)
    what = f"SVAG({made['svag']})" if made["svag"] > 1 else made["optimizer"]
    images = "" if made["image_size"] is None else f" {made['image_size']}x{made['image_size']}"
    moved = f", {'+'.join(made['augment'])}" if made["augment"] else ""
    return (
        f"{made['network']} on {made['data']}{images}{moved}, {what}, momentum {made['momentum']:g}, {made['sampling']}"
    )


def kind(record: xr.Dataset) -> str:
    """The optimizer in a word."""
    made = configuration(record)
    return f"SVAG({made['svag']})" if made["svag"] > 1 else "SGDM" if made["momentum"] else "SGD"


def command(record: xr.Dataset) -> str:
    """The command that trains it again."""
    made = configuration(record)
    has = {"beta2", "eps"} & METHODS[made["method"]].extras.keys()
    settings = {key: value for key, value in made.items() if key not in {"method", "beta2", "eps"} - has}
    return " ".join(["python -m validation.train", *written(settings)])


def keep(record: xr.Dataset, folder: Path) -> Path:
    """Write what is measured of all weights together, without the single groups, and the command in its provenance."""
    made, kept = configuration(record), record.sel(group=["all"]).drop_encoding()
    whence: dict[str, Any] = json.loads(record.attrs["provenance"])
    kept.attrs["provenance"] = json.dumps(whence | {"command": command(record)}, sort_keys=True)
    moved = "".join(f"-{name}" for name in made["augment"])
    sampling = "" if made["sampling"] == "replacement" else "-reshuffled"
    word = kind(record).lower().replace("(", "").replace(")", "")
    path = folder / f"{made['network']}-{made['data']}{moved}-{word}{sampling}.nc"
    save(kept, path)
    return path
