"""The comparison row: a measured number beside what theory and the papers say. Nobody formats a number elsewhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sde_si import estimators
from sde_si.quantities import QUANTITIES, shown
from sde_si.theory import Prediction

if TYPE_CHECKING:
    import xarray as xr
    from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One quantity of one method.

    Attributes
    ----------
    quantity : str
        A name of the vocabulary; angles are in radians, times in epochs.
    measured, stderr, predicted, paper : float or None
        None where there is nothing to say.
    source, assumes, note, shift
        Of the prediction (`sde_si.theory.Prediction`).
    bias, bias_stderr : float or None
        Step-size bias: this substep minus half of it, under the same noise where the method allows.
    """

    quantity: str
    measured: float | None = None
    stderr: float | None = None
    predicted: float | None = None
    paper: float | None = None
    source: str = ""
    assumes: str = ""
    note: str = ""
    shift: float | None = None
    bias: float | None = None
    bias_stderr: float | None = None

    @classmethod
    def of(cls, quantity: str, prediction: Prediction, value: float, stderr: float, **more: Any) -> Row:
        """A measured value (nan: not measured) beside its prediction."""
        return cls(
            quantity,
            finite(value),
            finite(stderr),
            finite(prediction.value),
            finite(prediction.paper),
            prediction.source,
            prediction.assumes,
            prediction.note,
            prediction.shift,
            **more,
        )

    def error(self, reference: float | None) -> float | None:
        """Relative error of the measured value; of a cosine, that of 1 - cos: near 1 a cosine hides errors."""
        if self.measured is None or reference is None:
            return None
        if self.quantity == "cos_epoch":
            return finite((reference - self.measured) / (1 - reference)) if reference != 1 else None
        return finite(self.measured / reference - 1) if reference else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, None for nan."""
        fields = ("measured", "stderr", "predicted", "paper", "source", "assumes", "note", "shift")
        out = {name: getattr(self, name) for name in fields}
        return out if self.bias is None else out | {"bias": self.bias, "bias_stderr": self.bias_stderr}

    def cells(self, with_bias: bool) -> list[str]:
        """The row's cells in the table, without quantity and method."""
        factor = shown(self.quantity).factor
        found = number(self.measured, factor, error=self.stderr)
        cells = [found, number(self.predicted, factor), percent(self.error(self.predicted)),
                 number(self.paper, factor), percent(self.error(self.paper))]  # fmt: skip
        return [*cells, number(self.bias, factor, error=self.bias_stderr)] if with_bias else cells


def predictions(record: xr.Dataset) -> dict[str, Prediction]:
    """The predicted equilibrium values that the record carries; none in a record without theory (a user's function)."""
    return {name: Prediction(**row) for name, row in json.loads(record.attrs.get("predictions", "{}")).items()}


def rows(record: xr.Dataset, bias: Mapping[str, estimators.Estimate] | None = None) -> list[Row]:
    """Measured equilibrium values beside the record's own predictions; the step-size bias where it was asked for."""
    window, known, out = estimators.window_of(record), predictions(record), []
    for name in QUANTITIES:
        found = estimators.equilibrium(record, window, name)
        shift = (bias or {}).get(name)
        more = {} if shift is None else {"bias": finite(shift.value), "bias_stderr": finite(shift.stderr)}
        out.append(Row.of(name, known.get(name, Prediction()), found.value, found.stderr, **more))
    return out


def finite(value: float | None) -> float | None:
    """The value as a plain float; None for None, nan and infinity."""
    return float(value) if value is not None and math.isfinite(value) else None


def number(value: float | None, factor: float = 1.0, error: float | None = None) -> str:
    """Six digits, or as many as a standard error with two digits leaves."""
    if value is None:
        return "-"
    value *= factor
    if not error or not math.isfinite(error):
        return f"{value:.6g}"
    error *= factor
    digits = 1 - math.floor(math.log10(error))
    if not 0 <= digits <= 8:
        return f"{value:.6g} ± {error:.1e}"
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def percent(value: float | None) -> str:
    """A relative error."""
    if value is None:
        return "-"
    shown = 100 * value
    return f"{shown:+.3f} %" if abs(shown) < 10 else f"{shown:+.3g} %"


def table(rows: Mapping[str, Iterable[Row]]) -> Table:
    """Rows of several methods, quantity by quantity, the methods under each other."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    by_method = {method: {row.quantity: row for row in of} for method, of in rows.items()}
    with_bias = any(row.bias is not None for of in by_method.values() for row in of.values())
    out = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("quantity", "method"):
        out.add_column(name, overflow="fold")
    for name in ("measured ± s.e.", "exact", "error", "paper", "error", *(["step bias"] if with_bias else [])):
        out.add_column(name, justify="right", overflow="fold")
    quantities = dict.fromkeys(q for of in by_method.values() for q in of)
    for quantity in quantities:
        label = shown(quantity).title
        for method, of in by_method.items():
            out.add_row(label.replace("[", r"\["), method, *of[quantity].cells(with_bias))
            label = ""
    return out
