"""What five scaling rules keep of angle, norm, accuracy and noise on a network, and what a growing batch does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import final_accuracy
from paper_figs.seeds import listed, seed_error, seed_mean

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
RULES = {"lr": "lr × k", "wd": "wd × k", "both": "both × √k", "root lr": "lr × √k", "nothing": "nothing"}
COURSES = ("lr decay", "batch growth")
KEEPS_FACTOR = np.isin(list(RULES), ("lr", "wd", "both"))
LAST = 10  # epochs at the end of the two courses
CERTAIN = 2.0  # standard errors from which a loss of accuracy counts


@dataclass(frozen=True)
class Found:
    """Of the rules after the transient of the first learning rate, before its first drop; and of the two courses.

    Attributes
    ----------
    caption : str
    growth, batch : ndarray, shape (k,)
        k, and the batch size.
    angle : dict of str to ndarray, shape (rule, k, seed)
        Angle per epoch in degrees: ``measured``, ``exact``; by ``SDE`` and ``paper``'s formula, which have one seed.
    norm, ratio, gained : ndarray, shape (rule, k, seed)
        Weight norm; noise over signal, τ/G; final accuracy less that at k = 1, in points, with one subset and one start
        a seed.
    courses_gain, courses_angle : ndarray, shape (1, seed) and (2, seed)
        Batch growth against lr decay: points of accuracy more; ratio of the angles at the end, measured and exact.
    """

    caption: str
    growth: Array
    batch: Array
    angle: dict[str, Array]
    norm: Array
    ratio: Array
    gained: Array
    courses_gain: Array
    courses_angle: Array


def find(record: xr.Dataset) -> Found:
    """All rules, and the two courses."""
    start, growth = networks.pick(record, rule="start"), record["times"].values.astype(float)
    cells = [start + sorted(networks.pick(record, rule=rule), key=lambda i: growth[i]) for rule in RULES]
    accuracy = final_accuracy(record)
    courses = [networks.pick(record, rule=rule)[0] for rule in COURSES]
    ends = [[networks.of_cell(record, i, name)[:, -LAST:].mean(axis=1) for i in courses]
            for name in ("angle_epoch", "angle_epoch_predicted")]  # fmt: skip

    def mean(name: str) -> Array:
        return np.array([[_late(record, i, name) for i in row] for row in cells])

    turned = {"measured": mean("angle_epoch"), "exact": mean("angle_epoch_predicted"), "SDE": mean("SDE"),
              "paper": record["angle_epoch_paper"].values[cells][:, :, :1]}  # fmt: skip
    return Found(
        caption=networks.caption(record),
        growth=growth[cells[0]],
        batch=float(record["B"][start[0]]) * growth[cells[0]],
        angle={kind: style.DEGREES * values for kind, values in turned.items()},
        norm=mean("weight_norm"),
        ratio=mean("noise_trace") / mean("signal"),
        gained=accuracy[cells] - accuracy[cells][:, :1],
        courses_gain=np.diff(accuracy[courses], axis=0),
        courses_angle=np.array([grown / decayed for decayed, grown in ends]),
    )


def _late(record: xr.Dataset, i: int, name: str) -> Array:
    """Mean of one cell after its first transient, shape (seed,); ``SDE``: of the simulated angle per epoch, (1,)."""
    course = networks.sde(record, i, "angle_epoch") if name == "SDE" else None
    values = networks.of_cell(record, i, name) if course is None else course[None]
    return values[:, networks.late(record, i)].mean(axis=1)


def seen(found: Found) -> str:
    """What the rules change and why, and what batch growth does instead of a falling learning rate."""
    return (
        f"{found.caption}. {_largest_batch(found)} {_beside_theory(found)} Batch growth less lr decay: accuracy "
        f"{listed(found.courses_gain, 1)} points, angle in the last ten epochs × {listed(found.courses_angle, 2)} "
        "(measured, exact; paper 1): larger batches, fewer steps."
    )


def _largest_batch(found: Found) -> str:
    """Whether tuning factor or noise decide on the largest batch."""
    angle = {kind: listed(values[:, -1] / values[:, 0], 2) for kind, values in found.angle.items()}
    gained, last = found.gained, found.gained[:, -1]
    above = gained[KEEPS_FACTOR, 1:].mean(axis=0) - gained[~KEEPS_FACTOR, 1:].mean(axis=0)
    return (
        f"k = {found.growth[-1]:g} against 1, seed by seed, of {', '.join(RULES.values())}: angle × "
        f"{angle['measured']} (exact {angle['exact']}; SDE {angle['SDE']}; paper {angle['paper']}); accuracy "
        f"{listed(last, 1)} points; τ/G {listed(found.ratio[:, -1], 2)}. {_singled_out(found)}. Rules that keep the "
        f"tuning factor are above the others by {listed(above, 2)} points at k = "
        f"{', '.join(f'{one:g}' for one in found.growth[1:])}; of them lr × k less wd × k is "
        f"{listed(last[:1] - last[1:2], 1)} at the last."
    )


def _singled_out(found: Found) -> str:
    """Whether the rules that lose accuracy on the largest batch are those of the smallest noise over signal."""
    gained, ratio = found.gained[:, -1], seed_mean(found.ratio[:, -1])
    lost = seed_mean(gained) < -CERTAIN * seed_error(gained)
    if lost.all() or not lost.any():
        return f"{'Every' if lost.all() else 'No'} rule loses more than two s.e"
    fails = ratio[lost].max(initial=-np.inf) > ratio[~lost].min(initial=np.inf)
    return f"A small τ/G {'does not single' if fails else 'singles'} out the rules that lose more than two s.e"


def _beside_theory(found: Found) -> str:
    """The noise scale and the norm of linear scaling beside theory 4.5, and what the predictions leave out."""
    k, first = found.growth[-1], found.ratio[:1, 0]
    norm = (found.norm[:1, -1] / found.norm[:1, 0]) ** 4
    return (
        f"The noise scale Bτ/G of lr × k is {listed(found.batch[:, None] * found.ratio[0], 0)} at B = "
        f"{', '.join(f'{one:g}' for one in found.batch)}. By theory 4.5, without momentum, |x|^4 of lr × k doubles at "
        f"k = 2 + τ/G = {listed(2 + first, 1)}; at {k:g} it is × {listed((first + k) / (first + 1), 2)}, and × "
        f"{listed(norm, 2)} was measured. The SDE has neither accuracy nor G. With fewer steps an epoch the velocity's "
        "memory, not in the paper's eq. 27, takes more of the angle. At k = 1 it is "
        f"{listed(found.angle['measured'][:1, 0] / found.angle['exact'][:1, 0], 2)} of the exact one: the basin (18.2)."
    )
