"""Which epochs of a record are in equilibrium."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.estimators.drift import FEWEST, SETTLED, drifts, said, slope
from sde_si.estimators.reduced import values
from sde_si.estimators.samples import Estimate, mean_and_error, path_or_batch_means
from sde_si.quantities import BALANCE

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
    three standard errors and under 2 % per relaxation time (`drifts`, as a monitor judges), and so is what is left of
    an exponential transient (0.1 % passes in any case: without momentum the SDE's norm has no standard error; of one
    path the errors are those of straight lines through batch means), and (b) the squared displacement of a substep
    over the squared norm is what a stationary norm needs, within max(5 s.e., 2 %).

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
    """The equilibrated epochs of a record, judged by its own method's balance; none if it is a prediction.

    A monitor's record carries the monitor's own verdict, which rests on more than closed epochs.
    """
    if "weight_norm" not in record:
        return Window(0, 0, "")
    if verdict := verdict_of(record, group):
        return Window(verdict["first"], verdict["first"], verdict["why"])
    if not {"last_change", "tuning_factor"} <= record.attrs.keys():
        return Window(0, 0, "the record does not tell how long it needs to equilibrate")
    return equilibrated(record, float(record.attrs.get("expected_displacement_ratio", math.nan)), group)


def verdict_of(record: xr.Dataset, group: str = "all") -> dict[str, Any]:
    """What the monitor that made a record said of a group; empty for other records."""
    return json.loads(record.attrs.get("equilibrium", "{}")).get(group, {})


def _stationary(log_norm: Array, moved: Array, size: Array, factor: float, expected: float) -> str:
    """Empty if in equilibrium, else why not."""
    alive = np.isfinite(log_norm).all(axis=1)
    if not alive.any():
        return "no path is finite"
    log_norm, moved, size = log_norm[alive], moved[alive], size[alive]
    if why := _drifting(log_norm, factor):
        return why
    if math.isfinite(expected):
        # a ratio of means, not a mean of ratios: both fluctuate, and together
        ratio = moved.mean() / size.mean()
        error = mean_and_error(path_or_batch_means(moved - ratio * size)).stderr / size.mean()
        error = error if math.isfinite(error) else 0.0
        if abs(ratio - expected) > max(5 * error, BALANCE * expected):
            return f"displacement and norm are out of balance: {ratio / expected:.4g} of the stationary ratio"
    return ""


def _drifting(log_norm: Array, factor: float) -> str:
    """Empty if the norm stands still, else why not.

    Of the drift of ln |x|^2 per relaxation time 1/(4 tuning factor), and of what is left of an exponential transient.
    """
    time = np.arange(log_norm.shape[1])
    decay = np.exp(-4 * factor * time)
    slope_, left = _change(log_norm, 4 * factor * (time - time.mean())), _change(log_norm, decay - decay.mean())
    for found, still in ((slope_, drifts(slope_) is False), (left, True)):
        change, error = abs(found.value), found.stderr if math.isfinite(found.stderr) else 0.0
        # means of a record are held to 0.5 %: beyond what a monitor asks, a drift must not differ from zero
        if change <= NEGLIGIBLE or (still and change <= min(3 * error, SETTLED + error)):
            continue
        if found.stderr <= SETTLED:
            return f"the norm drifts: {said(found)}"
        few = "" if math.isfinite(found.stderr) else f" (one path needs {FEWEST} epochs)"
        return f"the norm's drift is not known well enough: {said(found)}{few}"
    return ""


def _change(log_norm: Array, regressor: Array) -> Estimate:
    """Coefficient of ln |x|^2 on a centred regressor: from the spread between paths, or along the only one."""
    if log_norm.shape[0] == 1:
        return slope(regressor, log_norm[0])
    return mean_and_error(log_norm @ regressor / (regressor @ regressor))
