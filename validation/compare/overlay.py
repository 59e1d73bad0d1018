"""The SDE with a network's own noise, epoch by epoch, simulated from the network's initial norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.record import configuration

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
DIM, PATHS = 1024, 8  # what a finite dimension changes is of order 1/1024
SHOWN = ("weight_norm", "effective_lr", "angle_step", "angle_epoch")


@dataclass(frozen=True)
class Overlay:
    """A simulation beside a network: its name, what stands for the gradient's variance, and its record."""

    name: str
    noise: str
    record: xr.Dataset


def course(record: xr.Dataset) -> tuple[Array, Array] | None:
    """Noise trace tau and signal G at the unit vector, epoch by epoch, mean over seeds; None if they were not measured.

    The sum of both is the mean squared gradient of all steps of an epoch; its split is that of the independent
    minibatches at the epochs' ends (theory.md 7.6), averaged over the five epochs around.
    """
    tau, signal, whole = (
        record[name].sel(group="all").transpose("path", "epoch").values.mean(axis=0)
        for name in ("noise_trace", "signal", "gradient")
    )
    if not np.isfinite(tau).all():
        return None
    svag = configuration(record)["svag"]
    near = np.ones(5)
    share = np.convolve(signal, near, "same") / np.convolve(tau + signal, near, "same")
    share = np.clip(share, 0.0, 0.999)
    # a gradient of SVAG has l times the noise
    tau = whole * (1 - share) / (svag * (1 - share) + share)
    return tau, tau * share / (1 - share)


def overlays(record: xr.Dataset, *, paths: int = PATHS) -> list[Overlay]:
    """The SDE with the measured noise, and the optimizer itself with signal and noise together as noise.

    Parameters
    ----------
    record : Dataset
        Of `validation.train`: SGD with or without momentum, or SVAG, at a free length.
    paths : int
        Simulated paths.

    Returns
    -------
    list of Overlay
        The SDE by ``splitting`` knows the noise alone: its mean gradient does not change the norm (theory.md 2.1). The
        discrete map feels signal and noise alike (1.4), SVAG(l) the signal through 1/l of it (4.3). Empty where the
        record has no such theory or no measured noise.
    """
    from sde_si.hyperparameters import HyperParameters
    from sde_si.problem import Problem
    from sde_si.simulate import simulate

    made, found = configuration(record), course(record)
    if made["optimizer"] not in ("sgd", "sgd-displacement") or made["effective_lr"] is not None or found is None:
        return []
    if made["rescale"]:  # the simulation does not know it
        return []
    tau, signal = found
    batch = record["batch"].values.astype(float)  # the simulation divides the noise by each epoch's own
    start = float(np.sqrt(np.mean(record["weight_norm_initial"].sel(group="all").values ** 2)))
    # A longer run of the same hyperparameters may have ended early; an overlay ends with its network.
    keys = ("N", "B", "lr", "wd", "momentum", "schedule")
    given: dict[str, Any] = {key: made[key] for key in keys} | {"epochs": record.sizes["epoch"]}
    out = []
    part = f"signal/{made['svag']}" if made["svag"] > 1 else "signal"
    # fresh augmentation of every image takes most of the zero sum away (1.12)
    sampling = "replacement" if made["augment"] else made["sampling"]
    for name, noise, trace, method, drawn in (
        ("SDE", "noise", tau, "splitting", "replacement"),
        ("optimizer", f"noise + {part}", tau + signal / made["svag"], made["method"], sampling),
    ):
        of_sample = trace * batch
        factors = ",".join(f"{value:.7f}" for value in of_sample / of_sample[-1])
        hp = HyperParameters(**given | {"schedule": f"{made['schedule']}+noise:{factors}"})
        problem = Problem("isotropic", dim=DIM, noise_scale=float(of_sample[-1]) / (DIM - 1))
        lags = tuple(int(lag) for lag in record["lag"].values) if "lag" in record else ()
        simulated = simulate(
            problem, hp, method=method, sampling=drawn, paths=paths, init_norm=start, lags=lags, seed=0
        )
        out.append(Overlay(name, noise, simulated))
    return out
