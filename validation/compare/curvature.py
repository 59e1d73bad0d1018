"""The rotation by the curvature that the noise sees (theory.md 18.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sde_si import theory
from sde_si.estimators import jackknife
from validation.compare.window import setting

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
CURVES = ("curvature", "curvature_weight")
UNSTABLE = 0.95  # of the edge 2 (1 + mu), from which on the law has no stationary variance (18.1)


def curvatures(record: xr.Dataset) -> list[tuple[Array, Array]]:
    """Curvatures seen by the noise and the noise along them, of every seed and checkpoint; none if not measured.

    The noise is tau/|x|^4 at the checkpoint, by its mean squared step if its trace was not measured.
    """
    if "curvature" not in record:
        return []
    nodes, weights = (record[name].transpose("path", "checkpoint", "node").values for name in CURVES)
    whole, count, last = record.sel(group="all"), nodes.shape[1], record.sizes["epoch"] - 1
    at = sorted(last - i * (last + 1) // 2 // count for i in range(count))  # Job.checkpoints
    steps = whole["angle_step"].transpose("path", "epoch").values ** 2
    trace = (whole["noise_trace"] / whole["weight_norm"] ** 4).transpose("path", "epoch").values
    size = (trace if np.isfinite(trace).all() else steps)[:, at]
    weights = weights / weights.sum(axis=-1, keepdims=True) * size[..., None]
    return list(zip(nodes.reshape(-1, nodes.shape[-1]), weights.reshape(-1, nodes.shape[-1]), strict=True))


def confined(record: xr.Dataset, steps: int, *, negative: bool = False) -> tuple[Array, Array] | None:
    """1 - cos over 0, 1, ..., `steps` steps by the curvature of seeds and checkpoints (18.7), and its standard error.

    `negative`: as measured; else negative curvature counts as 0, since a network does not run away along it.
    """
    lr, u, mu, _ = setting(record)
    seen = curvatures(record)
    if not seen:
        return None

    def law(which: Array) -> Array:
        nodes, weights = (np.concatenate([seen[i][part] for i in which]) for part in (0, 1))
        stable = lr * nodes + u < UNSTABLE * 2 * (1 + mu)
        pulls = lr * (nodes if negative else np.maximum(nodes, 0.0))
        return theory.confined_versines(steps, u, mu, pulls[stable], weights[stable])

    return jackknife(law, len(seen), len(seen))


def unstable_share(record: xr.Dataset) -> float | None:
    """Share of the noise along curvatures that the confinement law leaves out, being at or beyond the edge."""
    seen = curvatures(record)
    if not seen:
        return None
    lr, u, mu, _ = setting(record)
    edge = UNSTABLE * 2 * (1 + mu)
    nodes, weights = (np.concatenate([one[part] for one in seen]) for part in (0, 1))
    return float(weights[lr * nodes + u >= edge].sum() / weights.sum())
