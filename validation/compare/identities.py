"""What holds exactly for every scale-invariant network (theory.md 0.4, 1.3, 1.11)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.hyperparameters import HyperParameters
from sde_si.schedules import Timetable
from validation.compare.seeds import Known, mean
from validation.compare.window import configured, living, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


@dataclass(frozen=True)
class Check:
    """An identity that must hold: what is left of it, and how much may be."""

    name: str
    left: float
    allowed: float
    source: str


def balance(record: xr.Dataset) -> Known | None:
    """E|x' - x|^2/E|x|^2 at equilibrium over what a stationary norm needs (theory.md 4.7, 9.2).

    Fluctuation and dissipation: 2u/(1+mu) with SGD whatever the loss. None without an equilibrium.
    """
    from sde_si.estimators import values

    record = living(record)
    used, expected = window(record), float(record.attrs["expected_displacement_ratio"])
    if not used or not np.isfinite(expected):
        return None
    moved, size = (values(record, f"mean_squared_{name}")[:, used.epochs] for name in ("displacement", "norm"))
    ratio = float(moved.mean() / size.mean())
    left = mean(moved - ratio * size)
    return Known(ratio / expected, left.stderr / float(size.mean()) / expected, left.freedom)


PARTS = ("decay", "velocity", "drift")


def split(record: xr.Dataset) -> dict[str, Known] | None:
    """The cosine over an epoch at equilibrium and the three parts that it is made of exactly (theory.md 1.11).

    What is left of the weights that the epoch began with, of their velocity, and what its gradients add along them:
    the answer to how much of the rotation decay alone explains. None without an equilibrium, or if not measured.
    """
    from sde_si.estimators import values

    record = living(record)
    used = window(record)
    if not used or not np.isfinite(record["split_drift"]).any():
        return None
    names = {"cosine": "cos_epoch", **{part: f"split_{part}" for part in PARTS}}
    return {part: mean(values(record, name)[:, used.epochs]) for part, name in names.items()}


def _decays(made: Mapping[str, Any], epochs: int) -> Array:
    """Sum of ln(1 - lr wd) over the steps of every epoch."""
    names = HyperParameters.__dataclass_fields__
    timetable = Timetable(HyperParameters(**{name: made[name] for name in names if name in made}))
    return np.array([np.log1p(-timetable.lr_and_momentum(e)[0] * made["wd"]).sum() for e in range(epochs)])


def telescoped(record: xr.Dataset, groups: Sequence[str] = ("all",)) -> tuple[Array, Array, Array] | None:
    """Sum of ln cos of an epoch's steps, and the decay and ln of the old over the new norm that it is the sum of (1.3).

    Shapes (path, epoch, group), of those paths that lived. None where more than plain SGD moves the weights.
    """
    made, record = configured(record), living(record).sel(group=list(groups))
    plain = made["optimizer"] == "sgd" and made["momentum"] == 0 and made["svag"] == 1
    if not plain or made["rescale"] or made["effective_lr"] is not None:
        return None
    order = ("path", "epoch", "group")
    start = record["weight_norm_initial"].values[:, None]
    norms = np.concatenate([start, record["weight_norm"].transpose(*order).values], axis=1)
    turned = record["log_cos_step"].transpose(*order).values
    decay = _decays(made, record.sizes["epoch"])[:, None]
    return turned, np.broadcast_to(decay, turned.shape), np.log(norms[:, :-1] / norms[:, 1:])


def identities(record: xr.Dataset) -> list[Check]:
    """The identities that the record's settings leave exact; 1.3 for plain SGD, the split 1.11, <x, g> = 0."""
    made = configured(record)
    single = made["precision"] != "fp64"
    out: list[tuple[str, Array, float, str]] = []
    groups = [g for g in record["group"].values if g != "all"] or ["all"]
    if (found := telescoped(record, groups)) is not None:
        turned, decay, shrunk = found
        scale = np.abs(decay) if made["wd"] else np.abs(decay + shrunk)
        left = np.abs((turned - decay - shrunk) / scale)
        out.append(("sum of ln cos of the steps, largest over groups", left, 1e-2 if single else 1e-10, "1.3"))
    parts: Any = sum(record[f"split_{name}"] for name in PARTS)
    left = np.abs(parts - record["cos_epoch"]).values
    out.append(("split of the cosine, largest over groups", left, 1e-5 if single else 1e-9, "1.11"))
    left = record["radial_gradient"].sel(group="all").values
    out.append(("rms cosine of weights and gradient", left, 1e-3, "0.4, 15.5"))
    # Of a network that diverged at once nothing is known.
    return [Check(name, float(np.nanmax(left)), most, of) for name, left, most, of in out if np.isfinite(left).any()]
