"""Does a trained network keep the law of the angle: the one rule, and every row of a record judged by it.

Nothing of this is stored: a record holds numbers, and whoever draws or prints a verdict takes it from here, so that a
change of the rule needs no training.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from validation.experiments import by_seed
from validation.experiments.by_seed import BASE, DEAD, Split

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
# One tolerance for angle and norm. A norm that changes by d over E epochs of tuning factor T changes the angle per
# step by d/(2 T E) (theory.md 1.3): in 20 epochs of factor 0.064 by 0.4 d, less than half of the tolerance at the gate.
TOLERANCE = 0.05
ERRORS = 3.0
COVERED = 0.5  # of the weights scale-invariant: below, the law does not apply
KEEPS, BREAKS, UNSETTLED, UNDECIDED, NOTHING = "keeps", "breaks", "not in equilibrium", "undecided", "no prediction"
NO_CLAIM, ALIKE, DIFFERS, BASELINE = "law does not apply", f"as {BASE}", "differs", "the baseline"
RULE = (
    "All numbers are of the last third of the epochs. A ratio is taken seed by seed, measured over predicted, and "
    "printed as the mean over seeds ± its standard error; every verdict follows from the printed ratio. The norm comes "
    f"first (tricks-why): if in any living seed it changes by more than {TOLERANCE:.0%} from the first to the last of "
    "these epochs, the row is not in equilibrium, and the law of the equilibrium is not judged, whatever the angle is. "
    f"Then the ratio: the row keeps the law if the ratio with {ERRORS:g} standard errors to either side lies within "
    f"{TOLERANCE:.0%} of "
    "1, breaks it if all of that lies outside, and is undecided if that straddles the limit, so that noise helps no "
    "row. Settled or not, a row is also judged by the same limits against the transient: the recursion of the second "
    "moments, which follows the norm with the measured size of the gradients (theory.md 9.10). Last it is compared "
    f"with the baseline '{BASE}': its ratio at equilibrium over that of the same seed of '{BASE}' (where the law "
    f"predicts the same, that is the ratio of the two angles), '{ALIKE}' or '{DIFFERS}' by the same limits, without "
    "asking for the norm. A seed that diverged, or "
    f"whose test accuracy at the end is below {DEAD:.0%}, twice the chance of ten classes, "
    "is dead: its network has learned nothing, it is named and left out of all ratios and of the split. A row of which "
    f"less than {COVERED:.0%} of the weights is scale-invariant is a control: the law does not apply to it, its norm "
    "need not settle, and it must break. If one living seed is left there is no standard error: then no row is "
    "decided but a control, which breaks if the ratio itself is outside, since nothing is claimed for it that noise "
    "could seem to confirm."
).replace("%", " %")
# Reasons that no measured number shows.
KNOWN = {"Nesterov": "its law takes gradients for noise alone"}
SAME = f"trains as {BASE} does, bit for bit"
NO_SPLIT = "no split: step not linear in the gradient"


class Ratio(NamedTuple):
    """Mean over seeds of the seeds' ratios, its standard error (nan: fewer than two), and the verdict on both."""

    mean: float
    stderr: float
    verdict: str


class Angle(NamedTuple):
    """One angle of one row; angles in rad.

    Attributes
    ----------
    predicted, transient, measured, stderr : float
        At equilibrium; by the recursion; mean over late epochs and living seeds, and its error. nan: none.
    equilibrium, course : Ratio
        Measured over `predicted` and over `transient`.
    beside : Ratio
        `equilibrium` over that of the baseline.
    why : str
        What is behind the verdicts; empty if the law is kept.
    """

    predicted: float
    transient: float
    measured: float
    stderr: float
    equilibrium: Ratio
    course: Ratio
    beside: Ratio
    why: str = ""


class Row(NamedTuple):
    """One trick: scale-invariant share, accuracies and drifts of the norm of all seeds, split, both angles."""

    trick: str
    share: float
    accuracies: Array
    drifts: Array
    split: Split
    step: Angle
    epoch: Angle


def judge(ratio: float, stderr: float, *, control: bool = False) -> str:
    """The ratio's part of `RULE`; without a standard error nothing is decided but a control."""
    if not math.isfinite(ratio):
        return NOTHING
    away, margin = abs(ratio - 1), ERRORS * (0.0 if control and math.isnan(stderr) else stderr)
    if away + margin <= TOLERANCE:
        return NO_CLAIM if control else KEEPS
    return BREAKS if away - margin > TOLERANCE else UNDECIDED


def settled(changes: Array) -> Array:
    """The norm's part of `RULE`, seed by seed."""
    return np.abs(changes) <= TOLERANCE


def rows(record: xr.Dataset) -> list[Row]:
    """Every cell of a record of `tricks`, judged."""
    changes, expected = by_seed.drifts(record), by_seed.drifts(record, "weight_norm_predicted")
    ends, alive = by_seed.accuracies(record), by_seed.living(record)
    found = {name: _angles(record, name) for name in ("step", "epoch")}
    parts, base = by_seed.splits(record), by_seed.baseline(record)
    out = []
    for i, trick in enumerate(record["trick"].values.astype(str).tolist()):
        share, step, epoch = float(record["invariant_share"][i]), found["step"][i], found["epoch"][i]
        live = alive[i]
        reasons = _unmet(share, changes[i], ends[i], ~live, record["seed"].values)
        if base is not None and i != base and by_seed.same(record, i, base):
            reasons.append(SAME)
        own = []
        if step.course.verdict == BREAKS and share >= COVERED and not settled(changes[i][live]).all():
            own.append(f"norm {changes[i][live].mean():+.0%}, by its gradients' size {expected[i][live].mean():+.0%}")
        if BREAKS in (step.equilibrium.verdict, step.course.verdict) and trick in KNOWN:
            own.append(KNOWN[trick])
        free = parts[i].free
        pull = f"without drift {free:.2f}" if math.isfinite(free) else NO_SPLIT
        out.append(Row(trick, share, ends[i], changes[i], parts[i], _said(step, [*reasons, *own]),
                       _said(epoch, reasons if _kept(epoch) else [*reasons, pull])))  # fmt: skip
    return out


def _angles(record: xr.Dataset, name: str) -> list[Angle]:
    """Every cell's angle with its ratios and verdicts, still without reasons."""
    seeds, law = by_seed.ratios(record, name), record[f"angle_{name}_equilibrium"].values.astype(float)
    measured, said = (by_seed.late_angles(record, key) for key in (name, f"{name}_predicted"))
    base = by_seed.baseline(record)
    at_rest = np.all(settled(by_seed.drifts(record)) | ~by_seed.living(record), axis=1)
    out = []
    for i in range(len(law)):
        control = bool(record["invariant_share"][i] < COVERED)
        made = {key: by_seed.over_seeds(values[i]) for key, values in seeds.items()}
        words = {key: judge(*one, control=control) for key, one in made.items()}
        if not (at_rest[i] or control or words["equilibrium"] == NOTHING):
            words["equilibrium"] = UNSETTLED
        # The baseline beside itself says nothing.
        words["beside"] = (
            BASELINE
            if i == base
            else {KEEPS: ALIKE, NO_CLAIM: ALIKE, BREAKS: DIFFERS}.get(words["beside"], words["beside"])
        )
        equilibrium, course, beside = (Ratio(*made[key], words[key]) for key in ("equilibrium", "course", "beside"))
        transient, (mean, error) = by_seed.over_seeds(said[i])[0], by_seed.over_seeds(measured[i])
        out.append(Angle(float(law[i]), transient, mean, error, equilibrium, course, beside))
    return out


def _unmet(share: float, changes: Array, ends: Array, dead: Array, seeds: Array) -> list[str]:
    """What the law asks for and the row does not have."""
    reasons = [] if share >= COVERED else [f"the law does not apply: {share:.0%} scale-invariant"]
    if dead.any():
        which = ", ".join(map(str, seeds[dead]))
        how = ", ".join("diverged" if np.isnan(end) else f"{end:.1%}" for end in ends[dead])
        reasons.append(f"dead, left out: seeds {which} ({how})")
    moved = (~settled(changes) & ~dead).sum()
    return reasons + ([f"norm not settled in {moved} of {len(seeds)} seeds"] if moved else [])


def _kept(angle: Angle) -> bool:
    return angle.equilibrium.verdict == angle.course.verdict == KEEPS


def _said(angle: Angle, reasons: list[str]) -> Angle:
    """The angle with its reasons."""
    straddles = UNDECIDED in (angle.equilibrium.verdict, angle.course.verdict)
    reasons = [*reasons, *([f"{ERRORS:g} s.e. straddle the limit"] if straddles else [])]
    return angle._replace(why="; ".join(reasons).replace("%", " %"))
