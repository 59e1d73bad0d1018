"""Tricks of training in one table: predicted and measured angles, split, drift of the norm, verdicts and reasons.

What `tricks` draws, in numbers: angles in degrees, at equilibrium by the law of the noise, in the transient by the recursion with
the measured gradients; the split of the cosine per epoch; the change of the mean norm, and its range over seeds.
"""

import math
from typing import Any

from paper_figs import networks, style
from paper_figs.grid import Table
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 1.11, 9.2, 9.10"
EXPERIMENTS = ("tricks",)
NUMBERS = ("scale-inv. share", "step predicted", "step transient", "step measured", "epoch predicted", "epoch transient",
           "epoch measured", "split decay", "split velocity", "split drift", "norm drift [%] (seeds)")  # fmt: skip
WORDS = tuple(f"{name}: {what}" for name in ("step", "epoch") for what in ("equilibrium", "transient", "why"))


def draw(records: Records) -> Drawn:
    """One table; the picture shows its numbers above its verdicts."""
    from validation.experiments import verdict

    record = records["tricks"]
    rows = verdict.rows(record)
    cells = tuple((*_numbers(row), *_words(row)) for row in rows)
    heads = tuple(row.trick for row in rows)
    table = Table(title="Tricks of training: angles in degrees, measured ± s.e.", corner="trick", rows=heads,
                  columns=NUMBERS + WORDS, cells=cells, note=verdict.RULE)  # fmt: skip
    cut = len(NUMBERS)
    parts = (
        Table(title=table.title, corner="trick", rows=heads, columns=NUMBERS, cells=tuple(row[:cut] for row in cells)),
        Table(title="Verdicts", corner="trick", rows=heads, columns=WORDS, cells=tuple(row[cut:] for row in cells)),
    )
    figure, axes = style.panels(1, 2, width=13.5, height=0.45 + 0.2 * len(rows))
    for axis, part in zip(axes, parts, strict=True):
        part.draw(axis)
    left = {row.trick: verdict.free(row.epoch, row.split) for row in rows if row.share >= 0.5}
    known = {trick: value for trick, value in left.items() if math.isfinite(value)}
    more = [f"{trick} {value:.2f}" for trick, value in known.items() if abs(value - 1) > verdict.TOLERANCE]
    seen = (f"{networks.caption(record)}. The rule of the verdicts stands above the table. The noise's law has no drift term; "
            f"decay and velocity alone would turn {len(known) - len(more)} of {len(known)} scale-invariant rows with a recorded "
            f"split within {100 * verdict.TOLERANCE:.0f} % of the predicted angle per epoch (not: {', '.join(more) or 'none'}), so in these it is "
            "the gradients' pull back that keeps the angle below it.")  # fmt: skip
    return Drawn(figure, seen, (table,))


def _numbers(row: Any) -> tuple[str, ...]:
    angles = []
    for one in (row.step, row.epoch):
        predicted, transient, measured, error = (style.DEGREES * value for value in one[:4])
        angles += [_shown(predicted), _shown(transient), f"{_shown(measured)} ± {_shown(error)}" if math.isfinite(error) else _shown(measured)]  # fmt: skip
    seeds = f"{100 * row.drift:+.1f} ({100 * row.drifts.min():+.1f} to {100 * row.drifts.max():+.1f})"
    return f"{row.share:.2f}", *angles, *(_shown(value, 4) for value in row.split), seeds


def _words(row: Any) -> tuple[str, ...]:
    return tuple(text for one in (row.step, row.epoch) for text in (one.equilibrium, one.course, one.why))


def _shown(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"
