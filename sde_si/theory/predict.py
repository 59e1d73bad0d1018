"""Everything that theory says of one run, as a Dataset."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from sde_si.run import Run
from sde_si.schedules import Timetable
from sde_si.theory.discrete import angle_of
from sde_si.theory.equilibrium import equilibrium
from sde_si.theory.moments import Closure

if TYPE_CHECKING:
    import xarray as xr


def _course(run: Run) -> dict[str, np.ndarray]:
    """Norm, step angle, cosines of epochs and lags, epoch by epoch; nan where there is no closed form."""
    epochs = run.hyperparameters.epochs
    out: dict[str, np.ndarray] = {name: np.full(epochs, np.nan) for name in ("weight_norm", "cos_epoch", "angle_step")}
    out["cos_lag"] = np.full((epochs, len(run.lags)), np.nan)
    flat = run.problem.loss.flat and not run.reshuffled and run.scheme.linear is not None
    norm_only = not run.problem.loss.flat and run.method.name == "splitting" and run.hyperparameters.momentum == 0
    if flat or (norm_only and run.arrays.groups == 1):
        predicted = Closure(run).predict()
        out["weight_norm"] = predicted.weight_norm
        if flat:
            out |= {"cos_epoch": predicted.cos_epoch, "angle_step": predicted.angle_step, "cos_lag": predicted.cos_lag}
    return out


def predict(run: Run) -> xr.Dataset:
    """Everything that theory says of a run.

    Returns
    -------
    xarray.Dataset
        ``weight_norm_predicted``, ``effective_lr_predicted``, ``cos_epoch_predicted``, ``angle_epoch_predicted``,
        ``angle_step_predicted`` (epoch), ``cos_lag_predicted`` (epoch, lag), nan where there is no closed form;
        ``angle_epoch_paper``; and in the attribute ``predictions`` the equilibrium values as JSON (`equilibrium`).
    """
    from sde_si.record import make

    epochs, found = run.hyperparameters.epochs, _course(run)
    lr = np.array([run.timetable.lr_and_momentum(e, slice(-1, None))[0][0] for e in range(epochs)])
    variables = {f"{name}_predicted": value for name, value in found.items() if name != "cos_lag" or run.lags}
    versine = np.clip(1 - found["cos_epoch"], 0, 2)
    variables["angle_epoch_predicted"] = 2 * np.arcsin(np.sqrt(versine / 2))
    variables["effective_lr_predicted"] = lr / found["weight_norm"] ** 2
    variables["angle_epoch_paper"] = _paper_course(run)
    rows = {name: dataclasses.asdict(row) for name, row in equilibrium(run).items()}
    return make(variables, groups=run.arrays.groups, lags=run.lags, attributes={"predictions": rows})


def _paper_course(run: Run) -> np.ndarray:
    """`paper_course`; nan for methods that the papers do not speak of."""
    if run.scheme.linear is None:
        return np.full(run.hyperparameters.epochs, np.nan)
    return paper_course(run.timetable, decoupled=run.method.decoupled)


def paper_course(timetable: Timetable, *, decoupled: bool = False) -> np.ndarray:
    """Angle per epoch, radians, of Yun et al. eqs. 18, 27 with each epoch's own lr, momentum and batch.

    nan where the tuning factor is above 2.
    """
    hp = timetable.hyperparameters
    angles = np.empty(hp.epochs)
    power = 0 if decoupled else 1
    for e in range(hp.epochs):
        lr, momentum = timetable.lr_and_momentum(e)
        factor = hp.N / timetable.batch[e] * float(np.mean(lr * hp.wd / (1 - momentum) ** power))
        angles[e] = angle_of(factor) if factor <= 2 else math.nan
    return angles
