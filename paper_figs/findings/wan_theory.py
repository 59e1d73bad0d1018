"""Length and angle per step on their way to equilibrium, and the angle through a drop of the learning rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from paper_figs.grid import with_error
from paper_figs.style import DEGREES
from sde_si import theory
from sde_si.theory import predict

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.run import Run

Array = np.ndarray
STARTS, APPROACH = (0.3, 1.0, 3.0), 40  # lengths over that of equilibrium; epochs from there
DROP, BEFORE, AFTER = 10.0, 10, 50  # of the learning rate; epochs before it and after
U, STEPS = 5e-4, 100  # lr wd before the drop; steps per epoch
ANGLES = float(np.sqrt(2 * U)), float(np.sqrt(2 * U / DROP))  # equilibrium before the drop and after, radians a step
QUANTITIES = ("weight_norm", "angle_step")


@dataclass(frozen=True)
class Course:
    """Length, or rms angle per step in radians, epoch by epoch.

    Attributes
    ----------
    epoch : ndarray, shape (epoch,)
        Counted from 1 at the start, or at the drop.
    mean, error : ndarray, shape (epoch,)
        The optimizer's, with its standard error over paths.
    sde, exact : ndarray, shape (epoch,)
        Mean over paths of the SDE, and the exact course; nan where they are not compared, as before the drop.
    """

    epoch: Array
    mean: Array
    error: Array
    sde: Array
    exact: Array

    def ratio(self, epoch: int, unit: float, digits: int = 3) -> str:
        """Mean of an epoch over `unit`, with its error."""
        (at,) = np.flatnonzero(self.epoch == epoch)
        return with_error(float(self.mean[at]) / unit, float(self.error[at]) / unit, digits)


@dataclass(frozen=True)
class Found:
    """What the figure shows.

    Attributes
    ----------
    starts : dict of dict of Course
        By quantity, then by start.
    formula : dict of float
        The paper's equilibrium, by quantity.
    drop, rescaled : Course
        Angle per step through the drop, and of a run that begins after it at the new equilibrium length.
    """

    starts: dict[str, dict[float, Course]]
    formula: dict[str, float]
    drop: Course
    rescaled: Course


def find(record: xr.Dataset, known: Mapping[str, Run]) -> Found:
    """All courses of the record; `known` are the runs that it was simulated from."""
    exact = {start: predict(known[f"sgd from {start:g}eq"]) for start in STARTS}
    starts = {
        name: {start: _course(record, f" from {start:g}eq", name, exact[start][f"{name}_predicted"].values[:APPROACH])
               for start in STARTS}
        for name in QUANTITIES
    }  # fmt: skip
    one = known["sgd from 1eq"]
    trace = one.arrays.noise_variance * 127 / 64  # of a minibatch's gradient: 127 directions, 64 samples
    formula = theory.first_order(one.hyperparameters, noise_trace=trace)
    middles = STEPS * (np.arange(1, AFTER + 1) - 0.5)  # of the epochs after the drop, in steps
    law = np.append(np.full(BEFORE, np.nan), theory.lr_drop_angle(middles, U / DROP, DROP))
    nothing = np.full(AFTER, np.nan)
    return Found(
        starts=starts,
        formula={name: formula[name] or 0.0 for name in QUANTITIES},
        drop=_course(record, ", drop", "angle_step", law, before=BEFORE),
        rescaled=replace(_course(record, ", rescaled", "angle_step", nothing), sde=nothing),
    )


def _course(record: xr.Dataset, run: str, quantity: str, exact: Array, before: int = 0) -> Course:
    """Of the optimizer and of the SDE, over the epochs of `exact`."""
    sgd, sde = (record.sel(cell=f"{method}{run}").isel(epoch=slice(exact.size)) for method in ("sgd", "splitting"))
    mean, error = sgd[quantity].values, sgd[f"{quantity}_stderr"].values
    return Course(sgd["epoch"].values - before, mean, error, sde[quantity].values, exact)


def seen(found: Found) -> str:
    """Angles at the end of each approach, and around the drop over the new equilibrium."""
    courses, (old, new) = found.starts["angle_step"].values(), ANGLES
    ends = [f"{one.ratio(APPROACH, 1 / DEGREES, 4)} ({DEGREES * one.exact[-1]:.4f})" for one in courses]
    away = [abs(one.mean[-1] - one.exact[-1]) / one.error[-1] for one in courses]
    laws = found.drop.exact[BEFORE:] / new
    text = f"""degrees a step in epoch 40 after a start at {", ".join(f"{s:g}" for s in STARTS)} times the equilibrium
    length, and by the exact course: {", ".join(ends)}, at most {max(away):.1f} standard errors away; equilibrium,
    sqrt(2u), is {DEGREES * old:.4f}. In the first epoch after the drop the angle is
    {found.drop.ratio(1, new)} of its new equilibrium value (theory {laws[0]:.3f}), after {AFTER} epochs
    {found.drop.ratio(AFTER, new)} ({laws[-1]:.3f}). Nothing is rescaled here: the other points are a fresh run that
    starts at the new equilibrium length, where rescaling would put the weights; it has
    {found.rescaled.ratio(1, new)} in its first epoch. That a running optimizer gets there by rescaling is the claim
    `lr-drop-rescaled` (6.5); for a network see wan-lr-drop. The paper's rate is that near equilibrium; from far above,
    the length falls as exp(-u k), four times slower (theory 12, P5)."""
    return " ".join(text.split())
