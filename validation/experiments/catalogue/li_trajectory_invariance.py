"""Loss curves at equal lr and at equal lr wd (Li et al. 2025)."""

from __future__ import annotations

import json
from itertools import pairwise
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


def scores(summary: xr.Dataset, method: str, key: str) -> np.ndarray:
    """`spread` of ln(training loss) in groups of equal `key`, seed by seed; of shape (seed, epoch + 2).

    About every epoch, over three of them; then over the windows of `collapse`.
    """
    mine = summary["method"].values == method
    curves = np.log(summary["train_loss"].transpose("seed", "cell", "epoch").values[:, mine].astype(float))
    epochs, groups = curves.shape[-1], summary[key].values[mine]
    windows = [slice(max(0, e - 1), e + 2) for e in range(epochs)] + list(ends(epochs).values())
    return np.array([[spread(of_seed[:, w], groups) for w in windows] for of_seed in curves])


def ends(epochs: int) -> dict[str, slice]:
    """Windows at the start and at the end of a run."""
    return {"first eighth": slice(0, max(1, epochs // 8)), "last quarter": slice(epochs - max(1, epochs // 4), None)}


def since(holds: np.ndarray) -> float:
    """Index from which something holds until the end; nan: not at the end."""
    broken = np.flatnonzero(~holds)
    first = float(broken[-1]) + 1 if broken.size else 0.0
    return first if first < holds.size else np.nan


def crossover(A: np.ndarray, B: np.ndarray, C: np.ndarray) -> float:
    """Index from which the curve B stays nearer to C than to A, on a logarithmic scale; nan: not by the end."""
    return since(np.abs(np.log(B / C)) < np.abs(np.log(B / A)))


def changes(summary: xr.Dataset, method: str, quantity: str) -> dict[tuple[float, float], np.ndarray]:
    """From which epoch a cell is nearer to its neighbour of equal lr wd, more lr than to that of equal lr, less wd.

    By the cell's factors of lr and wd, seed by seed, from means over three epochs; nan: not by the end. Empty for a
    method that lacks the quantity.
    """
    cells = zip(*(summary[name].values.tolist() for name in ("method", "lr_factor", "wd_factor")), strict=True)
    known, found = {cell: i for i, cell in enumerate(cells)}, {}
    for less, more in pairwise(FACTORS):
        for low, high in pairwise(FACTORS):
            triple = [known[method, lr, wd] for lr, wd in ((less, low), (less, high), (more, low))]
            logs = np.log(summary[quantity].transpose("cell", "seed", "epoch").values[triple].astype(float))
            if not np.isfinite(logs).all():
                return {}
            smooth = np.exp((logs[..., :-2] + logs[..., 1:-1] + logs[..., 2:]) / 3)
            found[less, high] = 2 + np.array([crossover(*smooth[:, seed]) for seed in range(smooth.shape[1])])
    return found


def collapse(summary: xr.Dataset) -> xr.Dataset:
    """Add the spread of ln(training loss) at equal lr and at equal product, over windows of the run, by method."""
    curves = np.log(summary["train_loss"].mean("seed").values)
    windows, found = ends(curves.shape[1]), {}
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
