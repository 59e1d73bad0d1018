"""The tables of Yun et al. from a record and from the paper, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from paper_figs.grid import Grid, rank_correlation
from paper_figs.quantified import at_end, columns, leading_by_chance, off_by_chance, slope
from paper_figs.seeds import Interval, seed_error, seed_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

Array = np.ndarray
TITLES = {"lr": "lr tuned", "wd": "wd tuned", "both": "lr and wd tuned", "B": "fixed lr and wd"}
FACTOR = 10 / 128  # of the paper's coloured cells


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part, (a), (b) or (c), of a table.

    Attributes
    ----------
    tuned : str
        ``lr``, ``wd``, ``both`` or ``B``.
    across : str
        ``N`` or ``B``.
    lr, wd, B, N : ndarray, shape (row, column)
    accuracy : ndarray, shape (row, column, seed)
        Per cent, at the end; nan where a run diverged.
    marked : ndarray of bool, shape (row, column)
    offset : ndarray, shape (row, column)
        log2 of the tuning factor over that of the marked cells.
    """

    tuned: str
    across: str
    lr: Array
    wd: Array
    B: Array
    N: Array
    accuracy: Array
    marked: Array
    offset: Array

    @property
    def mean(self) -> Array:
        """Over seeds, shape (row, column); nan where one diverged."""
        return seed_mean(self.accuracy)

    @property
    def stderr(self) -> Array:
        """Of the mean; nan with one seed."""
        return seed_error(self.accuracy)

    @property
    def lost(self) -> Array:
        """What stands in the place of a mean: how many runs of a cell diverged; shape (row, column), of str."""
        dead, seeds = (~np.isfinite(self.accuracy)).sum(axis=2), self.accuracy.shape[2]
        said = np.where(dead == seeds, "diverged", np.char.add(dead.astype(str), f" of {seeds} diverged"))
        return np.where((dead > 0) & np.isfinite(self.lr), said, "")

    @property
    def column_values(self) -> Array:
        """N or B of the columns."""
        return (self.N if self.across == "N" else self.B)[0]

    @property
    def grid_values(self) -> Array:
        """The tuned hyperparameter of the rows; of ``both`` the weight decay."""
        return {"lr": self.lr, "wd": self.wd, "both": self.wd, "B": self.B}[self.tuned][:, 0]

    def grid(self, title: str) -> Grid:
        """As a table to print."""
        if self.tuned == "B":
            corner, rows = "B \\ N", [f"{b:g}" for b in self.B[:, 0]]
        else:
            corner = f"lr, wd \\ {self.across}"
            rows = [f"{a:.4g}, {b:.4g}" for a, b in zip(self.lr[:, 0], self.wd[:, 0], strict=True)]
        heads = tuple(f"{v:g}" for v in self.column_values)
        return Grid(title=title, corner=corner, rows=tuple(rows), columns=heads, value=self.mean, stderr=self.stderr,
                    marked=self.marked, instead=self.lost)  # fmt: skip

    def slope(self) -> Interval:
        """Of log(best) against log of N or B, over all columns."""
        return slope(self.accuracy, self.grid_values, self.column_values)

    def off_by_chance(self) -> float:
        """Expected number of columns said to be off the diagonal if all cells of each were alike."""
        seeds = self.accuracy.shape[2]
        return sum(off_by_chance(rows, marked, seeds) for rows, marked in self._sizes)

    def leading(self, places: int) -> tuple[int, float]:
        """Columns in which the diagonal has one of the best `places` cells, and as many by chance if all were alike."""
        found = sum(0 < one.rank <= places for one in columns(self.accuracy, self.marked))
        return found, sum(self.chances(places))

    def behind(self, places: int) -> list[str]:
        """Columns in which the diagonal has none of the best `places` cells, with the rank of its best."""
        ranks = [one.rank for one in columns(self.accuracy, self.marked)]
        return [f"{self.across} = {value:g} ({f'place {rank}' if rank else 'no cell'})"
                for value, rank in zip(self.column_values, ranks, strict=True) if not 0 < rank <= places]  # fmt: skip

    def chances(self, places: int) -> list[float]:
        """Of every column, how likely the diagonal is among the best `places` if all cells are alike."""
        return [leading_by_chance(rows, marked, places) for rows, marked in self._sizes]

    @property
    def _sizes(self) -> list[tuple[int, int]]:
        """Of every column the cells with a number, and those of them on the diagonal."""
        there = np.isfinite(self.mean)
        return list(zip(there.sum(axis=0).tolist(), (there & self.marked).sum(axis=0).tolist(), strict=True))

    @property
    def expected_slope(self) -> float:
        """What a constant tuning factor says; of ``both`` each takes half."""
        sign = {"N": -1.0, "B": 1.0}[self.across]
        return {"lr": sign, "wd": sign, "both": sign / 2, "B": 1.0}[self.tuned]


def paper_of(record: xr.Dataset) -> Mapping[str, Any]:
    """The paper's own table, as the experiment has it now."""
    from validation.experiments import EXPERIMENTS

    return EXPERIMENTS[record.attrs["experiment"]].paper


def final_accuracy(record: xr.Dataset) -> Array:
    """Test accuracy at the end, per cent, shape (cell, seed); nan where the run diverged."""
    values = record["test_accuracy"].transpose("cell", "seed", "epoch").values
    filled = np.full(values.shape[:2], np.nan)
    for e in range(values.shape[2]):  # the last epoch with a number
        filled = np.where(np.isfinite(values[:, :, e]), values[:, :, e], filled)
    dead = record["diverged_step"].transpose("cell", "seed").values >= 0
    return 100 * np.where(dead, np.nan, filled)


def ours(record: xr.Dataset) -> dict[str, Part]:
    """The parts of a record's table by what was tuned."""
    across = paper_of(record)["columns"]
    accuracy, out = final_accuracy(record), {}
    for tuned in dict.fromkeys(record["what_changed"].values.tolist()):
        cells = np.flatnonzero(record["what_changed"].values == tuned)
        rows, row = np.unique(record["row"].values[cells], return_inverse=True)
        values, column = np.unique(record[across].values[cells], return_inverse=True)
        if across == "B":
            values, column = values[::-1], values.size - 1 - column  # as the paper: large batches first
        shape = (rows.size, values.size)
        taken: dict[str, Array] = {}
        for name in ("lr", "wd", "B", "N", "tuning_factor", "constant_factor"):
            taken[name] = np.full(shape, np.nan)
            taken[name][row, column] = record[name].values[cells]
        seeds = np.full((*shape, accuracy.shape[1]), np.nan)
        seeds[row, column] = accuracy[cells]
        marked = taken.pop("constant_factor") > 0
        factor = taken.pop("tuning_factor")
        base = np.nanmean(factor[marked]) if marked.any() else np.nan
        out[str(tuned)] = Part(tuned=str(tuned), across=across, accuracy=seeds, marked=marked,
                               offset=np.log2(factor / base), **taken)  # fmt: skip
    return out


def theirs(paper: Mapping[str, Any]) -> dict[str, Part]:
    """The paper's parts; it prints means without errors."""
    across, out = paper["columns"], {}
    momentum = 0.9 if paper["lr"] < 1 else 0.0
    for tuned, numbers in paper["parts"].items():
        value = np.array([[math.nan if v is None else v for v in line] for line in numbers])
        by = 2.0 ** np.arange(value.shape[0])[:, None] * np.ones(value.shape)
        values = np.array(paper["values"], float)[None, :] * np.ones(value.shape)
        N, B = (values, np.full(value.shape, 128.0)) if across == "N" else (np.full(value.shape, 5e4), values)
        if tuned == "B":
            B = np.array(paper["row_values"], float)[:, None] * np.ones(value.shape)
            by = np.ones(value.shape)
        lr = paper["lr"] * {"lr": by, "wd": 1.0, "both": by**0.5, "B": 1.0}[tuned] * np.ones(value.shape)
        wd = paper["wd"] * {"lr": 1.0, "wd": by, "both": by**0.5, "B": 1.0}[tuned] * np.ones(value.shape)
        offset = np.log2(N * lr * wd / (B * (1 - momentum)) / FACTOR)
        out[tuned] = Part(tuned=tuned, across=across, lr=lr, wd=wd, B=B, N=N, accuracy=value[..., None],
                          marked=np.abs(offset) < 0.06, offset=offset)  # fmt: skip
    return out


def common(one: Part, other: Part) -> tuple[Array, Array]:
    """Accuracies of the cells that two parts share: the same distance from the diagonal, the same place among columns.

    With fewer columns on one side the middle ones of the other are taken. Both of shape (cell, 2): accuracy, and
    accuracy minus the best of the shared cells of its column.
    """
    a, b = one.mean, other.mean
    shift = (b.shape[1] - a.shape[1]) // 2
    left, right = [], []
    for j in range(a.shape[1]):
        k = j + shift
        if not 0 <= k < b.shape[1]:
            continue
        pairs = [
            (a[r, j], b[q, k])
            for r in range(a.shape[0])
            for q in range(b.shape[0])
            if abs(one.offset[r, j] - other.offset[q, k]) < 0.25 and math.isfinite(a[r, j] + b[q, k])
        ]
        for side, of in ((left, 0), (right, 1)):
            best = max((pair[of] for pair in pairs), default=0.0)
            side += [(pair[of], pair[of] - best) for pair in pairs]
    return np.array(left).reshape(-1, 2), np.array(right).reshape(-1, 2)


def verdicts(part: Part) -> str:
    """Column by column, where the best cells are against the diagonal and the ends of the grid, and by chance."""
    found, off = [one.verdict for one in columns(part.accuracy, part.marked)], part.off_by_chance()
    beyond = "off it beyond" + (f" ({off:.1f} by chance)" if off else "")
    said = {"within": "off it by less than one s.e.", "off": beyond, "unknown": "undecided"}
    counts = [f"in {found.count(key)} {text}" for key, text in said.items() if key in found]
    lead = f"of {len(found)} columns the best cell is on the diagonal in {_of_chance(*part.leading(1))}"
    lead += f", the best or the second in {_of_chance(*part.leading(2))}"
    return "; ".join([lead, *counts, f"the best is at an end of the grid in {at_end(part.mean)}"])


def _of_chance(found: int, chance: float) -> str:
    return f"{found} ({chance:.1f} by chance)"


def correlation(one: Part, other: Part) -> str:
    """Rank correlations between two parts in words."""
    a, b = common(one, other)
    if len(a) < 3:
        return "too few common cells for a rank correlation"
    whole, inside = (rank_correlation(a[:, k], b[:, k]) for k in (0, 1))
    return f"rank correlation {whole[0]:.2f} over {whole[2]} common cells, {inside[0]:.2f} within columns"
