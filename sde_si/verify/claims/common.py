"""What claims on simulations share: systems in one line, and equilibrium values of records."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sde_si import estimators, theory
from sde_si.hyperparameters import HyperParameters
from sde_si.losses import Loss
from sde_si.methods import Method
from sde_si.problem import Problem
from sde_si.resolve import resolve
from sde_si.run import Run

if TYPE_CHECKING:
    import xarray as xr

Records: TypeAlias = "Mapping[str, xr.Dataset]"
Runs: TypeAlias = Mapping[str, Run]
MONTE_CARLO = "Monte Carlo, 3 s.e."
FINITE_D = "finite d, higher orders"
STEP_SIZE = "step size"


def run(
    loss: str | Loss = "isotropic", *, N: int = 5000, B: int = 100, lr: float = 0.1, wd: float = 5e-3, momentum: float = 0.0,
    epochs: int = 40, schedule: str = "constant", dim: int | None = 256, paths: int = 64, seed: int = 0,
    scale: float = 1.0, method: str | Method = "sgd", parameters: Mapping[str, Any] | None = None, **options: Any,
) -> Run:  # fmt: skip
    """A run of a claim; `scale` multiplies the paths."""
    hp = HyperParameters(N=N, B=B, lr=lr, wd=wd, momentum=momentum, epochs=epochs, schedule=schedule)
    problem = Problem(loss, dim=dim, **(parameters or {}))
    return resolve(problem, hp, method=method, paths=max(2, round(paths * scale)), seed=seed, **options)


def describe(one: Run) -> str:
    """The system in words."""
    hp = one.hyperparameters
    return (
        f"{one.problem.loss.name}, dim {one.arrays.dim}, {one.method.name}: n={hp.steps_per_epoch} "
        f"lr={hp.lr:g} wd={hp.wd:g} mu={hp.momentum:g}"
    )


def window(record: xr.Dataset) -> estimators.Window:
    """The equilibrated epochs."""
    return estimators.window_of(record)


def at_equilibrium(record: xr.Dataset, quantity: str) -> dict[str, Any]:
    """Measured value and its standard error, as `Measurement` takes them."""
    found = estimators.equilibrium(record, window(record), quantity)
    return {"measured": found.value, "stderr": found.stderr}


def versine(record: xr.Dataset) -> dict[str, Any]:
    """1 - cos_epoch at equilibrium: near 1 a cosine hides errors."""
    return at_equilibrium(record, "versine_epoch")


def at_epoch(record: xr.Dataset, quantity: str, epoch: int) -> dict[str, Any]:
    """Value after (or in) one epoch and its standard error."""
    found = estimators.epoch_estimate(record, quantity, epoch)
    return {"measured": found.value, "stderr": found.stderr if math.isfinite(found.stderr) else 0.0}


def lag_versines(record: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 - cos at every recorded lag over the equilibrated epochs, and its standard error, shape (lag,)."""
    cosines = record["cos_lag"].sel(group="all").values[:, window(record).epochs]
    means = np.nanmean(1 - cosines, axis=1)
    return means.mean(axis=0), means.std(axis=0, ddof=1) / math.sqrt(len(means))


def trace(one: Run) -> float:
    """Noise trace tau of isotropic noise at the unit vector."""
    return one.arrays.noise_variance * (one.arrays.dim - 1) / one.hyperparameters.B


def sde_square(one: Run) -> float:
    """E|x|^2 of the first-order SDE (theory.md 2.3)."""
    return theory.sde_norm_squared(one.hyperparameters.lr, one.hyperparameters.wd, noise_trace=trace(one))


def svag_norm(record: xr.Dataset, one: Run, *, l: int) -> dict[str, float]:  # noqa: E741  (the literature's letter)
    """|x| of SVAG with the signal that the run itself has (theory.md 4.3), as `value`, and its standard error."""
    hp = one.hyperparameters
    signal, tau = at_equilibrium(record, "signal"), trace(one)
    value = math.sqrt(theory.svag_norm_squared(hp.lr, hp.wd, noise_trace=tau, signal=signal["measured"], l=l))
    return {"value": value, "stderr": value * signal["stderr"] / l / (4 * (tau + signal["measured"] / l))}
