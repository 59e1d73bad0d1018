"""Which epochs of a record are in equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sde_si.estimators.reduced import values
from sde_si.estimators.samples import mean_and_error, path_or_batch_means

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
NEGLIGIBLE = 1e-3  # a drift of ln |x|^2 that shifts no mean by more than a twentieth of the tolerance of 0.5 %


@dataclass(frozen=True)
class Window:
    """The equilibrated epochs of a record.

    Attributes
    ----------
    first : int
        First equilibrated epoch (from 1); all to the end are. 0 if there are none.
    candidate : int
        First epoch that the transient allows.
    why : str
        In words, for people.
    """

    first: int
    candidate: int
    why: str

    def __bool__(self) -> bool:
        return self.first > 0

    @property
    def epochs(self) -> slice:
        """As a slice of the epoch axis."""
        return slice(self.first - 1, None)


def candidate_epoch(last_change: int, tuning_factor: float) -> float:
    """First epoch after the last change and max(7/(4 tuning factor), 5) epochs; infinite without weight decay."""
    if tuning_factor == 0:
        return math.inf
    return last_change + math.ceil(max(7 / (4 * tuning_factor), 5)) + 1


def equilibrated(record: xr.Dataset, expected_ratio: float, group: str = "all") -> Window:
    """Which epochs are in equilibrium, from measured quantities alone.

    After the transient, in the longest stretch to the end for which (a) the slope of ln |x|^2 per path is zero within
    three standard errors and under 2 % per relaxation time (plus one standard error), and so is what is left of an
    exponential transient (0.1 % passes in any case: without momentum the SDE's norm has no standard error), and (b) the
    squared displacement of a substep over the squared norm is what a stationary norm needs, within max(5 s.e., 2 %).

    Parameters
    ----------
    record : Dataset
        With attributes ``last_change`` and ``relaxation_rate`` (per epoch, of |x|^2; without it 4 ``tuning_factor``).
    expected_ratio : float
        `sde_si.theory.displacement_ratio`; nan skips (b).
    group : str
        Which group.
    """
    rate = record.attrs.get("relaxation_rate")
    factor = float(record.attrs["tuning_factor"]) if rate is None else float(rate) / 4
    total = record.sizes["epoch"]
    if math.isnan(factor):
        return Window(0, 0, "how long the method needs to equilibrium on this loss is not known")
    candidate = candidate_epoch(int(record.attrs["last_change"]), factor)
    if math.isinf(candidate):
        return Window(0, 0, "no weight decay, no equilibrium")
    candidate = int(candidate)
    if candidate > total - 2:
        return Window(0, candidate, f"needs at least {candidate + 2} epochs, the run has {total}")
    log_norm = 2 * np.log(values(record, "weight_norm", group))
    moved, size = (values(record, f"mean_squared_{name}", group) for name in ("displacement", "norm"))
    why = ""
    length = total - candidate + 1
    for part in range(4):
        first = candidate + part * length // 4
        if total - first < 2:
            break
        rest = slice(first - 1, None)
        why = _stationary(log_norm[:, rest], moved[:, rest], size[:, rest], factor, expected_ratio)
        if not why:
            return Window(first, candidate, f"epochs {first} to {total} are equilibrated")
    return Window(0, candidate, why)


def window_of(record: xr.Dataset, group: str = "all") -> Window:
    """The equilibrated epochs of a record, judged by its own method's balance; none if it is a prediction."""
    if "weight_norm" not in record:
        return Window(0, 0, "")
    return equilibrated(record, float(record.attrs["expected_displacement_ratio"]), group)


def _stationary(log_norm: Array, moved: Array, size: Array, factor: float, expected: float) -> str:
    """Empty if in equilibrium, else why not."""
    alive = np.isfinite(log_norm).all(axis=1)
    if not alive.any():
        return "no path is finite"
    log_norm, moved, size = log_norm[alive], moved[alive], size[alive]
    time = np.arange(log_norm.shape[1])
    centred = time - time.mean()
    # drift of ln |x|^2 per relaxation time 1/(4 tuning factor), and what is left of an exponential transient
    slope = mean_and_error(log_norm @ centred / (centred @ centred) / (4 * factor))
    decay = np.exp(-4 * factor * time)
    decay -= decay.mean()
    left = mean_and_error(log_norm @ decay / (decay @ decay))
    for found in (slope, left):
        error = found.stderr if math.isfinite(found.stderr) else 0.0
        if abs(found.value) > max(3 * error, NEGLIGIBLE) or abs(found.value) > 0.02 + error:
            return f"the norm drifts: ln|x|^2 changes by {found.value:+.2g} +- {error:.1g} per relaxation time"
    if math.isfinite(expected):
        # a ratio of means, not a mean of ratios: both fluctuate, and together
        ratio = moved.mean() / size.mean()
        error = mean_and_error(path_or_batch_means(moved - ratio * size)).stderr / size.mean()
        error = error if math.isfinite(error) else 0.0
        if abs(ratio - expected) > max(5 * error, 0.02 * expected):
            return f"displacement and norm are out of balance: {ratio / expected:.4g} of the stationary ratio"
    return ""
