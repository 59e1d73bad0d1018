"""What a monitor shows: comparison rows, a table, HTML, JSON, and the record of the project's schema."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import comparison
from sde_si.comparison import Row, finite
from sde_si.monitor import lag_table
from sde_si.monitor.history import EPOCH, History, angle, end_norm
from sde_si.monitor.notices import Notice
from sde_si.monitor.readings import Reading
from sde_si.monitor.sinks import plain
from sde_si.monitor.statistics import angle_from, predicted_versines
from sde_si.theory.optimizers import FORMS

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table

DEGREES = 180 / math.pi


def predicted_of(row: Row) -> dict[str, Any]:
    """What a record keeps of a row: its prediction (`sde_si.theory.Prediction`)."""
    return {"value": row.predicted, **{name: getattr(row, name) for name in ("paper", "source", "assumes", "note")}}


def rows(reading: Reading) -> list[Row]:
    """A group's comparison rows; predictions are equilibrium values, measured values are of now."""
    form, source = FORMS.get(reading.rule.form, (f"no law for {reading.rule.form}", ""))
    noise = "zero-mean gradient noise, stationary norm"
    note = reading.why
    size = {"sgd": "present size of the gradients", "adam": "present second moments of Adam"}.get(
        reading.rule.form, noise
    )
    squared = reading.norm_predicted**2
    out = [
        Row("weight_norm", finite(reading.weight_norm), None, finite(reading.norm_predicted),
            source=source, assumes=size, note=note),
        Row("effective_lr", finite(reading.effective_lr), None,
            finite(reading.rule.lr / squared) if squared and math.isfinite(reading.effective_lr) else None,
            source=source, assumes=size, note=note),
        Row("angle_step", finite(reading.angle_step), finite(reading.stderr), finite(reading.predicted),
            source=source, assumes=f"{form}; {noise}", note=note),
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
    out.append(Row("steps_to_equilibrium", None, None, finite(reading.relaxation_steps), source=source, assumes=noise,
                   note="steps in which a small deviation of the norm falls by e"))  # fmt: skip
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
        for name in HEADER:
            out.add_column(name.replace("[", r"\["), justify="right", overflow="fold")
        out.add_column("equilibrium", overflow="fold")
        for cells in self._cells():
            out.add_row(*(escape(cell) for cell in cells))
        return out

    def _cells(self) -> list[list[str]]:
        number = comparison.number
        out = []
        for r in self.readings:
            interval = "-" if math.isnan(r.low) else f"{r.low:.3f} .. {r.high:.3f}"
            state = {True: "yes", False: "no", None: "unknown"}[r.equilibrated]
            out.append([
                r.name, _short(r.weight_norm), _short(r.effective_lr),
                number(finite(r.angle_step), DEGREES, finite(r.stderr)), _short(r.predicted * DEGREES),
                _short(r.ratio), interval, _short(r.relaxation_steps), f"{state}: {r.why}",
            ])  # fmt: skip
        return out

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """The table, the comparison of all groups together, and the notices."""
        from rich.markup import escape

        if not self.readings:
            yield "AngularMonitor: nothing recorded yet"
            return
        yield self.table()
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
        Console(file=text, width=150).print(self)
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


HEADER = ("norm", "effective LR", "angle/step [deg]", "predicted", "ratio", "95 %", "relaxation [steps]")


def _short(value: float) -> str:
    return comparison.number(finite(float(f"{value:.4g}")) if math.isfinite(value) else None)


def _sharing(history: History, lrs: np.ndarray) -> list[str]:
    """Groups that had the first one's learning rate in all epochs: those of which the record's `lr` tells."""
    return [
        g.name for g, of in zip(history.groups, lrs.T, strict=False) if np.array_equal(of, lrs[:, 0], equal_nan=True)
    ]


def record(history: History, found: Sequence[Reading], form: str) -> xr.Dataset:
    """Closed epochs in the project's schema: one path, predictions under each epoch's hyperparameters.

    The schema's predictions carry no group: they are those of all weights together; ``predictions_by_group`` holds
    every group's own. ``lr`` and ``momentum`` are those of the first group and of the others in ``lr_of``;
    ``lr_by_group`` holds every group's own learning rate, and ``effective_lr`` is made of these.
    """
    from sde_si.provenance import provenance
    from sde_si.record import make
    from sde_si.theory.optimizers import Rule

    numbers = sorted(number for number, epoch in history.epochs.items() if epoch.whole is not None)
    epochs = [history.epochs[number] for number in numbers]
    groups = len(history.groups)
    keep = slice(groups, None) if groups == 1 else slice(None)
    wide = groups + 1
    whole = np.stack([epoch.whole for epoch in epochs if epoch.whole is not None])
    nothing = np.full(wide, math.nan)
    balance = np.stack([e.balance / e.count if e.balance is not None else np.stack([nothing] * 2) for e in epochs])
    turned = np.stack([np.sqrt(e.squares / e.count) if e.squares is not None else nothing for e in epochs])
    norms, angles = end_norm(whole), angle(whole)
    lr = np.array([epoch.lr for epoch in epochs])
    lrs = np.stack([epoch.lrs if epoch.lrs is not None else np.full(wide, epoch.lr) for epoch in epochs])
    lags = sorted({lag for epoch in epochs for lag in epoch.cosines})
    cosines = np.stack([
        np.stack([epoch.cosines[lag][1] / epoch.cosines[lag][0] if lag in epoch.cosines else nothing for lag in lags])
        for epoch in epochs
    ])  # fmt: skip
    expected = {lag: np.full(len(epochs), math.nan) for lag in [*lags, EPOCH]}
    for i, (number, epoch) in enumerate(zip(numbers, epochs, strict=True)):
        inside = [row for row in history.rows.get(1, []) if row.epoch == number]
        for lag, values in expected.items():
            if inside:
                values[i] = predicted_versines(history, inside[-1], lag or epoch.steps)[-1]
    variables = {
        "cos_epoch": np.cos(angles), "angle_epoch": angles, "angle_step": turned, "weight_norm": norms,
        "effective_lr": lrs / norms**2,
        "mean_squared_displacement": balance[:, 0], "mean_squared_norm": balance[:, 1],
    }  # fmt: skip
    data: dict[str, Any] = {name: values[None][..., keep] for name, values in variables.items()}
    data["cos_lag"] = cosines[None][..., keep]
    data["weight_norm_initial"] = np.sqrt(history.initial if history.initial is not None else nothing)[None][..., keep]
    data |= {
        "lr": lr,
        "momentum": np.array([epoch.momentum for epoch in epochs]),
        "steps_per_epoch": np.array([epoch.steps for epoch in epochs], dtype=np.int32),
        "angle_step_predicted": np.array([angle_from(v) for v in expected[1]]) if 1 in expected else lr * math.nan,
        "angle_epoch_predicted": np.array([angle_from(v) for v in expected[EPOCH]]),
        "cos_epoch_predicted": 1 - expected[EPOCH],
        "cos_lag_predicted": np.stack([1 - expected[lag] for lag in lags], axis=1),
        "weight_norm_predicted": lr * math.nan,
        "effective_lr_predicted": lr * math.nan,
        "angle_epoch_paper": lr * math.nan,
    }
    total = found[-1]
    of = {reading.name: rows(reading) for reading in found}
    if total.count < sum(group.count for group in history.groups):  # the record's "all" is of all, these are not
        of[total.name] = [replace(row, predicted=None) for row in of[total.name]]

    rule: Rule = total.rule
    attributes = {
        "source": "monitor",
        "configuration": {"method": form, "loss": "network", "N": None, "B": None, **asdict(rule)},
        "method": form,
        "digest": hashlib.sha256(b"".join(np.ascontiguousarray(v).tobytes() for v in data.values())).hexdigest(),
        "tuning_factor": total.tuning_factor,
        "last_change": int(np.max(np.flatnonzero(np.diff(lr)), initial=-1)) + 1,
        "expected_displacement_ratio": math.nan,  # readings judge equilibrium by their own windows
        "group_names": [group.name for group in history.groups],
        "group_levels": [group.level for group in history.groups],
        "lr_of": _sharing(history, lrs),  # the schema has one lr and one momentum per epoch
        "lr_by_group": {
            g.name: [finite(v) for v in of] for g, of in zip(history.groups, lrs.T[:-1].tolist(), strict=True)
        },
        "predictions": {row.quantity: predicted_of(row) for row in of[total.name]},
        "predictions_by_group": {
            name: {row.quantity: predicted_of(row) for row in rows_} for name, rows_ in of.items()
        },
        "provenance": provenance(),
    }
    out = make(data, groups=groups, lags=lags, attributes=attributes)
    return out.assign_coords(epoch=("epoch", np.array(numbers, dtype=np.int32), out["epoch"].attrs))
