"""What holds exactly for every scale-invariant network (theory.md 0.4, 1.3, 1.11)."""

from __future__ import annotations

from collections.abc import Sequence
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


# of what an identity holds to: in double precision, in single
TELESCOPED, SPLIT, RADIAL = (1e-10, 1e-2), (1e-9, 1e-5), 1e-3
ROUNDING = (2.0**-52, 2.0**-24)  # of the weights and of a cosine near 1, a step


@dataclass(frozen=True)
class Check:
    """An identity that must hold: what is left of it, and how much may be; of that, what <x, g> takes from it."""

    name: str
    left: float
    allowed: float
    source: str
    leak: float = 0.0


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


def _rates(record: xr.Dataset) -> tuple[Array, Array]:
    """Sum of ln a over the steps of every epoch, a = 1 - lr wd, and the largest lr/a of them."""
    made, names = configured(record), HyperParameters.__dataclass_fields__
    timetable = Timetable(HyperParameters(**{name: made[name] for name in names if name in made}))
    rates = [timetable.lr_and_momentum(e)[0] for e in range(record.sizes["epoch"])]
    decay = np.array([np.log1p(-lr * made["wd"]).sum() for lr in rates])
    return decay, np.array([np.max(lr / (1 - lr * made["wd"])) for lr in rates])


def telescoped(record: xr.Dataset, groups: Sequence[str] = ("all",)) -> tuple[Array, Array, Array] | None:
    """Sum of ln cos of an epoch's steps, and the decay and ln of the old over the new norm that it is the sum of (1.3).

    Shapes (path, epoch, group), of those paths that lived. None where more than plain SGD moves the weights.
    """
    made, record = configured(record), living(record).sel(group=list(groups))
    plain = made["optimizer"] == "sgd" and made["momentum"] == 0 and made["svag"] == 1
    if not plain or made["rescale"] or made["effective_lr"] is not None:
        return None
    order = ("path", "epoch", "group")
    norms, turned = _norms(record), record["log_cos_step"].transpose(*order).values
    decay = _rates(record)[0][:, None]
    return turned, np.broadcast_to(decay, turned.shape), np.log(norms[:, :-1] / norms[:, 1:])


def _norms(record: xr.Dataset) -> Array:
    """Lengths at the start and at the end of every epoch, (path, 1 + epoch, group)."""
    start = record["weight_norm_initial"].values[:, None]
    return np.concatenate([start, record["weight_norm"].transpose("path", "epoch", "group").values], axis=1)


def leaked(record: xr.Dataset, groups: Sequence[str]) -> Array:
    """The most that <x, g> takes from the sum of ln cos of an epoch's steps, (path, epoch, group).

    A step x' = a x - lr g has, whatever <x, g>, <x, x'> = a R - lr <x, g>, hence

        ln cos = ln a + ln(r/r') + ln(1 - lr <x, g>/(a R)),

    and 1.3 is the sum without the last term. With the gradient g~ = r g at the unit vector and rho the cosine of x and
    g that term is -lr rho |g~|/(a R) to first order in rho. By Cauchy and Schwarz its sum over n steps is at most
    n max(lr/a) rms(rho) rms(g~)/min(R), of which the record has ``radial_gradient`` and ``gradient``; as
    R' >= a^2 R (1 - rho^2), the part of x' across g, R is to this order never below what decay alone leaves of the
    epoch's first.
    """
    record = living(record).sel(group=list(groups))
    decay, rate = (part[:, None] for part in _rates(record))
    rho, squared = (record[name].transpose("path", "epoch", "group").values for name in ("radial_gradient", "gradient"))
    least = _norms(record)[:, :-1] ** 2 * np.exp(2 * decay)
    return record["steps_per_epoch"].values[:, None] * rate * rho * np.sqrt(squared) / least


def identities(record: xr.Dataset) -> list[Check]:
    """The identities that the record's settings leave exact; 1.3 for plain SGD, the split 1.11, <x, g> = 0.

    Of 1.3 what `leaked` and rounding take is allowed beside what it holds to: a rounded weight is a gradient of any
    direction, of at most a unit in the last place a step, which counts against the little that a small lr turns.
    """
    made = configured(record)
    single = made["precision"] != "fp64"
    out: list[Check | None] = []
    groups = [g for g in record["group"].values if g != "all"] or ["all"]
    if (found := telescoped(record, groups)) is not None:
        turned, decay, shrunk = found
        scale = np.abs(decay) if made["wd"] else np.abs(decay + shrunk)
        leak, rounding = leaked(record, groups), ROUNDING[single] * record["steps_per_epoch"].values[:, None]
        name = "sum of ln cos of the steps, worst of the groups"
        left = np.abs(turned - decay - shrunk) / scale
        out.append(_worst(name, left, TELESCOPED[single] + rounding / scale, "1.3", leak / scale))
    parts: Any = sum(record[f"split_{name}"] for name in PARTS)
    left = np.abs(parts - record["cos_epoch"]).values
    out.append(_worst("split of the cosine, worst of the groups", left, SPLIT[single], "1.11"))
    left = record["radial_gradient"].sel(group="all").values
    out.append(_worst("rms cosine of weights and gradient", left, RADIAL, "0.4, 15.5"))
    return [check for check in out if check is not None]


def _worst(name: str, left: Array, allowed: Array | float, source: str, leak: Array | float = 0.0) -> Check | None:
    """The identity where it is nearest to breaking; None of networks of which nothing is known."""
    if not np.isfinite(left).any():
        return None
    left, fixed, leak = np.broadcast_arrays(left, allowed, leak)
    leak = np.where(np.isfinite(leak), leak, 0.0)  # where it is unknown, nothing is allowed for it
    at = np.unravel_index(np.nanargmax(left / (fixed + leak)), left.shape)
    return Check(name, float(left[at]), float(fixed[at] + leak[at]), source, float(leak[at]))
