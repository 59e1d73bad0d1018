"""The rotation by the curvature that the noise sees (theory.md 18.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sde_si import theory
from validation.compare.laws import Law, measured_law
from validation.compare.window import checkpoints, living, setting

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
CURVES = ("curvature", "curvature_weight")
UNSTABLE = 0.95  # of the edge 2 (1 + mu), from which on the law has no stationary variance (18.1)


def curvatures(record: xr.Dataset) -> tuple[Array, Array] | None:
    """Curvatures seen by the noise and the noise along them (path, checkpoint, node), at checkpoints in the window.

    The noise is tau/|x|^4 at the checkpoint, by its mean squared step if its trace was not measured. None if there are
    no such measurements.
    """
    found = checkpoints(record, "curvature")
    if not found.inside.size:
        return None
    nodes, weights = (record[name].transpose("path", "checkpoint", "node").values[:, found.inside] for name in CURVES)
    whole, at = record.sel(group="all"), found.epochs[found.inside] - 1
    steps = whole["angle_step"].transpose("path", "epoch").values ** 2
    trace = (whole["noise_trace"] / whole["weight_norm"] ** 4).transpose("path", "epoch").values
    size = (trace if np.isfinite(trace).all() else steps)[:, at]
    return nodes, weights / weights.sum(axis=-1, keepdims=True) * size[..., None]


def confined(record: xr.Dataset, steps: int, *, negative: bool = False) -> Law | None:
    """1 - cos over 0, 1, ..., `steps` steps by the curvature at the checkpoints in the window (18.7).

    `negative`: as measured; else negative curvature counts as 0, since a network does not run away along it.
    """
    lr, u, mu, _ = setting(record)
    seen = curvatures(record)
    if seen is None:
        return None
    nodes, weights = seen

    def curve(which: Array) -> Array:
        at, noise = nodes[which].ravel(), weights[which].ravel()
        stable = lr * at + u < UNSTABLE * 2 * (1 + mu)
        pulls = lr * (at if negative else np.maximum(at, 0.0))
        return theory.confined_versines(steps, u, mu, pulls[stable], noise[stable])

    return measured_law(record, np.asarray(np.isfinite(weights).all(axis=-1)), curve)


def unstable_share(record: xr.Dataset) -> float | None:
    """Share of the noise along curvatures that the confinement law leaves out, being at or beyond the edge."""
    record = living(record)
    seen = curvatures(record)
    if seen is None:
        return None
    lr, u, mu, _ = setting(record)
    nodes, weights = seen
    known = np.isfinite(weights).all(axis=-1)
    if not known.any():
        return None
    nodes, weights = nodes[known], weights[known]
    return float(weights[lr * nodes + u >= UNSTABLE * 2 * (1 + mu)].sum() / weights.sum())
