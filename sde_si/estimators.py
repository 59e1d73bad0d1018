"""What is estimated from a record: values per epoch, equilibrium values, and whether there is an equilibrium."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
NEGLIGIBLE = 1e-3  # a drift of ln |x|^2 that shifts no mean by more than a twentieth of the tolerance of 0.5 %
FEWEST_PATHS = 8  # below it the spread between paths says too little; batch means over epochs instead


@dataclass(frozen=True)
class Estimate:
    """A measured value and its standard error; nan where unknowable."""

    value: float
    stderr: float


def mean_and_error(samples: Array) -> Estimate:
    """Mean and standard error of independent samples."""
    samples = samples[np.isfinite(samples)]
    if samples.size == 0:
        return Estimate(math.nan, math.nan)
    error = samples.std(ddof=1) / math.sqrt(samples.size) if samples.size > 1 else math.nan
    return Estimate(float(samples.mean()), float(error))


def rms(samples: Array) -> Estimate:
    """Root mean square of independent samples."""
    found = mean_and_error(samples**2)
    root = math.sqrt(found.value)
    return Estimate(root, found.stderr / (2 * root))


def ratio(top: Array, bottom: Array) -> Estimate:
    """Ratio of the means of paired samples, which fluctuate together; its error to first order."""
    size = float(bottom.mean())
    value = float(top.mean()) / size
    return Estimate(value, mean_and_error(top - value * bottom).stderr / abs(size))


def versine(angle: Array) -> Array:
    """1 - cos of an angle (radians) without losing digits near 0."""
    return 2 * np.sin(angle / 2) ** 2


def chord_versine(x: Array, y: Array) -> Array:
    """1 - cos between weights ``x[..., d]`` and ``y[..., d]``, from the chord: no digits are lost near 0."""
    unit = [v / np.linalg.norm(v, axis=-1, keepdims=True) for v in (x, y)]
    return np.sum((unit[1] - unit[0]) ** 2, axis=-1) / 2


def jackknife(reduce: Callable[[Array], Any], paths: int, folds: int) -> tuple[Any, Any]:
    """``reduce(indices of paths)`` of all paths and its standard error by leaving out folds (nan of one path)."""
    every = np.arange(paths)
    if paths < 2:
        found = reduce(every)
        return found, np.full(np.shape(found), np.nan)
    parts = np.array_split(every, min(folds, paths))
    left = np.array([reduce(np.setdiff1d(every, part)) for part in parts])
    spread = np.sum((left - left.mean(axis=0)) ** 2, axis=0)
    return reduce(every), np.sqrt((len(parts) - 1) / len(parts) * spread)


def log_slope(x: Array, y: Array, stderr: Array) -> Estimate:
    """Slope of ln |y| against ln x by weighted least squares, for independent points.

    Parameters
    ----------
    x, y, stderr : ndarray, shape (points,)
        Positive abscissae; values; their standard errors.
    """
    weight = (np.asarray(y) / stderr) ** 2
    u, v = np.log(x), np.log(np.abs(y))
    u = u - np.sum(weight * u) / np.sum(weight)
    spread = float(np.sum(weight * u * u))
    return Estimate(float(np.sum(weight * u * v)) / spread, 1 / math.sqrt(spread))


def _path_or_batch_means(values: Array) -> Array:
    """Independent means of values (path, epoch): per path, or, with few paths, per batch of epochs."""
    alive = values[np.isfinite(values).all(axis=1)]
    if alive.shape[0] >= FEWEST_PATHS:
        return alive.mean(axis=1)
    batches = min(10, alive.shape[1])
    # neighbouring epochs are correlated: batches of consecutive epochs are much less so
    return np.array([part.mean() for row in alive for part in np.array_split(row, batches)])


def _same(v: Array) -> Array:
    return v


# quantity -> (variable, to an additive mean, back): means are taken where they are exact; the rest is averaged as it is
_MEANS = {
    "weight_norm": ("weight_norm", np.square, np.sqrt),
    "angle_step": ("angle_step", np.square, np.sqrt),
    # 1 - cos, from the angle: no digits are lost near 1
    "versine_epoch": ("angle_epoch", versine, _same),
    "angle_epoch": ("angle_epoch", versine, lambda v: 2 * np.arcsin(np.sqrt(v / 2))),
}


def values(record: xr.Dataset, name: str, group: str = "all") -> Array:
    """A variable of one group, shape (path, epoch)."""
    variable = record[name]
    if "group" in variable.dims:
        variable = variable.sel(group=group)
    return variable.transpose("path", "epoch").values


def _reduce(record: xr.Dataset, quantity: str, group: str, epochs: slice, means: bool) -> Estimate:
    if quantity == "cos_epoch":
        versine = _reduce(record, "versine_epoch", group, epochs, means)
        return Estimate(1 - versine.value, versine.stderr)
    if quantity == "effective_lr":
        norm = _reduce(record, "weight_norm", group, epochs, means)
        lr = float(record["lr"].values[epochs][-1])
        return Estimate(lr / norm.value**2, 2 * lr / norm.value**3 * norm.stderr)
    name, forward, back = _MEANS.get(quantity, (quantity, _same, _same))
    samples = forward(values(record, name, group)[:, epochs])
    found = mean_and_error(_path_or_batch_means(samples) if means else samples.mean(axis=1))
    if not math.isfinite(found.value):
        return found
    value = float(back(found.value))
    slope = _slope(back, found.value)
    return Estimate(value, found.stderr * slope)


def _slope(function, at: float) -> float:
    """Derivative, for the error of a function of a mean."""
    step = 1e-6 * abs(at)
    return float((function(at + step) - function(at - step)) / (2 * step)) if step else 1.0


def epoch_estimate(record: xr.Dataset, quantity: str, epoch: int, group: str = "all") -> Estimate:
    """Mean over paths at one epoch (from 1), with the standard error between paths."""
    return _reduce(record, quantity, group, slice(epoch - 1, epoch), means=False)


def series(record: xr.Dataset, quantity: str, group: str = "all") -> tuple[Array, Array]:
    """Means over paths at every epoch and their standard errors."""
    found = [epoch_estimate(record, quantity, e + 1, group) for e in range(record.sizes["epoch"])]
    return np.array([f.value for f in found]), np.array([f.stderr for f in found])


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
        error = mean_and_error(_path_or_batch_means(moved - ratio * size)).stderr / size.mean()
        error = error if math.isfinite(error) else 0.0
        if abs(ratio - expected) > max(5 * error, 0.02 * expected):
            return f"displacement and norm are out of balance: {ratio / expected:.4g} of the stationary ratio"
    return ""


def equilibrium(record: xr.Dataset, window: Window, quantity: str, group: str = "all") -> Estimate:
    """Mean over paths and equilibrated epochs; nan without an equilibrium."""
    if not window:
        return Estimate(math.nan, math.nan)
    if quantity == "time_to_equilibrium":
        return relaxation(record, window, group)
    return _reduce(record, quantity, group, window.epochs, means=True)


def lag_versine(record: xr.Dataset, window: Window, lag: int, group: str = "all") -> Estimate:
    """1 - cos over a lag (optimizer steps) at equilibrium, from all equilibrated epochs after which the run goes on."""
    if not window:
        return Estimate(math.nan, math.nan)
    cosines = record["cos_lag"].sel(group=group, lag=lag).transpose("path", "epoch").values[:, window.epochs]
    # an epoch without that lag has it on no path: the run was over
    there = np.isfinite(cosines).any(axis=0)
    return mean_and_error(_path_or_batch_means(1 - cosines[:, there])) if there.any() else Estimate(math.nan, math.nan)


def difference(a: xr.Dataset, b: xr.Dataset, window: Window, quantity: str) -> Estimate:
    """A minus b at equilibrium for two records driven by the same noise, path by path; nan without an equilibrium."""
    one, two = equilibrium(a, window, quantity), equilibrium(b, window, quantity)
    base = {"cos_epoch": "versine_epoch", "effective_lr": "weight_norm"}.get(quantity, quantity)
    if not window or base not in _MEANS:
        return Estimate(one.value - two.value, math.nan)
    name, forward, back = _MEANS[base]
    pairs = [_path_or_batch_means(forward(values(r, name)[:, window.epochs])) for r in (a, b)]
    spread = mean_and_error(pairs[0] - pairs[1]).stderr if pairs[0].shape == pairs[1].shape else math.nan
    slope = abs(_slope(back, float(pairs[0].mean())))
    if quantity == "effective_lr":
        slope *= 2 * one.value / math.sqrt(float(pairs[0].mean()))
    return Estimate(one.value - two.value, spread * slope)


def relaxation(record: xr.Dataset, window: Window, group: str = "all") -> Estimate:
    """Epochs in which a small deviation of |x|^4 from equilibrium falls by e, from the transient; nan if it had none.

    Weighted straight line through ln |(E|x|^2/E*)^2 - 1| over the epochs where the deviation is below one half and
    more than 1 % and ten standard errors; its error by leaving out each path in turn.
    """
    last = int(record.attrs["last_change"])
    squares = values(record, "weight_norm", group) ** 2
    start = record["weight_norm_initial"].sel(group=group).values[:, None] ** 2
    squares = np.concatenate([start, squares], axis=1) if last == 0 else squares[:, last - 1 :]
    squares = squares[np.isfinite(squares).all(axis=1)]
    settled = window.first - last - 1 + 1

    def quartic(rows: Array) -> Array:
        mean = rows.mean(axis=0)
        return (mean / mean[settled:].mean()) ** 2 - 1

    if squares.shape[0] < 1 or settled >= squares.shape[1]:
        return Estimate(math.nan, math.nan)
    deviation = quartic(squares)
    noise = (
        2 * squares.std(axis=0, ddof=1) / squares.mean(axis=0) / math.sqrt(squares.shape[0]) if len(squares) > 1 else 0
    )
    small = np.abs(deviation[:settled]) < 0.5
    begin = int(np.argmax(small)) if small.any() else settled
    clear = (np.abs(deviation) > np.maximum(10 * noise, 0.01))[begin:settled]
    stop = begin + (int(np.argmin(clear)) if not clear.all() else clear.size)
    if stop - begin < 3:
        return Estimate(math.nan, math.nan)

    def fit(rows: Array) -> float:
        d = np.abs(quartic(rows))[begin:stop]
        return -1 / np.polyfit(np.arange(d.size), np.log(d), 1, w=d)[0]

    if squares.shape[0] < 2:
        return Estimate(fit(squares), math.nan)
    value, error = jackknife(lambda kept: fit(squares[kept]), squares.shape[0], 32)
    return Estimate(float(value), float(error))
