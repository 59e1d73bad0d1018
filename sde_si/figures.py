"""The figure of the main job: angle per epoch, norm and effective LR, measured beside predicted, from records alone."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import estimators
from sde_si.comparison import predictions
from sde_si.quantities import shown
from sde_si.record import configuration
from sde_si.style import save, styled
from sde_si.theory import Prediction

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "os^Dv<>P"
PANELS = ("angle_epoch", "weight_norm", "effective_lr")


def overlay(records: Mapping[str, xr.Dataset]) -> Figure:
    """Draw records over each other.

    Points are means over paths with their standard errors, the band holds 80 % of the paths, a line is the exact
    prediction, a dashed line the papers' first-order one.
    """
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        axes = figure.subplots(1, len(PANELS))
        for axis, quantity in zip(axes, PANELS, strict=True):
            for i, (name, record) in enumerate(records.items()):
                _draw(axis, i, name, record, quantity, shown(quantity).factor)
            axis.set(xlabel="epoch", ylabel=shown(quantity).title)
            axis.margins(y=0.15)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)))
        figure.suptitle(_title(records), fontsize="medium")
    return figure


def _draw(axis: Axes, i: int, name: str, record: xr.Dataset, quantity: str, factor: float) -> None:
    color, epoch = f"C{i}", record["epoch"].values
    paths = estimators.values(record, quantity) * factor
    alive = paths[np.isfinite(paths).all(axis=1)]
    if alive.shape[0] > 1:
        low, high = np.quantile(alive, [0.1, 0.9], axis=0)
        axis.fill_between(epoch, low, high, color=color, alpha=0.15, lw=0, label=None if i else "80 % of the paths")
    mean, error = estimators.series(record, quantity)
    every = max(1, epoch.size // 40)
    axis.errorbar(
        epoch[::every], factor * mean[::every], factor * error[::every], fmt=MARKERS[i % len(MARKERS)], color=color,
        label=f"{name}, measured", markersize=3.5 - 0.7 * (i % 3), zorder=3,
    )  # fmt: skip
    predicted = record.get(f"{quantity}_predicted")
    if predicted is not None and np.isfinite(predicted).any():
        predicted = predicted.values * factor
        axis.plot(epoch, predicted, color=color, label=f"{name}, exact")
    paper = _paper(record, quantity) * factor
    if i == 0 and np.isfinite(paper).any():
        axis.plot(epoch, paper, color="0.35", ls="--", label="papers, first order", zorder=1)


def _paper(record: xr.Dataset, quantity: str) -> np.ndarray:
    """The papers' curve: epoch by epoch for the angle, the equilibrium value for the rest."""
    if quantity == "angle_epoch" and "angle_epoch_paper" in record:
        return record["angle_epoch_paper"].values
    value = predictions(record).get(quantity, Prediction()).paper
    return np.full(record.sizes["epoch"], np.nan if value is None else value)


def _title(records: Mapping[str, xr.Dataset]) -> str:
    """What all the records have in common."""
    made: list[dict[str, Any]] = [configuration(record) for record in records.values()]
    keys = ("loss", "network", "data", "optimizer", "dim", "N", "B", "lr", "wd", "momentum", "schedule")
    return "  ".join(f"{k}={made[0][k]}" for k in keys if k in made[0] and all(m.get(k) == made[0][k] for m in made))


def overlay_figure(records: Mapping[str, xr.Dataset], folder: Path, *, stem: str = "") -> Path:
    """Draw records over each other and save the picture; returns its path, which their digests decide without `stem`.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    digests = [record.attrs.get("digest", "") for record in records.values()]
    made = "".join(digests) or "".join(record.attrs["configuration"] for record in records.values())
    name = digests[0] if digests[0] and len(digests) == 1 else hashlib.sha256(made.encode()).hexdigest()

    return save(lambda: overlay(records), folder / f"{stem or f'simulate-{name[:12]}'}.png")
