"""A law of the rotation: its curve, and how the curve moves with the networks that it was measured on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sde_si.estimators import jackknife
from validation.compare.seeds import by_seeds, left_out

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


@dataclass(frozen=True)
class Law:
    """1 - cos over 0, 1, ... steps, its standard error, and the units, less one, that the error rests on.

    `of` gives the curve of some of the seeds; None for what knows no network.
    """

    curve: Array
    stderr: Array
    freedom: int = 0
    of: Callable[[Array], Array] | None = None


def exact(curve: Array) -> Law:
    """A law that rests on no measurement."""
    return Law(curve, np.zeros_like(curve))


def measured_law(
    record: xr.Dataset, there: Array, curve: Callable[[Array], Array], more: Callable[[], Array] | None = None
) -> Law:
    """A law from what was measured at checkpoints.

    Parameters
    ----------
    record : Dataset
        Of networks that lived.
    there : ndarray, shape (path, checkpoint)
        Which were measured.
    curve : callable
        ``curve(which)`` of some of them, an array as `there`.
    more : callable, optional
        A further standard error of the curve, where checkpoints are the units.

    Returns
    -------
    Law
        Its error by leaving out each seed, or, of fewer than three, each checkpoint.
    """
    seeds = np.arange(len(there))

    def of(which: Array) -> Array:
        return curve(there & np.isin(seeds, which)[:, None])

    if by_seeds(record):
        found, error = left_out(of, len(seeds))
        return Law(found, error, len(seeds) - 1, of)
    places = np.argwhere(there)

    def of_places(which: Array) -> Array:
        chosen = np.zeros_like(there)
        chosen[tuple(places[which].T)] = True
        return curve(chosen)

    found, error = jackknife(of_places, len(places), len(places))
    return Law(found, error if more is None else np.hypot(error, more()), len(places) - 1, of)
