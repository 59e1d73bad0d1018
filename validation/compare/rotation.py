"""The rotation of a trained network at equilibrium, per step, per epoch and per lag, beside every law that applies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sde_si.record import configuration

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
UNSTABLE = 0.95  # of the edge 2 (1 + mu), from which on the law has no stationary variance (18.1)
NOISE_ONLY, RESHUFFLED, CONFINED, ANSWERED = (
    "noise alone (9.2)", "reshuffled (1.13)", "curvature (18.2)", "response (18.8)",
)  # fmt: skip


@dataclass(frozen=True)
class Rotation:
    """1 - cos over a window of steps: measured, and by each law that applies, those from measurements with errors."""

    name: str
    steps: int
    measured: float
    stderr: float
    laws: dict[str, float]
    errors: dict[str, float] = field(default_factory=dict)


def curvatures(record: xr.Dataset) -> list[tuple[Array, Array]]:
    """Curvatures seen by the noise and their shares, of every seed and checkpoint; none if they were not measured."""
    if "curvature" not in record:
        return []
    nodes, weights = (
        record[name].transpose("path", "checkpoint", "node").values.reshape(-1, record.sizes["node"])
        for name in ("curvature", "curvature_weight")
    )
    return [(n, w / w.sum()) for n, w in zip(nodes, weights, strict=True)]


def _setting(record: xr.Dataset) -> tuple[float, float, float, int]:
    """lr, u, momentum and steps of an epoch, at the end of the run."""
    made, lr = configuration(record), float(record["lr"].values[-1])
    return lr, lr * made["wd"], made["momentum"], int(record["steps_per_epoch"].values[-1])


def confined(record: xr.Dataset, steps: int, *, negative: bool = False) -> list[Array]:
    """1 - cos over 0, 1, ..., `steps` steps by the curvature (18.2), of every seed and checkpoint.

    `negative`: as measured; else negative curvature counts as 0, since a network does not run away along it.
    """
    from sde_si import theory

    lr, u, mu, _ = _setting(record)
    out = []
    for nodes, weights in curvatures(record):
        stable = lr * nodes + u < UNSTABLE * 2 * (1 + mu)
        pulls = lr * (nodes if negative else np.maximum(nodes, 0.0))
        out.append(theory.confined_versines(steps, u, mu, pulls[stable], weights[stable]))
    return out


def answered(record: xr.Dataset, steps: int) -> tuple[Array, Array] | None:
    """1 - cos over 0, 1, ..., `steps` steps by the response to kicks of noise (18.8), and its standard error.

    Kicks count by their size, as they do in the rotation; the error is that of leaving out each in turn. nan beyond
    the longest delay followed.
    """
    from sde_si import theory

    if "response" not in record:
        return None
    _, u, mu, _ = _setting(record)
    H = record["response"].transpose("path", "kick", "delay").values.reshape(-1, record.sizes["delay"])
    size = record["kick_size"].transpose("path", "kick").values.reshape(-1, 1)

    def curve(which: Array) -> Array:
        out = np.full(steps + 1, np.nan)
        found = theory.response_versines(u, mu, (size[which] * H[which]).sum(axis=0))[: steps + 1]
        out[: found.size] = found
        return out

    count = len(H)
    left_out = np.array([curve(np.arange(count) != i) for i in range(count)]) if count > 1 else np.full((2, 1), np.nan)
    error = np.sqrt((count - 1) / count * np.sum((left_out - left_out.mean(axis=0)) ** 2, axis=0))
    return curve(np.arange(count)), np.broadcast_to(error, (steps + 1,))


def laws(record: xr.Dataset, steps: int, *, middle: bool = False) -> dict[str, tuple[Array, Array]]:
    """1 - cos over 0, 1, ..., `steps` steps by every law that applies, and the standard error of what it rests on."""
    from sde_si import theory

    _, u, mu, n = _setting(record)
    exact = {NOISE_ONLY: 1 - theory.lag_cosines(steps, u, mu)}
    if configuration(record)["sampling"] == "reshuffle":
        exact[RESHUFFLED] = theory.reshuffled_versines(n, u, mu, steps, start=n // 2 if middle else 0)
    out = {name: (curve, np.zeros(steps + 1)) for name, curve in exact.items()}
    for name, curves in ((CONFINED, confined(record, steps)), (ANSWERED, answered(record, steps))):
        if curves:
            spread = (
                np.std(curves, axis=0, ddof=1) / len(curves) ** 0.5 if len(curves) > 1 else np.full(steps + 1, np.nan)
            )
            out[name] = (np.mean(curves, axis=0), spread)
    return out


def unstable_share(record: xr.Dataset) -> float | None:
    """Share of the noise along curvatures that the confinement law leaves out, being at or beyond the edge."""
    seen = curvatures(record)
    if not seen:
        return None
    lr, u, mu, _ = _setting(record)
    edge = UNSTABLE * 2 * (1 + mu)
    return float(np.mean([weights[lr * nodes + u >= edge].sum() for nodes, weights in seen]))


def rotations(record: xr.Dataset) -> list[Rotation]:
    """Per step, per epoch from end to end and from middle to middle, and at every recorded lag, at equilibrium."""
    from sde_si.estimators import Estimate, lag_versine, mean_and_error, values, window_of

    window, n = window_of(record), int(record["steps_per_epoch"].values[-1])
    lags = [int(lag) for lag in record["lag"].values] if "lag" in record else []
    longest = max([n, *lags])
    ends, middles = laws(record, longest), laws(record, n, middle=True)

    def versine(name: str) -> Estimate:
        if not window:
            return mean_and_error(np.array([]))
        angle = values(record, name)[:, window.epochs]
        return mean_and_error(batch_means(2 * np.sin(angle / 2) ** 2))

    found = [("one step", 1, versine("angle_step"), ends), ("epoch, end to end", n, versine("angle_epoch"), ends),
             ("epoch, middle to middle", n, versine("angle_middle"), middles)]  # fmt: skip
    found += [(f"lag {lag}", lag, lag_versine(record, window, lag), ends) for lag in lags]
    return [
        Rotation(name, steps, one.value, one.stderr,
                 {law: float(curve[steps]) for law, (curve, _) in of.items()},
                 {law: float(error[steps]) for law, (_, error) in of.items()})
        for name, steps, one, of in found
    ]  # fmt: skip


def batch_means(samples: Array) -> Array:
    """Means of up to ten batches of consecutive epochs of each seed (path, epoch): nearly independent."""
    count = min(10, samples.shape[1])
    return np.array([np.nanmean(part) for row in samples for part in np.array_split(row, count)])
