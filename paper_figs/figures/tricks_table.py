"""Tricks of training in numbers: predicted and measured angles, their ratios, and the verdicts on them.

What `tricks` draws. Angles are predicted at equilibrium by the law of the noise, in the transient by the recursion with the measured
gradients; then come measured over predicted, and that over the same of the baseline `none`; and a verdict on each of the three
ratios, by the rule beside the table. What is behind the verdicts stands in `tricks-why`.
"""

from typing import Any

from paper_figs import networks, style
from paper_figs.grid import Table, stacked, with_error
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 9.2, 9.10"
EXPERIMENTS = ("tricks",)
COLUMNS = ("equilibrium [deg]", "transient [deg]", "measured [deg]", "measured / equil.", "measured / transient", "over none",
           "law of equilibrium", "law of transient", "beside none")  # fmt: skip


def draw(records: Records) -> Drawn:
    """A table for each angle, one under the other."""
    from validation.experiments import verdict

    record = records["tricks"]
    rows = verdict.rows(record)
    heads, notes = tuple(row.trick for row in rows), {"step": verdict.RULE, "epoch": "by the same rule"}
    tables = tuple(Table(title=f"Tricks of training, angle per {name}: mean over seeds ± s.e., and verdicts", corner="trick",
                         rows=heads, columns=COLUMNS, cells=tuple(_cells(getattr(row, name)) for row in rows), note=note)
                   for name, note in notes.items())  # fmt: skip
    return Drawn(stacked(tables, width=11.5), f"{networks.caption(record)}. {_seen(rows)}", tables)


def _seen(rows: list[Any]) -> str:
    """That the angle per epoch is not what tells tricks apart, and what does."""
    from validation.experiments import verdict

    kept = [row.trick for row in rows if verdict.KEEPS in (row.epoch.equilibrium.verdict, row.epoch.course.verdict)]
    baseline = ", and the baseline does not either" * (verdict.BASE not in kept)
    first = "".join(
        f" The baseline itself: {row.step.why}." for row in rows if row.trick == verdict.BASE and row.step.why
    )
    differ = sorted((row.epoch.beside.mean, row.trick) for row in rows if row.epoch.beside.verdict == verdict.DIFFERS)
    return (f"Per epoch {len(kept)} of {len(rows)} rows keep the law of the equilibrium or of the transient{baseline}: the gradients "
            f"pull back, with and without a trick (`tricks-why`). What tells tricks apart is the angle over that of {verdict.BASE}, which "
            f"these change: {', '.join(f'{trick} {mean:.2f}' for mean, trick in differ) or 'none'}.{first}")  # fmt: skip


def _cells(one: Any) -> tuple[str, ...]:
    """One angle of one row."""
    predicted, transient, measured, error = (style.DEGREES * value for value in one[:4])
    judged = (one.equilibrium, one.course, one.beside)
    return (with_error(predicted), with_error(transient), with_error(measured, error),
            *(with_error(*ratio[:2]) for ratio in judged), *(ratio.verdict for ratio in judged))  # fmt: skip
