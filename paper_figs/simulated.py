"""Records of a script's own simulations: summaries over cells and epochs, committed, with what decided them.

The layout is that of the experiments' records: dimension ``cell`` with the hyperparameters as coordinates, then
``epoch`` and ``lag``. Paths are summed up: ``NAME`` is the mean, ``NAME_stderr`` its standard error.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from paper_figs.scripts import Script
from sde_si.errors import Damaged
from sde_si.provenance import provenance
from sde_si.record import read, save
from sde_si.run import Run, sha256
from sde_si.terminal import Progress, say

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
FOLDER = Path(__file__).parent / "records"
COURSES = ("angle_epoch", "angle_step", "weight_norm", "effective_lr", "loss", "signal")
LEVELS = ("versine_epoch", "angle_step", "weight_norm", "signal")
Array = np.ndarray


def configuration(script: Script) -> dict[str, Any]:
    """What decides a script's simulations, as plain JSON types."""
    module = script.module
    if hasattr(module, "runs"):
        kept = list(getattr(module, "KEEP", ()))
        return {"kept": kept, "runs": {name: run.configuration() for name, run in module.runs().items()}}
    return module.configuration()


def digest(script: Script) -> str:
    """Of the present configuration; a record that carries another one does not belong to it."""
    content = json.dumps({"format": FORMAT, "script": script.name, "configuration": configuration(script)})
    # Lengths at the start come out of a solver: its last digits differ from machine to machine.
    rounded = json.loads(content, parse_float=lambda text: float(f"{float(text):.9g}"))
    return sha256(json.dumps(rounded, sort_keys=True).encode())


def path(script: Script) -> Path:
    """Where the record is committed."""
    return FOLDER / f"{script.name}.nc"


def load(script: Script) -> xr.Dataset | None:
    """The committed record; None if there is none.

    Raises
    ------
    DiskProblem
        If it cannot be read, is damaged, or is that of another script.
    """

    def check(record: xr.Dataset) -> None:
        found = record.attrs["experiment"]
        if found != script.name:
            raise Damaged(f"the record of {found}, not of {script.name}")

    file = path(script)
    advice = f"restore it, or make it again: {_command(script)}"
    return read(file, check, advice=advice) if file.exists() else None


def recompute(script: Script, quiet: bool = False) -> xr.Dataset:
    """Simulate, and write the record.

    Raises
    ------
    DiskProblem
        If it cannot be written.
    """
    begin = time.perf_counter()
    module = script.module
    if hasattr(module, "runs"):
        record = collect(module.runs(), script.name, quiet, keep=getattr(module, "KEEP", ()))
    else:
        record = module.measure()
    seconds = round(time.perf_counter() - begin, 1)
    record.attrs |= {
        "experiment": script.name,
        "scale": "simulated",
        "digest": digest(script),
        "command": _command(script),
        "provenance": json.dumps(provenance(seconds=seconds), sort_keys=True),
    }
    save(record, path(script))
    say(f"{script.name}: simulated in {seconds:g} s, {path(script).stat().st_size / 1024:.0f} KiB", quiet)
    return record


def _command(script: Script) -> str:
    return f"python -m paper_figs {script.name} --recompute"


def collect(
    runs: Mapping[str, Run], name: str = "simulation", quiet: bool = True, keep: Sequence[str] = ()
) -> xr.Dataset:
    """Simulate and sum up, one cell a run; what a shorter run or one without lags lacks is nan.

    Parameters
    ----------
    runs : mapping of str to Run
    name : str
        Shown while it works.
    quiet : bool
    keep : sequence of str
        Variables, with their standard errors; none: all.
    """
    import xarray as xr

    from sde_si.simulate.session import Session

    cells = []
    with Progress(name, sum(run.paths * float(run.timetable.start[-1]) for run in runs.values()), quiet) as progress:
        for run in runs.values():
            session = Session(run, progress=progress.advance)
            session.advance()
            cells.append(summary(session.record(), keep))
    epochs = max(run.hyperparameters.epochs for run in runs.values())
    lags = sorted({lag for run in runs.values() for lag in run.lags})
    data: dict[str, Any] = {}
    for key in sorted({key for cell in cells for key in cell}):
        dims, size = _layout(key, epochs, len(lags))
        rows = np.full((len(cells), *size), np.nan)
        for k, (cell, run) in enumerate(zip(cells, runs.values(), strict=True)):
            if key in cell and "lag" in dims:
                rows[k, [lags.index(lag) for lag in run.lags]] = cell[key]
            elif key in cell and "epoch" in dims:
                rows[k, : cell[key].size] = cell[key]
            elif key in cell:
                rows[k] = cell[key]
        data[key] = (dims, rows.astype(np.float32))  # a figure shows no more digits
    coordinates = {"cell": np.array(list(runs)), "epoch": np.arange(1, epochs + 1, dtype=np.int32)}
    if lags:
        coordinates["lag"] = np.array(lags, dtype=np.int32)
    return xr.Dataset(data, coordinates | labels(runs))


def _layout(key: str, epochs: int, lags: int) -> tuple[tuple[str, ...], tuple[int, ...]]:
    if key.startswith("versine_lag"):
        return ("cell", "lag"), (lags,)
    return (("cell",), ()) if "_level" in key else (("cell", "epoch"), (epochs,))


def labels(runs: Mapping[str, Run]) -> dict[str, Any]:
    """Coordinates of the cells: hyperparameters, schedule, method."""
    hps = [run.hyperparameters for run in runs.values()]
    out: dict[str, Any] = {key: ("cell", np.array([getattr(hp, key) for hp in hps], dtype=float))
                           for key in ("N", "B", "lr", "wd", "momentum", "tuning_factor")}  # fmt: skip
    out["schedule"] = ("cell", np.array([hp.schedule for hp in hps]))
    out["method"] = ("cell", np.array([run.method.name for run in runs.values()]))
    return out


def summary(record: xr.Dataset, keep: Sequence[str] = ()) -> dict[str, Array]:
    """Means and standard errors: epoch by epoch, at equilibrium (``_level``), and at every lag at equilibrium."""
    from sde_si import estimators

    out: dict[str, Array] = {}
    for name in (name for name in COURSES if name in record and (not keep or name in keep)):
        out[name], out[f"{name}_stderr"] = estimators.series(record, name)
    window = estimators.window_of(record)
    for name in LEVELS:
        if (name in record or name == "versine_epoch") and (not keep or f"{name}_level" in keep):
            found = estimators.equilibrium(record, window, name)
            out[f"{name}_level"], out[f"{name}_level_stderr"] = np.array(found.value), np.array(found.stderr)
    if "lag" in record and (not keep or "versine_lag" in keep):
        versines = [estimators.lag_versine(record, window, int(lag)) for lag in record["lag"].values]
        out["versine_lag"] = np.array([one.value for one in versines])
        out["versine_lag_stderr"] = np.array([one.stderr for one in versines])
    return out
