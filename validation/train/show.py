"""A training's record as a table and as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.comparison import finite, predictions, rows, table
from sde_si.estimators import epoch_estimate, window_of
from sde_si.record import configuration, diverged

if TYPE_CHECKING:
    import xarray as xr

    from validation.train.job import Job


def _last(record: xr.Dataset, name: str) -> dict[str, float | None]:
    """Mean over seeds at the last epoch, with its standard error."""
    found = epoch_estimate(record, name, record.sizes["epoch"])
    return {"value": finite(found.value), "stderr": finite(found.stderr)}


def result_json(record: xr.Dataset, path: Path, figure: Path | None, *, reused: bool) -> dict[str, Any]:
    """Everything about one training."""
    window = window_of(record)
    return {
        "record": str(path),
        "figure": str(figure) if figure else None,
        "reused": reused,
        "configuration": configuration(record),
        "groups": [str(g) for g in record["group"].values],
        "seeds": record.sizes["path"],
        "epochs": record.sizes["epoch"],
        "equilibrated_epochs": [window.first, record.sizes["epoch"]] if window else None,
        "equilibrium": {row.quantity: row.to_json() for row in rows(record)},
        "final": {name: _last(record, name) for name in ("train_loss", "test_loss", "test_accuracy")},
        "diverged": diverged(record),
    }


def show(job: Job, record: xr.Dataset, path: Path, figure: Path | None) -> None:
    """The comparison table and what is to be known, on stdout."""
    from rich.console import Console

    hp, window = job.hyperparameters, window_of(record)
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(
        f"{job.network} on {job.data}: N={hp.N} B={hp.B} lr={hp.lr:g} wd={hp.wd:g} momentum={hp.momentum:g} "
        f"schedule={hp.schedule} {job.optimizer}, {job.sampling}; tuning factor {record.attrs['tuning_factor']:.4g} "
        "per epoch", highlight=False, soft_wrap=True,
    )  # fmt: skip
    console.print(table({job.optimizer: rows(record)}))
    known = predictions(record)
    lines = [f"{record.sizes['path']} seeds, {record.sizes['epoch']} epochs; {window.why or 'no equilibrium'}"]
    lines += sorted({f"{row.source}, assuming {row.assumes}" for row in known.values() if row.value is not None})
    for name in ("train_loss", "test_loss", "test_accuracy"):
        found = _last(record, name)
        value, error = found["value"], found["stderr"]
        shown = "-" if value is None else f"{value:.4f}" + (f" ± {error:.4f}" if error else "")
        lines.append(f"{name.replace('_', ' ')} at the end: {shown}")
    lines += [f"seed {d['path']} diverged at step {d['step']}: {d['quantity']}" for d in diverged(record)]
    lines += [f"record: {path}"] + ([f"figure: {figure}"] if figure else [])
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
