"""Three settings A, B, C by AdamW and by SGDM: angles and losses in decay times, and from when on B is like C."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import style
from paper_figs.grid import with_error
from sde_si import Problem, theory
from sde_si.theory import predict
from validation.experiments.catalogue.li_trajectory_invariance import crossover

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.run import Run

Array = np.ndarray
SYSTEMS = {"A": "lr, wd", "B": "lr, 4 wd", "C": "4 lr, wd"}
OPTIMIZERS = ("AdamW", "SGDM")
U = 2e-4  # lr wd of B and C, per step


@dataclass(frozen=True)
class Course:
    """One system by one optimizer, mean over paths and standard error, each of shape (epoch,).

    Attributes
    ----------
    angle, angle_error, law : ndarray
        Rms angle per step in degrees, and its prediction from the noise alone.
    loss, loss_error : ndarray
        Above its minimum.
    """

    angle: Array
    angle_error: Array
    law: Array
    loss: Array
    loss_error: Array


@dataclass(frozen=True)
class Optimizer:
    """One optimizer.

    Attributes
    ----------
    name : str
    unit : float
        A decay time is 1/(this times lr wd) steps.
    time : ndarray, shape (epoch,)
        Ends of epochs in decay times of B and C.
    courses : dict of str to Course
        Of the `SYSTEMS`.
    """

    name: str
    unit: float
    time: Array
    courses: dict[str, Course]

    @property
    def share(self) -> tuple[Array, Array]:
        """Where the loss of B lies from that of A (0) to that of C (1), and the error of that, shape (epoch,)."""
        (A, B, C), (a, b, c) = ([getattr(one, key) for one in self.courses.values()] for key in ("loss", "loss_error"))
        share = (B - A) / (C - A)
        return share, np.sqrt(b**2 + (share * c) ** 2 + ((1 - share) * a) ** 2) / np.abs(C - A)

    def nearer(self, quantity: str) -> float:
        """Decay time from which on B stays nearer to C than to A in a quantity of `Course`; nan: not by the end."""
        epoch = crossover(*(getattr(one, quantity) for one in self.courses.values()))
        return float("nan") if np.isnan(epoch) else float(self.time[int(epoch)])


def find(record: xr.Dataset, known: dict[str, Run]) -> list[Optimizer]:
    """What the record of simulations says."""
    found = []
    for name in OPTIMIZERS:
        hp = known[f"{name} A"].hyperparameters
        unit = 2.0 if known[f"{name} A"].method.extras else 4 / (1 - hp.momentum)
        courses = {system: _course(record, f"{name} {system}", known[f"{name} {system}"]) for system in SYSTEMS}
        found.append(Optimizer(name, unit, unit * U * hp.steps_per_epoch * np.arange(1, hp.epochs + 1), courses))
    return found


def _course(record: xr.Dataset, name: str, one: Run) -> Course:
    cell = record.sel(cell=name)[{"epoch": slice(one.hyperparameters.epochs)}]
    angle, error = (style.DEGREES * cell[key].values for key in ("angle_step", "angle_step_stderr"))
    loss = cell["loss"].values + one.problem.parameters["signal"]  # the loss is -<m, y>
    return Course(angle, error, style.DEGREES * step_angle(one), loss, cell["loss_stderr"].values)


def step_angle(one: Run) -> Array:
    """Predicted rms angle per step at the ends of epochs, from the noise alone."""
    if one.method.name != "adamw":
        alone = one.replace(problem=Problem("isotropic", dim=one.arrays.dim, noise_scale=1.0))
        return predict(alone)["angle_step_predicted"].values
    hp, dim = one.hyperparameters, one.arrays.dim
    k = hp.steps_per_epoch * (np.arange(1, hp.epochs + 1) - 0.5)
    square = theory.relaxed(k, one.start_norm**2, hp.lr * dim / (2 * hp.wd), hp.intrinsic_lr)
    return hp.lr * np.sqrt((1 - hp.momentum) / (1 + hp.momentum) * dim / square)


def seen(found: list[Optimizer]) -> str:
    """When B leaves A for C, by optimizer, and what the figure does not show."""
    text = f"""where the loss of B lies between that of equal lr (0) and that of equal lr wd (1), and from which time on
    it stays nearer to equal lr wd, in decay times: 1/(2 lr wd) steps of AdamW and, faster since its own updates feed
    the length, (1-mu)/(4 lr wd) of SGDM. {"; ".join(map(_told, found))}. Predictions are from the noise alone; what is
    left is the mean gradient. No dashed line: Li et al. state an invariance and no formula. No line for the loss: there
    is no prediction of it. No crosses: AdamW has no SDE here, that of SGDM is on lag-cosine. Li et al. see the same
    order, equal lr first and equal lr wd later, in a language model with AdamW; SGDM is not theirs."""
    return " ".join(text.split())


def _told(one: Optimizer) -> str:
    (share, error), ends = one.share, (slice(3), slice(-10, None))
    first, last = (with_error(float(share[some].mean()), float(error[some].mean()), 2) for some in ends)
    angle, law, loss = ("no time" if np.isnan(at) else f"{at:.1f}" for at in map(one.nearer, ("angle", "law", "loss")))
    return (f"{one.name}: {first} at first, {last} at last, nearer from {angle} on in the angle, "
            f"{law} by its prediction, from {loss} on in the loss")  # fmt: skip
