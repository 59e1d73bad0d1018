"""What a comparison rests on: settings of a record, the networks that lived, epochs in equilibrium, checkpoints."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sde_si.estimators import Window, values, window_of
from sde_si.record import configuration

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
SLOW, FEWEST = 0.02, 10  # change of ln |x|^2 per relaxation time; epochs


@cache
def _defaults() -> dict[str, Any]:
    from validation.train.job import Job

    return Job().configuration()


def configured(record: xr.Dataset) -> dict[str, Any]:
    """What decided a record's numbers; what the trainer had not yet when it was made has its default."""
    return _defaults() | configuration(record)


def living(record: xr.Dataset) -> xr.Dataset:
    """The record of the networks that never diverged; all where none lived."""
    alive = np.isfinite(values(record, "weight_norm")).all(axis=1)
    alive &= np.isfinite(record["train_loss"].transpose("path", "epoch").values).all(axis=1)
    return record if alive.all() or not alive.any() else record.isel(path=np.flatnonzero(alive))


def window(record: xr.Dataset) -> Window:
    """The equilibrated epochs, or the later half of those after the transient if the norm drifts slowly; `why` says so.

    Few seeds make the standard error of a drift small by chance, and a network goes on learning for ever: a drift below
    2 % per relaxation time shifts no law by more than that.
    """
    record = living(record)
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


def lags_of(record: xr.Dataset) -> tuple[int, ...]:
    """The lags, in steps, that some epoch has: a run may have ended before a longer one."""
    if "cos_lag" not in record:
        return ()
    seen = np.isfinite(record["cos_lag"]).any([dim for dim in record["cos_lag"].dims if dim != "lag"]).values
    return tuple(int(lag) for lag in record["lag"].values[seen])


class Setting(NamedTuple):
    """Hyperparameters at the end of a training."""

    lr: float
    u: float  # intrinsic learning rate lr wd
    momentum: float
    steps: int  # of an epoch


def setting(record: xr.Dataset) -> Setting:
    """What the laws need of a record's configuration."""
    made, lr = configured(record), float(record["lr"].values[-1])
    return Setting(lr, lr * made["wd"], made["momentum"], int(record["steps_per_epoch"].values[-1]))


class Checkpoints(NamedTuple):
    """Where "response" or "curvature" was measured."""

    epochs: Array  # (from 1) after which
    inside: Array  # which of them lie in equilibrium: the places along the record's axis


def checkpoints(record: xr.Dataset, name: str) -> Checkpoints:
    """The checkpoints of each seed at which `name` was measured, and those in the window, where the rotation is."""
    from sde_si.hyperparameters import HyperParameters
    from validation.train.job import Job

    made, axis = configured(record), {"response": "kick", "curvature": "checkpoint"}[name]
    if name not in record:
        return Checkpoints(np.array([], dtype=int), np.array([], dtype=int))
    job = Job(hyperparameters=HyperParameters(epochs=made["epochs"]))
    # the first of them, where all networks diverged before the others
    epochs = 1 + np.array(sorted(set(job.checkpoints(made[name]))), dtype=int)[: record.sizes[axis]]
    used = window(record)
    return Checkpoints(epochs, np.flatnonzero(epochs >= used.first) if used else np.array([], dtype=int))
