"""The grids of Yun et al.'s tables: a base lr and wd, rows upwards by factors of 2, columns by N or B."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from validation.experiments.base import Cell, cell
from validation.experiments.setups import YUN, hyperparameters

PARTS = ("lr", "wd", "both")  # (a), (b), (c) of every table


@dataclass(frozen=True)
class Grid:
    """The tables at one scale.

    Attributes
    ----------
    rows : int
        Each has lr, wd twice (both: times sqrt 2) that of the one before.
    samples : tuple of int
        N of the columns at fixed B.
    batches : tuple of int
        B of the columns at fixed N.
    batch, fixed_N : int
        The fixed ones.
    factor : float
        Tuning factor of the cells that the paper colours: those it expects to be best.
    products : tuple of int
        B of the table at fixed lr and wd.
    product_wd : float
        Its wd: that of the coloured cell at the fixed B and the middle N.
    """

    rows: int
    samples: tuple[int, ...]
    batches: tuple[int, ...]
    batch: int
    fixed_N: int
    factor: float
    products: tuple[int, ...]
    product_wd: float


# At the paper's scale its own; the smaller ones have the same shape around the best cell of the or a tried run.
GRIDS = {
    "tiny": Grid(2, (64, 128), (32, 16), 16, 128, 0.1024, (16, 32), 0.0256),
    "cpu": Grid(6, (512, 1024, 2048), (128, 64, 32), 64, 1024, 0.0512, (32, 64, 128, 256), 0.0032),
    "gpu": Grid(5, (3125, 6250, 12_500), (512, 256, 128), 128, 6250, 10 / 128, (64, 128, 256, 512), 0.0016),
    "full": Grid(
        7, (3125, 6250, 12_500, 25_000, 50_000), (2048, 1024, 512, 256, 128), 128, 50_000, 10 / 128,
        (32, 64, 128, 256, 512, 1024, 2048), 0.0016,
    ),
}  # fmt: skip
SGD = {"momentum": 0.0, "lr": 1.0}  # the paper's base without momentum: the same tuning factors


def scaled(lr: float, wd: float, part: str, row: int) -> dict[str, float]:
    """Learning rate and weight decay of a row."""
    by = 2.0**row
    return {
        "lr": {"lr": lr * by, "wd": lr, "both": lr * by**0.5}[part],
        "wd": {"lr": wd, "wd": wd * by, "both": wd * by**0.5}[part],
    }


def _labelled(base: Mapping[str, Any], changes: Mapping[str, Any], grid: Grid, part: str, row: int) -> Cell:
    made = cell(base, changes)
    near = abs(hyperparameters(made.settings).tuning_factor / grid.factor - 1) < 0.01
    return Cell(made.settings, {"what_changed": part, "row": float(row), "constant_factor": float(near)})


def columns(
    scale: str, axis: str, changes: Mapping[str, Any] | None = None, parts: Iterable[str] = PARTS
) -> list[Cell]:
    """A table: its parts, their rows, and columns by `axis` ("N" at fixed B, "B" at fixed N)."""
    grid, base = GRIDS[scale], {**YUN[scale], **(changes or {})}
    if axis == "N":
        across: list[dict[str, Any]] = [{"N": N, "B": grid.batch} for N in grid.samples]
    else:
        across = [{"N": grid.fixed_N, "B": B} for B in grid.batches]
    return [
        _labelled(base, column | scaled(base["lr"], base["wd"], part, row), grid, part, row)
        for part in parts
        for row in range(grid.rows)
        for column in across
    ]


def at_fixed_product(scale: str) -> list[Cell]:
    """Table 5: N against B at one lr and wd."""
    grid, base = GRIDS[scale], YUN[scale]
    return [
        _labelled(base, {"N": N, "B": B, "wd": grid.product_wd}, grid, "B", row)
        for row, B in enumerate(grid.products)
        for N in grid.samples
    ]


# N, B and what is tuned, in units of the largest N and of the fixed B; the paper's six combinations
_COMBINATIONS = ((1, 2, "lr"), (1, 2, "wd"), (1, 8, "both"), (1 / 2, 1, "lr"), (1 / 4, 1, "wd"), (1 / 8, 1, "both"))


def combinations(scale: str) -> list[Cell]:
    """The six searches of section 3.2: labels `combination` and what is tuned."""
    grid, base = GRIDS[scale], YUN[scale]
    made = []
    for number, (share, times, part) in enumerate(_COMBINATIONS, start=1):
        size = {"N": int(grid.samples[-1] * share), "B": grid.batch * (times if scale == "full" else min(times, 4))}
        for row in range(grid.rows):
            one = _labelled(base, size | scaled(base["lr"], base["wd"], part, row), grid, part, row)
            made.append(Cell(one.settings, {**one.labels, "combination": float(number)}))
    return made


@cache
def _numbers() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "yun2022.json").read_text())


def paper(table: int) -> dict[str, Any]:
    """The paper's own table, with its source."""
    whole = _numbers()
    source = f"{whole['source']}, table {table}"
    return {"source": source, "unit": whole["unit"], "rows": whole["rows"], **whole["tables"][str(table)]}
