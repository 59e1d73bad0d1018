"""From a record to comparison rows, notes and JSON; a record carries its own predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import estimators
from sde_si.comparison import Row, finite, predictions
from sde_si.estimators import window_of
from sde_si.record import configuration, diverged

if TYPE_CHECKING:
    import xarray as xr

PAPER = (
    "paper: Yun et al. eqs. 18, 27 (epoch), Wan et al. to first order (the rest), Kosson et al. (adam, adamw, lion); "
    "errors of a cosine are those of 1 - cos"
)


def notes(record: xr.Dataset) -> list[str]:
    """What a reader should know about a record's numbers."""
    out, known = [], predictions(record)
    if "weight_norm" in record:
        out += _measurement_notes(record)
    for text in dict.fromkeys(row.note for row in known.values() if row.value is None and row.note):
        names = ", ".join(name for name, row in known.items() if row.value is None and row.note == text)
        out.append(f"{names}: {text}")
    return out


def _measurement_notes(record: xr.Dataset) -> list[str]:
    made, window, out = configuration(record), window_of(record), []
    if made.get("method") == "em" and made.get("substeps") == 1:
        out.append("this is the discrete optimizer, not the SDE: one substep per step (theory.md 3.6)")
    dead = diverged(record)
    if dead:
        first = min(dead, key=lambda one: one["step"])
        out.append(
            f"{len(dead)} of {record.sizes['path']} paths diverged, the first at step {first['step']} "
            f"(path {first['path']}: {first['quantity']})"
        )
    if not window:
        out.append(f"not in equilibrium: {window.why}")
    else:
        if record.sizes["path"] - len(dead) < estimators.FEWEST_PATHS:
            out.append(f"standard errors from batch means over epochs: fewer than {estimators.FEWEST_PATHS} paths")
        if math.isnan(estimators.relaxation(record, window).value):
            why = "no clean approach from a small deviation (try --init-norm 0.8eq or 0.3eq)"
            out.append(f"time to equilibrium not measured: {why}")
    if made.get("noise") == "minibatch":
        out.append("noise: true minibatches")
    if made.get("noise") == "difference":
        out.append("noise: difference of two minibatches, exact covariance")
    return out


def _list(values: np.ndarray) -> list[float | None]:
    return [finite(v) for v in values]


def epochs_json(record: xr.Dataset) -> dict[str, Any]:
    """One value an epoch, measured and predicted."""
    count = record.sizes["epoch"]
    out: dict[str, Any] = {"epoch": list(range(1, count + 1))}
    nothing = (np.full(count, np.nan), np.full(count, np.nan))
    for name in ("cos_epoch", "weight_norm", "effective_lr", "angle_step", "loss"):
        values, errors = estimators.series(record, name) if "weight_norm" in record else nothing
        out[name] = _list(values)
        if name == "cos_epoch":
            out["cos_epoch_stderr"] = _list(errors)
        if name in ("cos_epoch", "weight_norm"):
            out[f"{name}_predicted"] = _list(record[f"{name}_predicted"].values)
    return out


def result_json(record: xr.Dataset, table: list[Row], /, **more: Any) -> dict[str, Any]:
    """Everything about one method; `more` (the record's path, reused, seconds) comes first."""
    window = window_of(record)
    start = float(record["weight_norm_initial"].sel(group="all").values.mean()) if "weight_norm" in record else None
    return more | {
        "paths": record.sizes.get("path"),
        "equilibrated": bool(window) if "weight_norm" in record else None,
        "equilibrated_epochs": [window.first, record.sizes["epoch"]] if window else None,
        "notes": notes(record),
        "equilibrium": {row.quantity: row.to_json() for row in table},
        "epochs": epochs_json(record),
        "weight_norm_initial": start,
    }


def lines(name: str, record: xr.Dataset, how: str = "") -> list[str]:
    """What is said below the table about one method."""
    known, out = predictions(record), []
    if how:
        window = window_of(record)
        out.append(f"{name}: {record.sizes['path']} paths, {how}{f'; {window.why}' if window else ''}")
    by_source: dict[tuple[str, str], list[str]] = {}
    by_note: dict[str, list[str]] = {}
    for quantity, row in known.items():
        if row.value is not None:
            by_source.setdefault((row.source, row.assumes), []).append(quantity)
            by_note.setdefault(row.note, []).append(quantity)
    for (source, assumes), quantities in by_source.items():
        out.append(f"{name}: exact {', '.join(quantities)}: {source}, assuming {assumes}")
    shifts = [f"{quantity} {100 * row.shift:+.1g} %" for quantity, row in known.items() if row.shift]
    if shifts:
        out.append(f"{name}: of this, finite dimension (2.7): {', '.join(shifts)}")
    out += [f"{name}: {', '.join(quantities)}: {note}" for note, quantities in by_note.items() if note]
    return out + [f"{name}: {note}" for note in notes(record)]


def print_tables(tables: dict[str, list[Row]], title: str, below: list[str]) -> None:
    """The comparison table and what is said below it, on stdout."""
    import sys

    from rich.console import Console

    from sde_si.comparison import table

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(title, highlight=False, soft_wrap=True)
    console.print(table(tables))
    for line in [*below, PAPER]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
