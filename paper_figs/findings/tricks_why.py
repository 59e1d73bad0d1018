"""What is behind the verdicts on tricks: where the angle per epoch goes, what the control rests on, and both tables."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from paper_figs import networks, style
from paper_figs.grid import Table, with_error
from validation.experiments import verdict

if TYPE_CHECKING:
    import xarray as xr

NETWORK = ("scale-inv. share", "test accuracy by seed [%]", "norm drift [%]: mean (range)", "split: decay", "velocity",
           "drift", "angle of split [deg]", "without drift / transient")  # fmt: skip
NOTE = (
    "The drift of the norm is each seed's change over the last third of the epochs, averaged over all seeds, dead "
    "ones too. The split holds exactly in every epoch of every seed; its parts are printed averaged over epochs and "
    "living seeds, while the angle of the split is the arc cosine of decay + velocity + drift taken epoch by epoch "
    "and seed by seed and then averaged, as the measured angle per epoch is, which it must equal: the arc cosine of "
    "the printed sum is larger wherever epochs or seeds differ. The angle without drift is made alike from decay + "
    "velocity, which is all that noise alone has, and divided by the transient's. AdamW has neither split nor "
    "transient: both ask for a step that is linear in the gradient, and AdamW divides the gradient by its own running"
    " size"
)
REASONS = (
    "empty where a row keeps both laws; 'without drift': the table above; 'dead': the test accuracy at the end is in "
    "brackets"
)


@dataclass(frozen=True)
class Found:
    """What the record of tricks shows.

    Attributes
    ----------
    caption : str
        Which data these are.
    rows : list of verdict.Row
    free : dict of str to float
        Of scale-invariant rows with a split: the angle that decay and velocity alone would turn, over the transient's.
    controls : list of verdict.Row
        To which the law does not apply.
    """

    caption: str
    rows: list[verdict.Row]
    free: dict[str, float]
    controls: list[verdict.Row]

    @property
    def off(self) -> dict[str, float]:
        """Of `free` those that miss the transient's angle."""
        return {trick: value for trick, value in self.free.items() if abs(value - 1) > verdict.TOLERANCE}


def find(record: xr.Dataset) -> Found:
    """Every row judged; what is left of the angle without drift; the controls."""
    rows = verdict.rows(record)
    covered = [row for row in rows if row.share >= verdict.COVERED]
    free = {row.trick: row.split.free for row in covered if math.isfinite(row.split.free)}
    return Found(networks.caption(record), rows, free, [row for row in rows if row.share < verdict.COVERED])


def seen(found: Found) -> str:
    """Where the angle per epoch goes, and what the control rests on."""
    off = ", ".join(f"{trick} {value:.2f}" for trick, value in found.off.items()) or "none"
    text = f"""{found.caption}. It is not the tricks that break the law per epoch but the gradients' pull back, the
    drift term of the split, which the noise's law does not have: decay and velocity alone would turn
    {len(found.free) - len(found.off)} of {len(found.free)} scale-invariant rows with a split within
    {100 * verdict.TOLERANCE:.0f} % of the transient's angle (not: {off}).
    {" ".join(map(_control, found.controls))}"""
    return " ".join(text.split())


def _control(row: verdict.Row) -> str:
    """What a row shows to which the law does not apply."""
    living = int((~(row.accuracies < verdict.DEAD)).sum())
    step, epoch = (with_error(*angle.equilibrium[:2]) for angle in (row.step, row.epoch))
    text = f"""{row.trick} is the control: {100 * row.share:.0f} % of its weights are scale-invariant, so the law says
    nothing of it, and {living} of {row.accuracies.size} seeds live; the measured angle is {step} of the law's per step,
    {epoch} per epoch."""
    if living == 1:
        text += """ That is one network without a standard error: it shows that the law can fail without scale
        invariance, not by how much it does; more living seeds are wanted."""
    return text


def tables(found: Found) -> tuple[Table, Table]:
    """One of numbers and one of reasons."""
    title, heads, columns = "Tricks of training:", tuple(row.trick for row in found.rows), ("per step", "per epoch")
    numbers, reasons = tuple(map(_network, found.rows)), tuple((row.step.why, row.epoch.why) for row in found.rows)
    return (
        Table(title=f"{title} network, norm, and split of the cosine per epoch", corner="trick", rows=heads,
              columns=NETWORK, cells=numbers, note=NOTE),
        Table(title=f"{title} reasons of the verdicts", corner="trick", rows=heads, columns=columns, cells=reasons,
              note=REASONS),
    )  # fmt: skip


def _network(row: verdict.Row) -> tuple[str, ...]:
    """What of a row belongs to no angle."""
    ends, drift, split = 100 * row.accuracies, 100 * row.drifts, row.split
    return (f"{row.share:.2f}", "  ".join(with_error(end, digits=1) for end in ends),
            f"{drift.mean():+.1f} ({drift.min():+.1f} to {drift.max():+.1f})",
            *(with_error(value, digits=4) for value in split[:3]), with_error(style.DEGREES * split.angle),
            with_error(split.free, split.free_stderr))  # fmt: skip
