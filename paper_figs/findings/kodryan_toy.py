"""What Kodryan et al.'s toy does at fixed effective learning rates: its courses, levels, threshold, and their laws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr

from sde_si import Problem, sphere
from sde_si.regimes import REGIMES
from sde_si.sphere import laws

Array = np.ndarray
ALPHAS, STARTS, ITERATIONS = (1.0, 2.0, 4.0), 16, 20_000
RATES = tuple(float(f"{v:.4g}") for v in np.geomspace(0.03, 30, 25))
SAMPLES = 150  # of a course, evenly over the logarithm of time
SHOWN = (0, 4, 5, 6, 8, 10, 15, 24)  # effective LRs with courses: more cannot be told apart
FLOOR = 1e-12  # of loss and gradient norm: below it stands rounding


@dataclass(frozen=True)
class Course:
    """One effective learning rate over time, geometric means over starts.

    Attributes
    ----------
    rate : float
        Effective learning rate.
    regime : str
        A name of `sde_si.regimes`.
    loss, gradient_norm : ndarray, shape (sample,)
    """

    rate: float
    regime: str
    loss: Array
    gradient_norm: Array

    @property
    def resolved(self) -> tuple[Array, Array]:
        """Gradient norm and loss where both are above `FLOOR`."""
        some = (self.loss > FLOOR) & (self.gradient_norm > FLOOR)
        return self.gradient_norm[some], self.loss[some]


@dataclass(frozen=True)
class Found:
    """The toy, measured and predicted.

    Attributes
    ----------
    iteration : ndarray, shape (sample,)
        Of the samples of `courses`.
    courses : list of Course
        Of the effective learning rates `SHOWN`.
    rates : ndarray, shape (cell,)
        Effective learning rates.
    levels : dict of str to ndarray, shape (3, cell)
        By the name of the regime: effective learning rate, mean loss over time and starts, its standard error.
    individual : ndarray, shape (cell, group)
        Each group's effective learning rate, harmonic mean over time.
    threshold, threshold_error : float
        Of convergence, as measured.
    fine, law : ndarray, shape (point,)
        Effective learning rates, and the predicted mean loss at them.
    threshold_law, random : float
        The predicted threshold, and the loss of random directions.
    """

    iteration: Array
    courses: list[Course]
    rates: Array
    levels: dict[str, Array]
    individual: Array
    threshold: float
    threshold_error: float
    fine: Array
    law: Array
    threshold_law: float
    random: float | None


def sweep() -> xr.Dataset:
    """Loss, gradient norm, individual rates and regime at every effective learning rate; the threshold."""
    found = sphere.sweep(Problem("groups", alphas=ALPHAS), RATES, starts=STARTS, iterations=ITERATIONS)
    points, times = found.points, found.points[0].course.iterations
    some = np.unique(np.geomspace(1, times.size, SAMPLES).astype(int) - 1)
    data = {name: (("cell", "sample"), np.array([_mean(getattr(p.course, name)[:, some]) for p in points], np.float32))
            for name in ("loss", "gradient_norm")}  # fmt: skip
    levels = {name: ("cell", np.array([getattr(p, name) for p in points])) for name in ("loss_mean", "loss_stderr")}
    each = {"individual_lr": (("cell", "group"), np.array([p.individual_lr[1] for p in points]))}
    names = {"effective_lr": ("cell", np.array(RATES)), "regime": ("cell", np.array([p.regime.name for p in points])),
             "iteration": ("sample", times[some].astype(np.int32))}  # fmt: skip
    threshold = {"threshold": found.threshold_measured, "threshold_stderr": found.threshold_stderr}
    return xr.Dataset(data | levels | each, names, {key: float(value or np.nan) for key, value in threshold.items()})


def _mean(values: Array) -> Array:
    """Geometric mean over starts, of values (start, sample)."""
    return np.exp(np.log(np.maximum(values, 1e-18)).mean(axis=0))


def find(record: xr.Dataset) -> Found:
    """What is in the record of a `sweep`, with the predictions."""
    rates, regimes = record["effective_lr"].values, record["regime"].values.astype(str)
    courses = [Course(float(rates[k]), str(regimes[k]), record["loss"].values[k], record["gradient_norm"].values[k])
               for k in SHOWN]  # fmt: skip
    level = np.array([rates, record["loss_mean"].values, record["loss_stderr"].values])
    setting, fine = sphere.Setting(problem=Problem("groups", alphas=ALPHAS)), np.geomspace(rates[0], rates[-1], 300)
    return Found(
        iteration=record["iteration"].values, courses=courses, rates=rates,
        levels={name: level[:, regimes == name] for name in REGIMES if name in regimes},
        individual=record["individual_lr"].values,
        threshold=record.attrs["threshold"], threshold_error=record.attrs["threshold_stderr"],
        fine=fine, law=np.array([laws.mean_loss(setting, float(rate)) for rate in fine]),
        threshold_law=1 / sum(ALPHAS), random=laws.random_loss(setting),
    )  # fmt: skip


def seen(found: Found) -> str:
    """Threshold and levels in sentences."""
    text = f"""threshold measured at {found.threshold:.6f} ± {found.threshold_error:.0e}, predicted 1/Σα =
    {found.threshold_law:.6f}. Above it the level is (Σα - 1/η)/2 as long as all groups share one two-cycle, and
    scatters about it in chaos. The toy's third regime is a smooth saturation at the loss of random directions, no
    divergence."""
    return " ".join(text.split())
