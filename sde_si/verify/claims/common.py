"""What claims on simulations share: a system in one line, quantities, and how they are read off a record."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from sde_si import estimators, theory
from sde_si.estimators import Estimate
from sde_si.hyperparameters import HyperParameters
from sde_si.losses import Loss
from sde_si.methods import Method
from sde_si.problem import Problem
from sde_si.resolve import resolve
from sde_si.run import Run
from sde_si.theory.predict import predict
from sde_si.verify.claim import Curve, Quantity

if TYPE_CHECKING:
    import xarray as xr

Records: TypeAlias = "Mapping[str, xr.Dataset]"
Runs: TypeAlias = Mapping[str, Run]
Array = np.ndarray
MONTE_CARLO = "Monte Carlo, 3 s.e."
FINITE_D = "finite d, higher orders"
STEP_SIZE = "step size"

_SETTLED = "over paths and equilibrated epochs; error from the means of the paths"
_ONE_EPOCH = "over paths in that epoch; error between paths"
_PLAIN = {
    "weight_norm": ("length |x|", "1", "root of the mean of |x|^2 at epoch ends"),
    "angle_step": ("rms angle of a step, Delta", "rad", "root mean square of the angle between weights one step apart"),
    "angle_epoch": ("angle over an epoch", "rad", "arccos of the mean cosine between the weights at an epoch's two ends"),
    "versine_epoch": ("1 - cos over an epoch", "1", "mean of 2 sin^2(angle/2) between the weights at an epoch's two ends"),
    "effective_lr": ("effective learning rate lr/|x|^2", "1/step", "lr over the mean of |x|^2 at epoch ends"),
    "loss": ("mean loss", "1", "mean of the exact full loss at epoch ends"),
    "signal": ("signal G", "1", "mean squared full gradient at the unit vector"),
}  # fmt: skip
SETTLED = {key: Quantity(f"{name} at equilibrium", f"{how}, {_SETTLED}", unit)
           for key, (name, unit, how) in _PLAIN.items()}  # fmt: skip
SETTLED["time_to_equilibrium"] = Quantity(
    "relaxation time of |x|^4",
    "weighted line through ln of the mean's deviation from equilibrium against the epoch; error by leaving out paths",
    "epochs",
)
IN_EPOCH = {key: Quantity(f"{name} of one epoch", f"{how}, {_ONE_EPOCH}", unit)
            for key, (name, unit, how) in _PLAIN.items()}  # fmt: skip
AT_LAG = Quantity(
    "1 - cos over a lag at equilibrium",
    f"mean of 1 - cos between weights that many steps apart, from the begins of epochs, {_SETTLED}",
)
BALANCE = Quantity(
    "E|x' - x|^2/E|x|^2", f"mean squared displacement of a step over the mean squared length, {_SETTLED}"
)
ROUNDED = "computed once in float64 on a random path; no statistics"
ROUNDING = {"rounding": 1e-9}
ANY_LOSS = "every sample's loss is scale-invariant; float64"


def run(
    loss: str | Loss = "isotropic", *, N: int = 5000, B: int = 100, lr: float = 0.1, wd: float = 5e-3, momentum: float = 0.0,
    epochs: int = 40, schedule: str = "constant", dim: int | None = 256, paths: int = 64, seed: int = 0,
    scale: float = 1.0, method: str | Method = "sgd", parameters: Mapping[str, Any] | None = None,
    beta2: float | None = None, eps: float | None = None, **options: Any,
) -> Run:  # fmt: skip
    """A run of a claim; `scale` multiplies the paths."""
    hp = HyperParameters(
        N=N, B=B, lr=lr, wd=wd, momentum=momentum, epochs=epochs, schedule=schedule, beta2=beta2, eps=eps
    )
    problem = Problem(loss, dim=dim, **(parameters or {}))
    return resolve(problem, hp, method=method, paths=max(2, round(paths * scale)), seed=seed, **options)


def describe(one: Run) -> str:
    """The system in one line: loss, noise, method, hyperparameters."""
    hp, loss = one.hyperparameters, one.problem.loss.name
    # Gaussian increments are the rule, minibatches where the loss has any.
    noise = "" if one.noise in ("gaussian", "minibatch") else f", {one.noise} noise"
    noise += ", reshuffled" * one.reshuffled
    method = f"{one.method.name}, {one.substeps} substeps" if one.substeps > 1 else one.method.name
    more = f" b2={hp.beta2:g}" if hp.beta2 is not None else ""
    return (
        f"{loss}, dim {one.arrays.dim}{noise}, {method}: N={hp.N} B={hp.B} n={hp.steps_per_epoch} "
        f"lr={hp.lr:g} wd={hp.wd:g} mu={hp.momentum:g}{more}"
    )


def window(record: xr.Dataset) -> estimators.Window:
    """The equilibrated epochs."""
    return estimators.window_of(record)


def at_equilibrium(record: xr.Dataset, quantity: str) -> dict[str, Any]:
    """What is measured, its value and its standard error, as `Measurement` takes them."""
    found = estimators.equilibrium(record, window(record), quantity)
    return {"quantity": SETTLED[quantity], "measured": found.value, "stderr": found.stderr}


def versine(record: xr.Dataset) -> dict[str, Any]:
    """1 - cos_epoch at equilibrium: near 1 a cosine hides errors."""
    return at_equilibrium(record, "versine_epoch")


def at_epoch(record: xr.Dataset, quantity: str, epoch: int) -> dict[str, Any]:
    """Value after (or in) one epoch and its standard error."""
    found = estimators.epoch_estimate(record, quantity, epoch)
    error = found.stderr if math.isfinite(found.stderr) else 0.0
    return {"quantity": IN_EPOCH[quantity], "measured": found.value, "stderr": error}


def at_lag(record: xr.Dataset, lag: int) -> dict[str, Any]:
    """1 - cos over a lag at equilibrium."""
    found = estimators.lag_versine(record, window(record), lag)
    return {"quantity": AT_LAG, "measured": found.value, "stderr": found.stderr}


def displacement_ratio(record: xr.Dataset) -> dict[str, Any]:
    """Mean squared displacement of a substep over the mean squared length at equilibrium."""
    epochs = window(record).epochs
    moved, size = (
        estimators.values(record, f"mean_squared_{what}")[:, epochs].mean(axis=1) for what in ("displacement", "norm")
    )
    found = estimators.ratio(moved, size)
    return {"quantity": BALANCE, "measured": found.value, "stderr": found.stderr}


def extrapolated(records: Records, coarse: str, fine: str, quantity: str, reduce: Callable[[Array], Array]) -> Estimate:
    """Mean of twice the fine run minus the coarse one, path by path; both are driven by the same increments.

    `reduce` turns values (path, epoch) into one number a path. What is of first order in the substep cancels.
    """
    parts = [reduce(estimators.values(records[name], quantity)) for name in (fine, coarse)]
    return estimators.mean_and_error(2 * parts[0] - parts[1])


def lag_curve(record: xr.Dataset, lags: Sequence[int], lines: Mapping[str, Array], log: str = "xy") -> Curve:
    """1 - cos against the lag at equilibrium; `lines` at the same lags."""
    found = [at_lag(record, lag) for lag in lags]
    return Curve(x=np.array(lags), measured=np.array([f["measured"] for f in found]),
                 stderr=np.array([f["stderr"] for f in found]), lines=lines, xlabel="lag [steps]",
                 ylabel="1 - cosine", log=log)  # fmt: skip


def course(record: xr.Dataset, quantity: str, lines: Mapping[str, Array], ylabel: str, log: str = "") -> Curve:
    """A quantity epoch by epoch; `lines` at all epochs."""
    measured, stderr = estimators.series(record, quantity)
    return Curve(x=np.arange(1, measured.size + 1), measured=measured, stderr=np.nan_to_num(stderr), lines=lines,
                 xlabel="epoch", ylabel=ylabel, log=log)  # fmt: skip


def exact_versine(one: Run) -> float:
    """1 - cos_epoch at equilibrium by the whole theory, finite dimension included."""
    value = theory.equilibrium(one)["cos_epoch"].value
    assert value is not None
    return 1 - value


def versine_course(one: Run) -> Array:
    """1 - cos_epoch of every epoch by the second moments' recursion."""
    return 1 - predict(one)["cos_epoch_predicted"].values


def lag_versines(record: Any) -> tuple[np.ndarray, np.ndarray]:
    """1 - cos at every recorded lag over the equilibrated epochs, and its standard error, shape (lag,)."""
    found = [at_lag(record, int(lag)) for lag in record["lag"].values]
    return np.array([f["measured"] for f in found]), np.array([f["stderr"] for f in found])


def sde_square(one: Run) -> float:
    """E|x|^2 of the first-order SDE (theory.md 2.3)."""
    return theory.sde_norm_squared(one.hyperparameters.lr, one.hyperparameters.wd, noise_trace=one.noise_trace)


def svag_norm(record: xr.Dataset, one: Run, *, l: int) -> dict[str, float]:  # noqa: E741  (the literature's letter)
    """|x| of SVAG with the signal that the run itself has (theory.md 4.3).

    `value`, and `stderr` of the measured length minus it: both rest on the same paths, so the error is taken path by
    path.
    """
    hp, tau, epochs = one.hyperparameters, one.noise_trace, window(record).epochs
    norm, signal = (at_equilibrium(record, name)["measured"] for name in ("weight_norm", "signal"))
    value = math.sqrt(theory.svag_norm_squared(hp.lr, hp.wd, noise_trace=tau, signal=signal, l=l))
    squares, signals = (estimators.values(record, name)[:, epochs] for name in ("weight_norm", "signal"))
    slope = value / (4 * (tau + signal / l)) / l
    away = (squares**2).mean(axis=1) / (2 * norm) - slope * signals.mean(axis=1)
    return {"value": value, "stderr": estimators.mean_and_error(away).stderr}
