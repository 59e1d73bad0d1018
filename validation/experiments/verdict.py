"""Does a trained network keep the law of the angle: the one rule, and every row of a record judged by it.

Nothing of this is stored: a record holds numbers, and whoever draws or prints a verdict takes it from here, so that a
change of the rule needs no training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
# One tolerance for angle and norm. A norm that changes by d over E epochs of tuning factor T changes the angle per
# step by d/(2 T E) (theory.md 1.3): in 20 epochs of factor 0.064 by 0.4 d, less than half of the tolerance at the gate.
TOLERANCE = 0.05
ERRORS = 3.0
KEEPS, BREAKS, UNSETTLED, UNDECIDED, NOTHING = "keeps", "breaks", "not in equilibrium", "undecided", "no prediction"
RULE = (
    "All numbers are of the last third of the epochs. First the norm: if in any seed it changes by more than "
    f"{TOLERANCE:.0%} from the first to the last of these epochs, the row is not in equilibrium, and the law of the "
    "equilibrium is not judged, whatever the angle is. Then the angle, measured over predicted: the row keeps the law "
    f"if the mean over seeds with {ERRORS:g} standard errors to either side lies within {TOLERANCE:.0%} of 1, breaks "
    "it if all of that lies outside, and is undecided if that straddles the limit, so that noise helps no row. Settled "
    "or not, a row is also judged by the same limits, seed by seed, against the transient: the recursion of the second "
    "moments, which follows the norm with the measured size of the gradients (theory.md 9.10)."
).replace("%", " %")
# Reasons that no measured number shows.
KNOWN = {"Nesterov": "its law takes gradients for noise alone"}


def late(record: xr.Dataset) -> xr.Dataset:
    """The last third of the epochs."""
    return record.isel(epoch=slice(-max(1, record.sizes["epoch"] // 3), None))


def drifts(record: xr.Dataset, name: str = "weight_norm") -> Array:
    """Relative change of the norm from the first to the last of the `late` epochs, shape (cell, seed)."""
    norm = late(record)[name].transpose("cell", "seed", "epoch").values.astype(float)
    return norm[..., -1] / norm[..., 0] - 1


class Angle(NamedTuple):
    """One angle of one row; angles in rad.

    Attributes
    ----------
    predicted, transient, measured, stderr : float
        At equilibrium; by the recursion; mean over late epochs and seeds, and its error. nan: none.
    followed : float
        Measured over transient, mean of the seeds' ratios.
    equilibrium, course : str
        Verdicts against `predicted` and `transient`.
    why : str
        What is behind a verdict that is not `KEEPS`; empty if all keep.
    """

    predicted: float
    transient: float
    measured: float
    stderr: float
    followed: float
    equilibrium: str
    course: str
    why: str


class Row(NamedTuple):
    """One trick: scale-invariant share, split of the cosine (theory.md 1.11), drift of the norm, both angles."""

    trick: str
    share: float
    split: tuple[float, float, float]
    drift: float
    drifts: Array
    step: Angle
    epoch: Angle


def judge(ratio: float, stderr: float) -> str:
    """The angle's part of `RULE`; without a standard error nothing is decided."""
    if not math.isfinite(ratio):
        return NOTHING
    away, margin = abs(ratio - 1), ERRORS * stderr
    if away + margin <= TOLERANCE:
        return KEEPS
    return BREAKS if away - margin > TOLERANCE else UNDECIDED


def settled(changes: Array) -> bool:
    """The norm's part of `RULE`."""
    return bool((np.abs(changes) <= TOLERANCE).all())


def rows(record: xr.Dataset) -> list[Row]:
    """Every cell of a record of `tricks`, judged."""
    last, changes, expected = late(record), drifts(record), drifts(record, "weight_norm_predicted").mean(1)
    split = [last[f"split_{part}"].mean(("epoch", "seed")).values for part in ("decay", "velocity", "drift")]
    out = []
    for i, trick in enumerate(record["trick"].values.astype(str)):
        parts = (float(split[0][i]), float(split[1][i]), float(split[2][i]))
        share, at_rest = float(record["invariant_share"][i]), settled(changes[i])
        found = {}
        for name in ("angle_step", "angle_epoch"):
            law, mean, error = (float(record[f"{name}_{key}"][i]) for key in ("equilibrium", "mean", "stderr"))
            said = last[f"{name}_predicted"].isel(cell=i).mean("epoch").values
            # Seed by seed, each against the course of its own gradients: no seed's large angle outweighs the others.
            ratios = last[name].isel(cell=i).mean("epoch").values / said
            against = float(ratios.std(ddof=1)) / ratios.size**0.5 if ratios.size > 1 else math.nan
            first = (judge(mean / law, error / law) if at_rest else UNSETTLED) if math.isfinite(law) else NOTHING
            second = judge(float(ratios.mean()), against)
            found[name] = Angle(law, float(said.mean()), mean, error, float(ratios.mean()), first, second, "")
        reasons = [] if share >= 0.5 else ["weights not scale-invariant"]
        reasons += [] if at_rest else ["norm not settled"]
        unmet, step = tuple(reasons), found["angle_step"]
        if step.course == BREAKS and not at_rest and share >= 0.5:
            reasons.append(f"norm {changes[i].mean():+.0%}, by its gradients' size {expected[i]:+.0%}")
        if BREAKS in (step.equilibrium, step.course) and trick in KNOWN:
            reasons.append(KNOWN[trick])
        if UNDECIDED in (step.equilibrium, step.course):
            reasons.append(f"{ERRORS:g} s.e. straddle the limit")
        found["angle_step"] = step._replace(why="; ".join(reasons).replace("%", " %"))
        found["angle_epoch"] = found["angle_epoch"]._replace(why=_pull(found["angle_epoch"], parts, unmet))
        out.append(
            Row(trick, share, parts, float(record["norm_drift"][i]), changes[i], *found.values()),
        )
    return out


def free(angle: Angle, split: tuple[float, float, float]) -> float:
    """Angle per epoch that decay and velocity alone leave, over the predicted one: noise alone has no drift term."""
    left = split[0] + split[1]
    return math.acos(min(1.0, left)) / angle.predicted if math.isfinite(left) else math.nan


def _pull(angle: Angle, split: tuple[float, float, float], unmet: tuple[str, ...]) -> str:
    """Why the angle per epoch is not the predicted one: what the row does not meet, and what the split shows."""
    if (angle.equilibrium, angle.course) == (KEEPS, KEEPS):
        return ""
    left = free(angle, split)
    pull = f"without the drift term {left:.2f} of predicted" if math.isfinite(left) else "split not recorded"
    return "; ".join([*unmet, pull])
