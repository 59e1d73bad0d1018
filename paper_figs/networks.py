"""Theory over the records of real networks: exact course, the paper's formula and the SDE for a cell's settings.

Layout of the records: `validation.experiments`. Their exact course is the recursion of the second moments (theory.md
9.10) with each epoch's measured squared gradient in the place of the noise trace (`validation.experiments.calibrated`):
what a network with that gradient would do if its steps were uncorrelated. What the measurement adds is correlation:
signal, confinement, reshuffling.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from paper_figs import phases, style
from sde_si.hyperparameters import HyperParameters

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

Array = np.ndarray
SHOWN = {
    "angle_epoch": ("angle per epoch [deg]", style.DEGREES),
    "angle_step": ("rms angle per step [deg]", style.DEGREES),
    "weight_norm": ("weight norm", 1.0),
    "effective_lr": ("effective LR [per step]", 1.0),
    "effective_lr_epoch": ("effective LR per epoch", 1.0),
    "train_loss": ("training loss", 1.0),
    "test_accuracy": ("test accuracy [%]", 100.0),
}


class Course(NamedTuple):
    """Predicted epoch by epoch, each of shape (epoch,); nan where the gradient was not measured."""

    angle_epoch: Array
    angle_step: Array
    weight_norm: Array


def pick(record: xr.Dataset, group: str = "all", **labels: Any) -> list[int]:
    """Indices of the cells with these labels, numbers to a part in 10^6; of no cell an empty list."""
    there = np.ones(record.sizes["cell"], bool)
    for name, wanted in labels.items():
        values = record[name].values
        there &= np.isclose(values, wanted, rtol=1e-6) if values.dtype.kind == "f" else values == wanted
    return [int(i) for i in np.flatnonzero(there)]


def mean_and_error(values: Array) -> tuple[Array, Array]:
    """Mean and standard error over seeds of values (seed, epoch); the error is nan with one seed."""
    count = np.isfinite(values).sum(axis=0)
    mean = np.where(count > 0, np.nansum(values, axis=0) / np.maximum(count, 1), np.nan)
    squares = np.nansum((values - mean) ** 2, axis=0) / np.maximum(count - 1, 1)
    return mean, np.where(count > 1, np.sqrt(squares / np.maximum(count, 1)), np.nan)


def of_cell(record: xr.Dataset, i: int, quantity: str, group: str = "all") -> Array:
    """A variable of one cell, shape (seed, epoch)."""
    values = record[quantity].isel(cell=i)
    if "group" in values.dims:
        values = values.sel(group=group)
    return values.transpose("seed", ...).values.astype(float)


@functools.lru_cache(maxsize=64)
def _settings(name: str, scale: str, digest: str) -> tuple[Mapping[str, Any], ...]:
    """Settings of an experiment's cells; none if the record is of another configuration."""
    from validation.experiments import EXPERIMENTS, current

    if name not in EXPERIMENTS or current(name, scale) != digest:
        return ()
    return tuple(cell.settings for cell in EXPERIMENTS[name].cells(scale))


def hyperparameters(record: xr.Dataset, i: int) -> HyperParameters:
    """Of one cell, with its schedule; "constant" where a record of another configuration does not tell it."""
    from validation.experiments.setups import hyperparameters as of_settings

    known = _settings(*(record.attrs[key] for key in ("experiment", "scale", "digest")))
    if known:
        return of_settings(known[i]).replace(epochs=phases.epochs(record, i))
    cell, setup = record.isel(cell=i), json.loads(record.attrs.get("setup", "{}"))
    plain = {name: float(cell[name]) for name in ("lr", "wd", "momentum")}
    schedule = setup.get("schedule", "constant")
    return HyperParameters(
        N=int(cell["N"]), B=int(cell["B"]), epochs=phases.epochs(record, i), schedule=schedule, **plain
    )


def exact(record: xr.Dataset, i: int, group: str = "all") -> Course:
    """The record's own exact prediction, mean over seeds; nan where it has none."""
    rows = (f"{name}_predicted" for name in Course._fields)
    nothing = np.full(record.sizes["epoch"], np.nan)
    return Course(*(mean_and_error(of_cell(record, i, row, group))[0] if row in record else nothing for row in rows))


def predicted(record: xr.Dataset, i: int, quantity: str, group: str = "all") -> Array:
    """A quantity, effective learning rates too, as `exact` has it: seed by seed, then the mean, shape (epoch,)."""
    shown = from_norm(record, i, quantity)
    name = f"{'weight_norm' if shown else quantity}_predicted"
    if name not in record:
        return np.full(record.sizes["epoch"], np.nan)
    values = of_cell(record, i, name, group)
    return mean_and_error(shown(values) if shown else values)[0]


def noise_trace(record: xr.Dataset, i: int) -> float:
    """Noise trace of `late` epochs; where none was recorded the squared gradient, signal and all, stands for it."""
    names = [name for name in ("noise_trace", "gradient") if name in record]
    found = (of_cell(record, i, name)[:, phases.late(record, i)] for name in names)
    return next((float(np.nanmean(values)) for values in found if np.isfinite(values).any()), math.nan)


def sde(record: xr.Dataset, i: int, quantity: str, paths: int = 16) -> Array | None:
    """A quantity by the SDE of noise alone at the cell's settings, with a constant `noise_trace`.

    Of shape (epoch,); None without weight decay, and for an optimizer that the SDE does not stand for.
    """
    hp, known = hyperparameters(record, i), _settings(*(record.attrs[key] for key in ("experiment", "scale", "digest")))
    trace = noise_trace(record, i)
    start = float(np.nanmean(of_cell(record, i, "weight_norm_initial")))
    plain = not known or known[i].get("optimizer", "sgd") == "sgd"
    if not plain or hp.wd == 0 or not math.isfinite(trace + start):
        return None
    from sde_si import estimators

    out = np.full(record.sizes["epoch"], np.nan)
    out[: hp.epochs] = estimators.series(_simulated(hp, trace, start, i, paths), quantity)[0]
    return out


@functools.lru_cache(maxsize=256)
def _simulated(hp: HyperParameters, trace: float, start: float, seed: int, paths: int) -> xr.Dataset:
    """Record of the SDE; figures that show several of its quantities, or the same cell, simulate once."""
    from sde_si.simulate.session import Session
    from sde_si.verify.claims.common import run

    dim = 64
    settings = {name: getattr(hp, name) for name in ("N", "B", "lr", "wd", "momentum", "epochs", "schedule")}
    session = Session(run(**settings, dim=dim, paths=paths, method="splitting", init_norm=start, seed=seed,
                          parameters={"noise_scale": trace * hp.B / (dim - 1)}))  # fmt: skip
    session.advance()
    return session.record()


def draw_course(
    axis: Axes, record: xr.Dataset, i: int, quantity: str, series: int, label: str | None = None, *, group: str = "all",
    with_sde: bool = True, with_paper: bool = True,
) -> None:  # fmt: skip
    """One cell's course over epochs: measured, and every prediction there is of this quantity."""
    unit, epoch = SHOWN[quantity][1], record["epoch"].values
    mean, error = mean_and_error(of_cell(record, i, quantity, group))
    style.measured(axis, epoch, unit * mean, unit * error, i=series, label=label)
    shown = from_norm(record, i, quantity)
    base = "weight_norm" if shown else quantity
    if base not in Course._fields:
        return
    style.exact(axis, epoch, unit * predicted(record, i, quantity, group), i=series)
    shown = shown or (lambda values: values)
    simulated = sde(record, i, base) if with_sde else None
    if simulated is not None:
        style.sde(axis, epoch, unit * shown(simulated), i=series, points=12)
    if with_paper:
        style.paper(axis, epoch, unit * shown(formula(record, i, base, group)), i=series, lw=0.8)


def from_norm(record: xr.Dataset, i: int, quantity: str) -> Callable[[Array], Array] | None:
    """How an effective learning rate follows from the norm; None for what is no effective learning rate."""
    if quantity not in ("effective_lr", "effective_lr_epoch"):
        return None
    cell = record.isel(cell=i)
    rate = cell["lr_end"].values * (cell["steps_per_epoch"].values if quantity == "effective_lr_epoch" else 1)
    return lambda norm: rate / norm**2


def formula(record: xr.Dataset, i: int, quantity: str, group: str = "all") -> Array:
    """The papers' equilibrium values for each epoch's own rate; of the norm with the gradient of `late` epochs.

    Yun et al. eqs. 18, 27 for the angle per epoch, Wan et al. for the other two; nan without weight decay.
    """
    hp, lr = hyperparameters(record, i), record["lr_end"].isel(cell=i).values.astype(float)
    if quantity == "angle_epoch":
        return record["angle_epoch_paper"].isel(cell=i).values
    if hp.wd == 0:
        return np.full(lr.size, np.nan)
    if quantity == "angle_step":
        return np.sqrt(2 * lr * hp.wd / (1 + hp.momentum))
    heat = float(np.nanmean(of_cell(record, i, "gradient", group)[:, phases.late(record, i)]))
    return (lr * heat / (2 * hp.wd * (1 - hp.momentum))) ** 0.25


def ratio(record: xr.Dataset, i: int) -> float:
    """Measured 1 - cos per epoch after the transient over the exact prediction of it."""
    some = phases.late(record, i)
    measured = 2 * np.sin(mean_and_error(of_cell(record, i, "angle_epoch"))[0][some] / 2) ** 2
    said = 2 * np.sin(exact(record, i).angle_epoch[some] / 2) ** 2
    return float(np.nanmean(measured) / np.nanmean(said)) if measured.size else math.nan


def caption(record: xr.Dataset) -> str:
    """Which data these are."""
    setup, made = (json.loads(record.attrs.get(key, "{}")) for key in ("setup", "provenance"))
    network, data = setup.get("network", "several networks"), setup.get("data", "several data sets")
    said = f"{network} on {data}, scale {record.attrs['scale']}"
    seeds, runs = record.sizes["seed"], made.get("runs", 0)
    said += f", {seeds} seed{'s' * (seeds != 1)}"
    return said + (f", {runs} runs" if runs else "")


def combination(record: xr.Dataset, i: int) -> str:
    """N, B, lr, wd of a cell, for a legend."""
    return ", ".join(f"{float(record[name][i]):.3g}" if name in ("lr", "wd") else f"{float(record[name][i]):g}"
                     for name in ("N", "B", "lr", "wd"))  # fmt: skip
