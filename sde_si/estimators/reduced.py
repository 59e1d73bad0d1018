"""Values of a record per epoch and at equilibrium, with standard errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from sde_si.estimators.samples import Estimate, jackknife, mean_and_error, path_or_batch_means, versine

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.estimators.window import Window

Array = np.ndarray


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
    name = _MEANS[quantity][0] if quantity in _MEANS else quantity
    return _estimate(quantity, values(record, name, group)[:, epochs], means)


def _estimate(quantity: str, found_values: Array, means: bool) -> Estimate:
    """From the variable that the quantity is made of, shape (path, epoch)."""
    _, forward, back = _MEANS.get(quantity, (quantity, _same, _same))
    samples = forward(found_values)
    found = mean_and_error(path_or_batch_means(samples) if means else samples.mean(axis=1))
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
    epochs = range(record.sizes["epoch"])
    if quantity in ("cos_epoch", "effective_lr"):  # made of other quantities
        found = [epoch_estimate(record, quantity, e + 1, group) for e in epochs]
    else:  # the variable looked up once, and not once an epoch
        whole = values(record, _MEANS[quantity][0] if quantity in _MEANS else quantity, group)
        found = [_estimate(quantity, whole[:, e : e + 1], means=False) for e in epochs]
    return np.array([f.value for f in found]), np.array([f.stderr for f in found])


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
    return mean_and_error(path_or_batch_means(1 - cosines[:, there])) if there.any() else Estimate(math.nan, math.nan)


def difference(a: xr.Dataset, b: xr.Dataset, window: Window, quantity: str) -> Estimate:
    """A minus b at equilibrium for two records driven by the same noise, path by path; nan without an equilibrium."""
    one, two = equilibrium(a, window, quantity), equilibrium(b, window, quantity)
    base = {"cos_epoch": "versine_epoch", "effective_lr": "weight_norm"}.get(quantity, quantity)
    if not window or base not in _MEANS:
        return Estimate(one.value - two.value, math.nan)
    name, forward, back = _MEANS[base]
    pairs = [path_or_batch_means(forward(values(r, name)[:, window.epochs])) for r in (a, b)]
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
