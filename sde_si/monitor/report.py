"""What a monitor shows: comparison rows, a table, HTML and JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sde_si import comparison
from sde_si.comparison import Row, finite
from sde_si.monitor import lag_table
from sde_si.monitor.history import EPOCH
from sde_si.monitor.notices import Notice
from sde_si.monitor.readings import Reading
from sde_si.monitor.sinks import plain
from sde_si.theory.optimizers import assumes

if TYPE_CHECKING:
    from rich.table import Table

DEGREES = 180 / math.pi


def predicted_of(row: Row) -> dict[str, Any]:
    """What a record keeps of a row: its prediction (`sde_si.theory.Prediction`)."""
    return {"value": row.predicted, **{name: getattr(row, name) for name in ("paper", "source", "assumes", "note")}}


def rows(reading: Reading) -> list[Row]:
    """A group's comparison rows; predictions are equilibrium values, measured values are of now."""
    law, note = reading.rule.law, reading.why
    form, source = (law.text, law.source) if law else (f"no law for {reading.rule.form}", "")
    noise = "zero-mean gradient noise, stationary norm"
    size = {"gradient": "present size of the gradients", "moments": "present second moments of Adam"}.get(
        reading.rule.size, noise
    )
    squared = reading.norm_predicted**2
    out = [
        Row("weight_norm", finite(reading.weight_norm), None, finite(reading.norm_predicted),
            source=source, assumes=size, note=note),
        Row("effective_lr", finite(reading.effective_lr), None,
            finite(reading.rule.lr / squared) if squared and math.isfinite(reading.effective_lr) else None,
            source=source, assumes=size, note=note),
        Row("angle_step", finite(reading.angle_step), finite(reading.stderr), finite(reading.predicted),
            source=source, assumes=f"{form}; {assumes(reading.rule)}", note=note),
    ]  # fmt: skip
    for lag, found in reading.lags.items():
        name = "angle_epoch" if lag == EPOCH else f"angle_lag_{lag}"
        more = (
            ""
            if math.isnan(found.confinement)
            else f"; share of the cosine held by gradients {found.confinement:+.2g} (theory.md 1.11)"
        )
        out.append(Row(name, finite(found.angle), finite(found.stderr), finite(found.predicted), source=source,
                       assumes="noise with replacement, no confinement",
                       note=f"{found.windows} windows{more}"))  # fmt: skip
    efold = f"a small deviation of the norm falls by e in {_short(reading.relaxation_steps)} steps"
    out.append(Row("steps_to_equilibrium", None, None, finite(reading.steps_left), source=source, assumes=size,
                   note=f"from the present norm, until the angle is within 2 %; {efold}"))  # fmt: skip
    decoupled = "timescale of decoupled decay: without 1/(1-mu) (theory.md 9.5)" if reading.rule.decoupled else ""
    out.append(Row("tuning_factor", None, None, finite(reading.tuning_factor), source=source, note=decoupled))
    return out


@dataclass(frozen=True)
class Summary:
    """Readings of all groups, as people and programs read them.

    Attributes
    ----------
    readings : list of Reading
    notices : list of Notice
    step : int
        Steps done.
    """

    readings: Sequence[Reading]
    notices: Sequence[Notice]
    step: int

    def rows(self) -> dict[str, list[Row]]:
        """Comparison rows per group."""
        return {reading.name: rows(reading) for reading in self.readings}

    def table(self) -> Table:
        """One line per group: what it is, how it turns, how that compares, whether it has settled."""
        from rich.box import SIMPLE_HEAD
        from rich.markup import escape
        from rich.table import Table

        out = Table(title=f"angles after {self.step} steps", box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
        out.add_column("group", overflow="fold")
        lines = self._cells()
        for i, name in enumerate(HEADER, 1):
            # headers may fold, numbers may not
            width = max((len(cells[i]) for cells in lines), default=1)
            out.add_column(name.replace("[", r"\["), justify="right", overflow="fold", min_width=width)
        out.add_column("equilibrium", min_width=len("equilibrium"))
        for cells in lines:
            out.add_row(*(escape(cell) for cell in (*cells[:-1], cells[-1].partition(":")[0])))
        return out

    def reasons(self) -> list[str]:
        """A line each: the groups with one verdict on their equilibrium for one reason, and that reason."""
        of: dict[str, list[str]] = {}
        for cells in self._cells():
            of.setdefault(cells[-1], []).append(cells[0])
        return [f"{', '.join(names)}: {verdict}" for verdict, names in of.items()]

    def _cells(self) -> list[list[str]]:
        number = comparison.number
        out = []
        for r in self.readings:
            interval = "-" if math.isnan(r.low) else f"{r.low:.3f} .. {r.high:.3f}"
            state = {True: "yes", False: "no", None: "unknown"}[r.equilibrated]
            out.append([
                r.name, _short(r.weight_norm), _short(r.effective_lr),
                number(finite(r.angle_step), DEGREES, finite(r.stderr)), _short(r.predicted * DEGREES),
                _short(r.ratio), interval, _short(r.relaxation_steps), _short(r.steps_left), _short(r.tuning_factor),
                f"{state}: {r.why}",
            ])  # fmt: skip
        return out

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """The table, the comparison of all groups together, and the notices."""
        from rich.markup import escape

        if not self.readings:
            yield "AngularMonitor: nothing recorded yet"
            return
        yield self.table()
        yield from map(escape, self.reasons())
        last = self.readings[-1]
        if len(self.readings) > 1 and any(reading.lags for reading in self.readings):
            yield lag_table.table(self.readings)
        yield comparison.table({escape(last.name): rows(last)})
        for notice in self.notices:
            yield escape(f"note: {notice}")

    def __str__(self) -> str:
        import io

        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=160).print(self)
        return text.getvalue()

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th>{escape(name)}</th>" for name in ("group", *HEADER, "equilibrium"))
        body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>" for cells in self._cells())
        lags = lag_table.html(self.readings) if len(self.readings) > 1 else ""
        notes = "".join(f"<p>note: {escape(str(notice))}</p>" for notice in self.notices)
        return f"<table><caption>angles after {self.step} steps</caption><tr>{head}</tr>{body}</table>{lags}{notes}"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, angles in radians."""
        return {
            "step": self.step,
            "groups": {reading.name: plain(reading) for reading in self.readings},
            "rows": {name: {row.quantity: row.to_json() for row in of} for name, of in self.rows().items()},
            "notices": [{"kind": n.kind, "text": str(n)} for n in self.notices],
        }


HEADER = (
    "norm", "effective LR", "angle/step [deg]", "predicted", "ratio", "95 %", "relaxation [steps]", "left [steps]",
    "tuning factor [/epoch]",
)  # fmt: skip


def _short(value: float) -> str:
    return comparison.number(finite(float(f"{value:.4g}")) if math.isfinite(value) else None)
