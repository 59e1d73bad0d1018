"""Searches of one hyperparameter: their best and worst cells, and whether these can be told apart."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from paper_figs.accuracy import final_accuracy
from paper_figs.quantified import at_end
from paper_figs.seeds import seed_mean

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


def _searches(record: xr.Dataset) -> list[tuple[Array, Array]]:
    """Cells of every search in the order of its grid, and their mean accuracies, nan where a run diverged."""
    means, out = seed_mean(final_accuracy(record)), []
    for number in np.unique(record["combination"].values):
        cells = np.flatnonzero(record["combination"].values == number)
        if np.isfinite(means[cells]).any():
            out.append((cells, means[cells]))
    return out


def best_of_combinations(record: xr.Dataset, *, worst: bool = False) -> list[int]:
    """The cell of highest (or lowest) mean accuracy of every search, in the order of the searches."""
    take = np.nanargmin if worst else np.nanargmax
    return [int(cells[take(found)]) for cells, found in _searches(record)]


def how_well_tuned(record: xr.Dataset) -> str:
    """In how many searches the best value stands out from the worst, against chance, or lies at an end of its grid."""
    searches = _searches(record)
    ends = sum(at_end(found[:, None]) for _, found in searches)
    at_ends = f"stands at an end of its grid in {ends}"
    stands_out = [standing_out(final_accuracy(record)[cells]) for cells, _ in searches]
    if any(math.isnan(chance) for _, chance in stands_out):
        return f"Of {len(searches)} searches the best value {at_ends}"
    apart, chance = (sum(values) for values in zip(*stands_out, strict=True))
    verdict = ": good and poor cannot be told apart at this scale" if apart <= chance else ""
    return (
        f"Of {len(searches)} searches the best value is more than two standard errors above the worst in {apart} (the "
        "error is pooled over a search, without what a seed does to all its values; in "
        f"{chance:.1f} of them if all values were alike){verdict}; it {at_ends}"
    )


def standing_out(values: Array) -> tuple[bool, float]:
    """Whether the best row is more than two standard errors of a difference above the worst, and how likely by chance.

    Rows share subset and start seed by seed, so what a seed does to all of them is no error: the residuals of rows and
    seeds tell it, and Tukey's studentized range the chance.

    Parameters
    ----------
    values : ndarray, shape (row, seed)
        Rows with a nan do not count.
    """
    values = values[np.isfinite(values).all(axis=1)]
    rows, seeds = values.shape
    if rows < 2 or seeds < 2:
        return False, math.nan
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0) + values.mean()
    free = (rows - 1) * (seeds - 1)
    error = math.sqrt(float((rest**2).sum()) / free / seeds)
    return bool(np.ptp(values.mean(axis=1)) > _TWO_ERRORS * error), _range_exceeds(rows, free)


_TWO_ERRORS = 2 * math.sqrt(2)  # two standard errors of a difference, in those of a mean


@functools.lru_cache
def _range_exceeds(rows: int, free: int) -> float:
    """Probability that means of like rows spread over more than that."""
    from scipy.stats import studentized_range

    return float(studentized_range.sf(_TWO_ERRORS, rows, free))
