"""Every layer reaches its predicted norm and turns by the same angle per step.

Wan et al.: at equilibrium each scale-invariant weight turns by sqrt(2 lr wd/(1+mu)) a step, whatever its gradients are,
and its norm follows from its own gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.findings.wan_equilibrium import Column, find, seen
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    import xarray as xr

SOURCE = "Wan et al. 2021, theorems on norm and angular update; theory.md 1.3, 4.3, 6.3, 9.2, 15.1"
EXPERIMENTS = ("wan-equilibrium",)


def draw(records: Records) -> Drawn:
    """Courses of the whole network and layers at the end over Wan's formula, a column a momentum."""
    record = records["wan-equilibrium"]
    columns = find(record)
    figure, axes = style.panels(len(columns), 4, width=4.6, height=2.4)
    axes = axes.reshape(4, len(columns))
    for j, column in enumerate(columns):
        _courses(axes[:2, j], record, column)
        _layers(axes[2:, j], column)
        axes[0, j].set_title(f"μ = {column.momentum:g}, lr = {column.lr:g}, wd = {column.wd:g}")
        axes[2, j].set_title("short lines: with the norm's drift", fontsize="medium")
    style.below(figure, axes[0, 0])
    return Drawn(figure, f"{networks.caption(record)}. {seen(columns)}")


def _courses(axes: np.ndarray, record: xr.Dataset, column: Column) -> None:
    names = {"weight_norm": "weight norm, all layers", "angle_step": "rms angle per step [deg]"}
    for axis, (quantity, name) in zip(axes, names.items(), strict=True):
        for series, cell in enumerate(column.cells):  # the SDE knows no order of samples
            networks.draw_course(axis, record, cell.index, quantity, series, cell.label, with_sde=not cell.reshuffled)
        axis.set(xlabel="epoch", ylabel=name, yscale="log")


def _layers(axes: np.ndarray, column: Column) -> None:
    layers = np.arange(1, column.cells[0].norm.shape[0] + 1)
    for series, cell in enumerate(column.cells):
        x = layers + 0.16 * (series - (len(column.cells) - 1) / 2)
        pairs = (cell.norm, cell.drifting_norm), (cell.angle, cell.drifting_angle)
        for axis, (measured, drifting) in zip(axes, pairs, strict=True):
            style.measured(axis, x, seed_mean(measured), seed_error(measured), i=series, band=False)
            axis.hlines(seed_mean(drifting), x - 0.09, x + 0.09, color=style.color(series), lw=1.1)
    for axis, name in zip(axes, ("norm", "angle per step"), strict=True):
        style.paper(axis, [0.5, layers[-1] + 0.5], [1, 1])
        axis.set(xlabel="layer, from the input on", ylabel=f"{name} / formula", xticks=layers)
