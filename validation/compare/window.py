"""What of a training is compared with theory: its epochs at equilibrium, or nearly so, and their hyperparameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sde_si.estimators import Window, values, window_of
from sde_si.record import configuration

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
SLOW, FEWEST = 0.02, 10  # change of ln |x|^2 per relaxation time; epochs


def window(record: xr.Dataset) -> Window:
    """The equilibrated epochs, or the later half of those after the transient if the norm drifts slowly; `why` says so.

    Few seeds make the standard error of a drift small by chance, and a network goes on learning for ever: a drift below
    2 % per relaxation time shifts no law by more than that.
    """
    found, rate = window_of(record), record.attrs.get("relaxation_rate")
    total = record.sizes["epoch"]
    first = (found.candidate + total + 1) // 2
    if found or rate is None or not float(rate) > 0 or found.candidate < 1 or total - first + 1 < FEWEST:
        return found
    log_norm = 2 * np.log(values(record, "weight_norm")[:, first - 1 :])
    time = np.arange(log_norm.shape[1]) - (log_norm.shape[1] - 1) / 2
    slope = float(np.mean(log_norm @ time) / (time @ time) / float(rate))
    if not abs(slope) < SLOW:
        return found
    return Window(
        first, found.candidate, f"epochs {first} to {total}, where {slope:+.2%} is left of a drift; {found.why}"
    )


class Setting(NamedTuple):
    """Hyperparameters at the end of a training."""

    lr: float
    u: float  # intrinsic learning rate lr wd
    momentum: float
    steps: int  # of an epoch


def setting(record: xr.Dataset) -> Setting:
    """What the laws need of a record's configuration."""
    made, lr = configuration(record), float(record["lr"].values[-1])
    return Setting(lr, lr * made["wd"], made["momentum"], int(record["steps_per_epoch"].values[-1]))


def batch_means(samples: Array) -> Array:
    """Means of up to ten batches of consecutive epochs of each seed (path, epoch): nearly independent."""
    count = min(10, samples.shape[1])
    return np.array([np.nanmean(part) for row in samples for part in np.array_split(row, count)])
