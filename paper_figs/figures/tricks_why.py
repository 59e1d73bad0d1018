"""What is behind the verdicts on tricks: norm, dead networks, split of the cosine, and the reason of each verdict.

For the rows of `tricks-table`. "Fixup, no norm" is the control: `fixup-resnet18`, in which the last convolution of every branch and
the classifier start at 0 and the first convolutions are scaled down, so that ZeroInit is part of Fixup and has no row of its own
(with normalisation the same start is the row "zero-gamma"); it trains with a tenth of lr and ten times wd.
"""

import math
from typing import Any

from paper_figs import networks, style
from paper_figs.grid import Table, stacked, with_error
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 1.11, 9.10"
EXPERIMENTS = ("tricks",)
NETWORK = ("scale-inv. share", "test accuracy by seed [%]", "norm drift [%]: mean (range)", "split: decay", "velocity", "drift",
           "angle of split [deg]", "without drift / transient")  # fmt: skip
NOTE = (
    "The drift of the norm is each seed's change over the last third of the epochs, averaged over all seeds, dead ones too. The "
    "split holds exactly in every epoch of every seed; its parts are printed averaged over epochs and living seeds, while the angle "
    "of the split is the arc cosine of decay + velocity + drift taken epoch by epoch and seed by seed and then averaged, as the "
    "measured angle per epoch is, which it must equal: the arc cosine of the printed sum is larger wherever epochs or seeds differ. "
    "The angle without drift is made alike from decay + velocity, which is all that noise alone has, and divided by the transient's. "
    "AdamW has neither split nor transient: both ask for a step that is linear in the gradient, and AdamW divides the gradient by "
    "its own running size"
)
REASONS = "empty where a row keeps both laws; 'without drift': the table above; 'dead': the test accuracy at the end is in brackets"


def draw(records: Records) -> Drawn:
    """A table of numbers and one of reasons."""
    from validation.experiments import verdict

    record = records["tricks"]
    rows = verdict.rows(record)
    heads = tuple(row.trick for row in rows)
    tables = (
        Table(title="Tricks of training: network, norm, and split of the cosine per epoch", corner="trick", rows=heads,
              columns=NETWORK, cells=tuple(_network(row) for row in rows), note=NOTE),
        Table(title="Tricks of training: reasons of the verdicts", corner="trick", rows=heads, columns=("per step", "per epoch"),
              cells=tuple((row.step.why, row.epoch.why) for row in rows), note=REASONS),
    )  # fmt: skip
    return Drawn(stacked(tables, width=13.0), f"{networks.caption(record)}. {_seen(rows)}", tables)


def _seen(rows: list[Any]) -> str:
    """Where the angle per epoch goes, and what the control rests on."""
    from validation.experiments import verdict

    free = {row.trick: row.split.free for row in rows if row.share >= verdict.COVERED and math.isfinite(row.split.free)}
    more = [f"{trick} {value:.2f}" for trick, value in free.items() if abs(value - 1) > verdict.TOLERANCE]
    said = [("It is not the tricks that break the law per epoch but the gradients' pull back, the drift term of the split, which the "
            f"noise's law does not have: decay and velocity alone would turn {len(free) - len(more)} of {len(free)} scale-invariant rows "
            f"with a split within {100 * verdict.TOLERANCE:.0f} % of the transient's angle (not: {', '.join(more) or 'none'})")]  # fmt: skip
    for row in (row for row in rows if row.share < verdict.COVERED):
        living = int((~(row.accuracies < verdict.DEAD)).sum())
        said.append(f"{row.trick} is the control: {100 * row.share:.0f} % of its weights are scale-invariant, so the law says nothing "
                    f"of it, and {living} of {row.accuracies.size} seeds live; the measured angle is {with_error(*row.step.equilibrium[:2])} "
                    f"of the law's per step, {with_error(*row.epoch.equilibrium[:2])} per epoch")  # fmt: skip
        if living == 1:
            said.append("That is one network without a standard error: it shows that the law can fail without scale invariance, "
                        "not by how much it does; more living seeds are wanted")  # fmt: skip
    return ". ".join(said) + "."


def _network(row: Any) -> tuple[str, ...]:
    """What of a row belongs to no angle."""
    ends, drift, split = 100 * row.accuracies, 100 * row.drifts, row.split
    return (f"{row.share:.2f}", "  ".join(with_error(end, digits=1) for end in ends),
            f"{drift.mean():+.1f} ({drift.min():+.1f} to {drift.max():+.1f})",
            *(with_error(value, digits=4) for value in split[:3]), with_error(style.DEGREES * split.angle),
            with_error(split.free, split.free_stderr))  # fmt: skip
