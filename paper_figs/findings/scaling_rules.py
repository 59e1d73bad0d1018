"""What five scaling rules keep of angle, norm, accuracy and noise on a network, and what a growing batch does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, phases, style
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
    """Of the rules after the first transient, or late in it if lr drops before its end; and of the two courses.

    Attributes
    ----------
    caption : str
    growth, batch : ndarray, shape (k,)
        k, and the batch size.
    angle : dict of str to ndarray, shape (rule, k, seed)
        Angle per epoch in degrees: ``measured``, ``exact``; of one seed: ``SDE``, ``paper`` (nan in the transient).
    transient, phase : ndarray, shape (rule, k), and int
        Epochs of the transient, and before lr drops.
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
    transient: Array
    phase: int
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

    settled = np.array([[[phases.settles(record, i)] for i in row] for row in cells])
    formula = np.where(settled, record["angle_epoch_paper"].values[cells][:, :, :1], np.nan)
    turned = {"exact": mean("angle_epoch_predicted"), "measured": mean("angle_epoch"), "SDE": mean("SDE")}
    return Found(
        caption=networks.caption(record),
        growth=growth[cells[0]],
        batch=float(record["B"][start[0]]) * growth[cells[0]],
        angle={kind: style.DEGREES * values for kind, values in {**turned, "paper": formula}.items()},
        transient=phases.transient_end(record["tuning_factor"].values[cells]),
        phase=phases.phase_end(record, start[0]),
        norm=mean("weight_norm"),
        ratio=mean("noise_trace") / mean("signal"),
        gained=accuracy[cells] - accuracy[cells][:, :1],
        courses_gain=np.diff(accuracy[courses], axis=0),
        courses_angle=np.array([grown / decayed for decayed, grown in ends]),
    )


def _late(record: xr.Dataset, i: int, name: str) -> Array:
    """Mean of one cell over `phases.late`, shape (seed,); ``SDE``: of the simulated angle per epoch, (1,)."""
    course = networks.sde(record, i, "angle_epoch") if name == "SDE" else None
    values = networks.of_cell(record, i, name) if course is None else course[None]
    return values[:, phases.late(record, i)].mean(axis=1)


def seen(found: Found) -> str:
    """What the rules change and why, and what batch growth does instead of a falling learning rate."""
    return (
        f"{found.caption}. {_largest_batch(found)} {_beside_theory(found)} Batch growth less lr decay: accuracy "
        f"{listed(found.courses_gain, 1)} points, angle in the last ten epochs × {listed(found.courses_angle, 2)} "
        "(measured, exact; paper 1): larger batches, fewer steps."
    )


def _largest_batch(found: Found) -> str:
    """Whether tuning factor or noise decide on the largest batch."""
    there = {kind: values[np.isfinite(values[:, -1, 0])] for kind, values in found.angle.items()}
    angle = {kind: listed(values[:, -1] / values[:, 0], 2) for kind, values in there.items()}
    gained, last = found.gained, found.gained[:, -1]
    above = gained[KEEPS_FACTOR, 1:].mean(axis=0) - gained[~KEEPS_FACTOR, 1:].mean(axis=0)
    return (
        f"k = {found.growth[-1]:g} against 1, seed by seed, of {', '.join(RULES.values())}: angle × "
        f"{angle['measured']} (exact {angle['exact']}; SDE {angle['SDE']}; paper, of equilibrium, {angle['paper']}"
        f"{_unsettled(found)}); accuracy {listed(last, 1)} points; τ/G {listed(found.ratio[:, -1], 2)}. "
        f"{_singled_out(found)}. Rules that keep the tuning factor are above the others by {listed(above, 2)} points "
        f"at k = {', '.join(f'{one:g}' for one in found.growth[1:])}; of them lr × k less wd × k is "
        f"{listed(last[:1] - last[1:2], 1)} at the last."
    )


def _unsettled(found: Found) -> str:
    """At the largest k the rules whose transient is longer than the phase, and how long it is."""
    lengths = dict(zip(RULES.values(), found.transient[:, -1], strict=True))
    late = {name: f"{length}" for name, length in lengths.items() if length >= found.phase}
    epochs = f"{found.phase} epochs of a transient of {', '.join(late.values())}"
    return f"; {', '.join(late)}: none, after {epochs}" if late else ""


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
