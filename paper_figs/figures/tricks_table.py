"""Tricks of training in three tables: angles per step and per epoch with ratios, verdicts and reasons; norm and split.

What `tricks` draws, in numbers: angles at equilibrium by the law of the noise, in the transient by the recursion with the measured
gradients; every verdict follows from the ratio before it by the rule, and what tells tricks apart is the ratio over `none`.
"Fixup, no norm" is the control: `fixup-resnet18`, in which the last convolution of every branch and the classifier start at 0 and
the first convolutions are scaled down, so that ZeroInit is part of Fixup and has no row of its own (with normalisation the same
start is the row "zero-gamma"); it trains with a tenth of lr and ten times wd.
"""

import math
from typing import Any

from paper_figs import networks, style
from paper_figs.grid import Table
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 1.11, 9.2, 9.10"
EXPERIMENTS = ("tricks",)
RATIOS = {"equilibrium": "measured / equilibrium", "course": "measured / transient", "beside": "over none"}
ANGLE = ("equilibrium [deg]", "transient [deg]", "measured [deg]", *RATIOS.values(), "law of equilibrium", "law of transient",
         "beside none", "why")  # fmt: skip
NETWORK = ("scale-inv. share", "test accuracy by seed [%]", "norm drift: mean of seeds (range) [%]", "split: decay",
           "split: velocity", "split: drift", "angle of split [deg]", "angle without drift / transient")  # fmt: skip
NOTE = (
    "The drift of the norm is each seed's change over the last third of the epochs, averaged over all seeds, dead ones too. The "
    "split holds exactly in every epoch of every seed; its parts are printed averaged over epochs and living seeds, while the angle "
    "of the split is the arc cosine of decay + velocity + drift taken epoch by epoch and seed by seed and then averaged, as the "
    "measured angle per epoch is, which it must equal: the arc cosine of the printed sum is larger wherever epochs or seeds differ. "
    "The angle without drift is made alike from decay + velocity, which is all that noise alone has, and divided by the transient's. "
    "AdamW has neither split nor transient: both ask for a step that is linear in the gradient, and AdamW divides the gradient by "
    "its own running size."
)


def draw(records: Records) -> Drawn:
    """Three tables, one under the other."""
    from validation.experiments import verdict

    record = records["tricks"]
    rows = verdict.rows(record)
    heads = tuple(row.trick for row in rows)
    parts = (
        ("Angle per step, ± s.e.", ANGLE, [_angle(row.step) for row in rows], verdict.RULE),
        ("Angle per epoch, ± s.e.", ANGLE, [_angle(row.epoch) for row in rows], "by the same rule"),
        ("Network, norm, and split of the cosine per epoch", NETWORK, [_network(row) for row in rows], NOTE),
    )
    tables = tuple(Table(title=f"Tricks of training: {title}", corner="trick", rows=heads, columns=columns,
                         cells=tuple(cells), note=note) for title, columns, cells, note in parts)  # fmt: skip
    figure, axes = style.panels(1, 3, width=13.5, height=0.45 + 0.2 * len(rows))
    for axis, table in zip(axes, tables, strict=True):
        table.draw(axis)
    return Drawn(figure, f"{networks.caption(record)}. {_seen(rows)}", tables)


def _seen(rows: list[Any]) -> str:
    """Where the angle per epoch goes, which tricks change it, and what the control rests on."""
    from validation.experiments import by_seed, verdict

    free = {row.trick: row.split.free for row in rows if row.share >= verdict.COVERED and math.isfinite(row.split.free)}
    more = [f"{trick} {value:.2f}" for trick, value in free.items() if abs(value - 1) > verdict.TOLERANCE]
    kept = [row.trick for row in rows if verdict.KEEPS in (row.epoch.equilibrium.verdict, row.epoch.course.verdict)]
    few = len(free) - len(more)
    said = [(f"Per epoch {len(kept)} of {len(rows)} rows keep either law{', not even the baseline' * (by_seed.BASE not in kept)}. It is "
             "not the tricks that break it but the gradients' pull back, the drift term of the split, which the noise's law does not have: "
             f"decay and velocity alone would turn {few} of {len(free)} scale-invariant rows with a split within "
             f"{100 * verdict.TOLERANCE:.0f} % of the transient's angle (not: {', '.join(more) or 'none'}). What tells tricks apart per "
             f"epoch is the ratio over {by_seed.BASE}")]  # fmt: skip
    for row in rows:
        living = int((~(row.accuracies < by_seed.DEAD)).sum())
        if row.share < verdict.COVERED:
            said.append(f"{row.trick} is the control: {100 * row.share:.0f} % of its weights are scale-invariant, so the law says nothing "
                        f"of it, and {living} of {row.accuracies.size} seeds live; per step it turns {_ratio(row.step.equilibrium)} of "
                        f"the law's angle, per epoch {_ratio(row.epoch.equilibrium)}"
                        + (": one network, without a standard error, shows that the law may fail without scale invariance, not by how "
                           "much it does; dead networks only lose their norm" if living == 1 else ""))  # fmt: skip
    return ". ".join(said) + "."


def _angle(one: Any) -> tuple[str, ...]:
    """One angle's part of a row."""
    predicted, transient, measured, error = (style.DEGREES * value for value in one[:4])
    ratios = [getattr(one, name) for name in RATIOS]
    return (_shown(predicted), _shown(transient), _shown(measured, error), *map(_ratio, ratios),
            *(ratio.verdict for ratio in ratios), one.why)  # fmt: skip


def _network(row: Any) -> tuple[str, ...]:
    """What of a row belongs to no angle."""
    ends, drift = (100 * values for values in (row.accuracies, row.drifts))
    split = row.split
    return (f"{row.share:.2f}", "  ".join(_shown(end, digits=1) for end in ends),
            f"{drift.mean():+.1f} ({drift.min():+.1f} to {drift.max():+.1f})",
            *(_shown(value, digits=4) for value in split[:3]), _shown(style.DEGREES * split.angle),
            _shown(split.free, split.free_stderr))  # fmt: skip


def _ratio(ratio: Any) -> str:
    return _shown(ratio.mean, ratio.stderr)


def _shown(value: float, error: float = math.nan, digits: int = 3) -> str:
    """A number with its error, where they are there."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.{digits}f}" + (f" ± {error:.{digits}f}" if math.isfinite(error) else "")
