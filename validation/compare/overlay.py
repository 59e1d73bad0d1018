"""The SDE with a network's own noise, epoch by epoch, simulated from the network's initial norm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.estimators import equilibrium
from validation.compare.seeds import Known, by_seeds, left_out, settled
from validation.compare.window import configured, lags_of, living, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
DIM, PATHS = 1024, 8  # what a finite dimension changes is of order 1/1024
SHOWN = ("weight_norm", "effective_lr", "angle_step", "angle_epoch")
POWERS = {"weight_norm": 1 / 4, "effective_lr": -1 / 2}  # of the noise, with which they go at equilibrium (1.4, 9.2)


@dataclass(frozen=True)
class Overlay:
    """A simulation beside a network: its name, what stands for the gradient's variance, and its record.

    `share` is how much of the signal counts as noise.
    """

    name: str
    noise: str
    record: xr.Dataset
    share: float = 0.0


def course(record: xr.Dataset) -> tuple[Array, Array] | None:
    """Noise trace tau and signal G at the unit vector, epoch by epoch; None if they were not measured.

    Mean over the seeds that lived. The sum of both is the mean squared gradient of all steps of an epoch; its split is
    that of the independent minibatches at the epochs' ends (theory.md 7.6), averaged over the five epochs around.
    Without any gradient both are 0.
    """
    record = living(record)
    tau, signal, whole = (
        record[name].sel(group="all").transpose("path", "epoch").values.mean(axis=0)
        for name in ("noise_trace", "signal", "gradient")
    )
    if not np.isfinite(tau).all():
        return None
    svag = configured(record)["svag"]
    near = np.ones(min(5, tau.size))
    signal, both = (np.convolve(part, near, "same") for part in (signal, tau + signal))
    share = np.clip(np.divide(signal, both, out=np.zeros_like(both), where=both != 0), 0.0, 0.999)
    # a gradient of SVAG has l times the noise
    tau = whole * (1 - share) / (svag * (1 - share) + share)
    return tau, tau * share / (1 - share)


def lacking(record: xr.Dataset) -> str:
    """Why nothing can be simulated beside a record, in words; empty where it can."""
    made, found = configured(record), course(record)
    if made["optimizer"] not in ("sgd", "sgd-displacement"):
        return f"the simulations are of SGD, not of {made['optimizer']}"
    for name, what in (("effective_lr", "a fixed effective learning rate"), ("rescale", "rescaled weights")):
        if made[name]:
            return f"the simulations do not know {what}"
    if found is None:
        return "its noise was not measured, or no network lived"
    still = np.flatnonzero(found[0] == 0)
    return f"it has no noise in epoch {still[0] + 1}: its gradients are 0" if still.size else ""


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
        discrete map feels signal and noise alike (1.4), SVAG(l) the signal through 1/l of it (4.3). Empty where
        something is `lacking`.
    """
    from sde_si.hyperparameters import HyperParameters
    from sde_si.problem import Problem
    from sde_si.simulate import simulate

    record = living(record)
    made, found = configured(record), course(record)
    if found is None or lacking(record):
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
    for name, noise, share, method, drawn in (
        ("SDE", "noise", 0.0, "splitting", "replacement"),
        ("optimizer", f"noise + {part}", 1 / made["svag"], made["method"], sampling),
    ):
        of_sample = (tau + share * signal) * batch
        factors = ",".join(f"{value:.7f}" for value in of_sample / of_sample[-1])
        given["schedule"] = f"{made['schedule']}+noise:{factors}"
        hp = HyperParameters(**given)
        problem = Problem("isotropic", dim=DIM, noise_scale=float(of_sample[-1]) / (DIM - 1))
        simulated = simulate(
            problem, hp, method=method, sampling=drawn, paths=paths, init_norm=start, lags=lags_of(record), seed=0
        )
        out.append(Overlay(name, noise, simulated, share))
    return out


def beside(record: xr.Dataset, one: Overlay, name: str) -> tuple[float, Known]:
    """A simulated quantity at equilibrium, and the network's own over it, minus one.

    The simulation has the mean noise of all seeds. Which seeds those are moves it, too: by the power with which the
    quantity goes with the noise of the window. Its own paths add their error, independent of the networks'.
    """
    record = living(record)
    used, power = window(record), POWERS.get(name, 0.0)
    said = equilibrium(one.record, used, name)
    measured = settled(record, used, name)
    ratio, own = measured.value / said.value, said.stderr / said.value
    own = float(own) if np.isfinite(own) else 0.0  # one path: no spread
    if not used or not by_seeds(record):
        return said.value, Known(ratio - 1, ratio * float(np.hypot(measured.stderr / measured.value, own)),
                                 measured.freedom)  # fmt: skip

    def off(which: Array) -> Array:
        networks = record.isel(path=which)
        found = course(networks)
        assert found is not None
        noise = float(np.mean((found[0] + one.share * found[1])[used.epochs]))
        return np.array(equilibrium(networks, used, name).value / noise**power)

    value, error = left_out(off, record.sizes["path"])
    return said.value, Known(ratio - 1, ratio * float(np.hypot(error / value, own)), measured.freedom)
