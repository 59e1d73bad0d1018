"""Small copies of records of trainings, with the command that makes each again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import require
from sde_si.options import written
from sde_si.record import load, save
from validation.compare.window import configured

if TYPE_CHECKING:
    import xarray as xr

RECORDS = Path(__file__).resolve().parents[1] / "records" / "networks"


SAME = ("N", "B", "lr", "wd", "momentum", "schedule", "optimizer", "width", "blocks", "image_size", "norm")


def title_of(record: xr.Dataset) -> str:
    """Network, data, optimizer and sampling in one line."""
    made = configured(record)
    what = f"SVAG({made['svag']})" if made["svag"] > 1 else made["optimizer"]
    images = "" if made["image_size"] is None else f" {made['image_size']}x{made['image_size']}"
    moved = f", {'+'.join(made['augment'])}" if made["augment"] else ""
    return (
        f"{made['network']} on {made['data']}{images}{moved}, {what}, momentum {made['momentum']:g}, {made['sampling']}"
    )


def kind(record: xr.Dataset) -> str:
    """The optimizer in a word."""
    made = configured(record)
    if made["optimizer"] not in ("sgd", "sgd-displacement"):
        return str(made["optimizer"])
    return f"SVAG({made['svag']})" if made["svag"] > 1 else "SGDM" if made["momentum"] else "SGD"


def command(record: xr.Dataset) -> str:
    """The command that trains it again."""
    from validation.train.optimizers import OPTIMIZERS

    made = configured(record)
    has = {"beta2", "eps"} & OPTIMIZERS[made["optimizer"]].extras.keys()
    settings = {key: value for key, value in made.items() if key not in {"method", "beta2", "eps"} - has}
    return " ".join(["python -m validation.train", *written(settings)])


def titles(records: Sequence[xr.Dataset]) -> list[str]:
    """A line for each: `title_of`, and the digest where two have the same."""
    plain = [title_of(one) for one in records]
    return [
        title if plain.count(title) == 1 else f"{title}, {one.attrs['digest'][:6]}"
        for title, one in zip(plain, records, strict=True)
    ]


def place_of(record: xr.Dataset, folder: Path) -> Path:
    """Where `keep` writes it."""
    made = configured(record)
    moved = "".join(f"-{name}" for name in made["augment"])
    sampling = "" if made["sampling"] == "replacement" else "-reshuffled"
    word = kind(record).lower().replace("(", "").replace(")", "")
    return folder / f"{made['network']}-{made['data']}{moved}-{word}{sampling}.nc"


def check(records: Mapping[str, xr.Dataset], folder: Path) -> None:
    """Refuse a record that would take the place of another training's; more seeds of the same are welcome.

    Raises
    ------
    BadInput
    """
    taken: dict[Path, str] = {}
    for file, record in records.items():
        path = place_of(record, folder)
        require(path not in taken, "keep_in", "one record a network, data set and optimizer",
                f"{taken.get(path)} and {file} for {path.name}", "one of them, or two folders")  # fmt: skip
        taken[path] = file
        if path.exists():
            here, there = configured(record), configured(load(path))
            other = [key for key in SAME if here.get(key) != there.get(key)]
            require(not other, "keep_in", f"a folder without another training under {path.name}",
                    f"one with other {', '.join(other)}", "another folder")  # fmt: skip


def keep(record: xr.Dataset, folder: Path) -> Path:
    """Write what is measured of all weights together, without the single groups, and the command in its provenance."""
    kept = record.sel(group=["all"]).drop_encoding()
    whence: dict[str, Any] = json.loads(record.attrs["provenance"])
    kept.attrs["provenance"] = json.dumps(whence | {"command": command(record)}, sort_keys=True)
    path = place_of(record, folder)
    save(kept, path)
    return path
