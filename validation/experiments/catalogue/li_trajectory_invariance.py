"""Loss curves at equal lr and at equal lr wd (Li et al. 2025)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from validation.experiments.base import Cell, Experiment, cell
from validation.experiments.setups import STEADY

if TYPE_CHECKING:
    import xarray as xr

# optimizer -> middle (lr, wd); both are changed by these factors
FACTORS = (0.25, 1.0, 4.0)
MIDDLE = {"adamw": (4e-3, 0.25), "sgd": (0.2, 2.5e-4)}


def cells(scale: str) -> list[Cell]:
    """Method x lr x wd, constant learning rate."""
    base = STEADY[scale]
    return [
        cell(
            base,
            {"lr": lr * a, "wd": wd * b} | ({} if method == "sgd" else {"optimizer": method, "beta2": 0.95}),
            method="sgdm" if method == "sgd" else method, lr_factor=a, wd_factor=b, product=a * b,
        )
        for method, (lr, wd) in MIDDLE.items()
        for a in FACTORS
        for b in FACTORS
    ]  # fmt: skip


def spread(curves: np.ndarray, groups: np.ndarray) -> float:
    """Root mean square distance of curves (cell, epoch) from their group's mean, over that from the mean of all.

    0: the curves of a group are one; 1: the groups mean nothing. Groups of one curve do not count; each group's squares
    are divided by its degrees of freedom.
    """
    within, freedom = 0.0, 0
    for value in np.unique(groups):
        mine = curves[groups == value]
        if len(mine) > 1:
            within += float(((mine - mine.mean(0)) ** 2).sum())
            freedom += (len(mine) - 1) * mine.shape[1]
    total = float(((curves - curves.mean(0)) ** 2).sum()) / ((len(curves) - 1) * curves.shape[1])
    return float(np.sqrt(within / freedom / total)) if freedom and total > 0 else float("nan")


def collapse(summary: xr.Dataset) -> xr.Dataset:
    """Add the spread of ln(training loss) at equal lr and at equal product, over windows of the run, by method."""
    curves = np.log(summary["train_loss"].mean("seed").values)
    epochs = curves.shape[1]
    windows = {"first eighth": slice(0, max(1, epochs // 8)), "last quarter": slice(epochs - max(1, epochs // 4), None)}
    found = {}
    for method in np.unique(summary["method"].values):
        mine = np.flatnonzero((summary["method"].values == method) & np.isfinite(curves).all(1))
        found[str(method)] = {
            name: {key: spread(curves[mine][:, w], summary[key].values[mine]) for key in ("lr_factor", "product")}
            for name, w in windows.items()
        }
    summary.attrs["collapse"] = json.dumps(found, sort_keys=True)
    return summary


EXPERIMENT = Experiment(
    title="Loss curves of AdamW and SGDM collapse at equal lr early and at equal lr wd late",
    source="Li et al. 2025; theory.md 7.8",
    question="Is the spread of the curves within groups of equal lr small at the start, and within groups of equal "
    "lr wd at the end, with the crossover at about 1/(2 lr wd) steps (SGDM: 1/(4 lr wd/(1 - momentum)))?",
    cells=cells,
    figures=("li-trajectory-invariance",),
    paper={
        "source": "Li et al. 2025, abstract; theory.md 7.8",
        "claim": "language model of 164M parameters; curves at equal lr wd overlap late, at equal lr early",
    },
    derive=collapse,
)
