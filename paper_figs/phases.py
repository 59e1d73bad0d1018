"""Transients and phases of a cell of a record, in epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
DECAYED = 7.0  # relaxation times after which a transient is over
NEVER = 1e9  # epochs: no weight decay


def transient_end(tuning_factor: Array | float, last_change: Array | int = 0) -> Array:
    """First epoch (from 0) after max(7/(4 tuning factor), 5) epochs: what is left of the transient is e^-7."""
    with np.errstate(divide="ignore"):
        epochs = np.maximum(DECAYED / (4 * np.asarray(tuning_factor, dtype=float)), 5)
    return np.asarray(last_change) + np.ceil(np.minimum(epochs, NEVER)).astype(int)


def epochs(record: xr.Dataset, i: int) -> int:
    """How many epochs a cell has: cells of one experiment may differ."""
    return int((record["steps_per_epoch"].isel(cell=i).values > 0).sum())


def late(record: xr.Dataset, i: int) -> slice:
    """Epochs after the transient and before the first drop, or to the end where the learning rate falls gradually.

    Of a cell that does not come so far (`settles`), the phase's last quarter.
    """
    end = phase_end(record, i)
    return slice(transient(record, i) if settles(record, i) else 3 * end // 4, end)


def settles(record: xr.Dataset, i: int) -> bool:
    """Whether a cell's transient is over before `phase_end`."""
    return transient(record, i) < phase_end(record, i)


def phase_end(record: xr.Dataset, i: int) -> int:
    """Number of epochs before the learning rate first falls or the batch first grows; all where lr falls gradually."""
    lr, steps = (record[name].isel(cell=i).values[: epochs(record, i)] for name in ("lr_end", "steps_per_epoch"))
    fallen = np.zeros(lr.size, dtype=bool) if _gradual(lr) else lr < 0.999 * lr[0]
    changed = np.flatnonzero(fallen | (steps != steps[0]))
    return int(changed[0]) if changed.size else lr.size


def _gradual(lr: Array) -> bool:
    """Whether a learning rate has no phases: it changes in most epochs."""
    return lr.size > 2 and float(np.mean(lr[1:] != lr[:-1])) > 0.5


def transient(record: xr.Dataset, i: int) -> int:
    """First epoch (from 0) of which e^-7 of the start is left; of a learning rate that falls gradually, if any."""
    factor, lr = float(record["tuning_factor"][i]), record["lr_end"].isel(cell=i).values[: epochs(record, i)]
    if not _gradual(lr):
        return int(transient_end(factor))
    spent = np.cumsum(4 * factor * lr / float(record["lr"][i]))
    return max(int(transient_end(factor)), min(int(np.searchsorted(spent, DECAYED)) + 1, lr.size))
