"""Weight decay searched on a part of the data and on the whole: both optima, and what the transferred choice costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks
from paper_figs.accuracy import final_accuracy
from paper_figs.grid import with_error
from paper_figs.quantified import best_value
from paper_figs.seeds import seed_error, seed_mean
from paper_figs.transfer import optima, turning_apart

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


@dataclass(frozen=True)
class Search:
    """A search of the weight decay.

    Attributes
    ----------
    cells : list of int
        Of the record, by growing weight decay.
    N : int
        Number of samples.
    wd : ndarray, shape (wd,)
    accuracy : ndarray, shape (wd, seed)
        At the end, per cent.
    best : float
        Weight decay at the vertex of the parabola through the best and its neighbours.
    """

    cells: list[int]
    N: int
    wd: Array
    accuracy: Array
    best: float


@dataclass(frozen=True)
class Found:
    """Both searches.

    Attributes
    ----------
    part, whole : Search
    transferred : float
        Weight decay for the whole, of equal tuning factor with the best on the part.
    pair : tuple of int
        Cells of equal tuning factor, on the part and on the whole: of the part the one of highest accuracy.
    lost : ndarray, shape (seed,)
        Points that the latter has less than the best on the whole, seed by seed.
    texts : tuple of str
        Caption; what the optima say of each other; how the pair turns.
    """

    part: Search
    whole: Search
    transferred: float
    pair: tuple[int, int]
    lost: Array
    texts: tuple[str, str, str]


def find(record: xr.Dataset) -> Found:
    """Both searches, row by row of equal tuning factor."""
    part, whole = (_search(record, data) for data in ("subset", "whole"))
    share = whole.N / part.N
    row = int(np.nanargmax(seed_mean(part.accuracy)))
    pair = part.cells[row], whole.cells[row]
    cells = {"subset": part.cells, "whole": whole.cells}
    said = optima(final_accuracy(record), record, cells, whole.best * share / part.best)
    return Found(
        part=part,
        whole=whole,
        transferred=part.best / share,
        pair=pair,
        lost=whole.accuracy[int(np.nanargmax(seed_mean(whole.accuracy)))] - whole.accuracy[row],
        texts=(networks.caption(record), said, turning_apart(record, list(pair))),
    )


def _search(record: xr.Dataset, data: str) -> Search:
    cells = sorted(networks.pick(record, data=data), key=lambda i: float(record["wd"][i]))
    wd, accuracy = record["wd"].values[cells], final_accuracy(record)[cells]
    best = float(np.exp(best_value(seed_mean(accuracy)[:, None], wd)[0]))
    return Search(cells, int(record["N"][cells[0]]), wd, accuracy, best)


def seen(found: Found) -> str:
    """Where the optima are, whether they say anything of each other, and what the transfer costs."""
    caption, said, turned = found.texts
    lost = with_error(float(seed_mean(found.lost)), float(seed_error(found.lost)), 2)
    return (
        f"{caption}. Best wd {found.part.best:.2g} on the part, {found.whole.best:.2g} on the whole. {said} The "
        f"transferred row costs {lost} points against the best of the whole. {turned}"
    )
