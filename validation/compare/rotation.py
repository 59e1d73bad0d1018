"""The rotation of a trained network at equilibrium, per step, per epoch and per lag, beside every law that applies."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sde_si.estimators import jackknife
from sde_si.record import configuration
from validation.compare.window import window

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.estimators import Estimate

Array = np.ndarray
CURVES = ("curvature", "curvature_weight")
UNSTABLE = 0.95  # of the edge 2 (1 + mu), from which on the law has no stationary variance (18.1)
LAWS = ("noise alone (9.2)", "curvature (18.7)", "response (18.8)", "response, both ways (18.9)", "reshuffled (1.13)")
NOISE_ONLY, CONFINED, ANSWERED, BOTH_WAYS, RESHUFFLED = LAWS


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


def _setting(record: xr.Dataset) -> tuple[float, float, float, int]:
    """lr, u, momentum and steps of an epoch, at the end of the run."""
    made, lr = configuration(record), float(record["lr"].values[-1])
    return lr, lr * made["wd"], made["momentum"], int(record["steps_per_epoch"].values[-1])


def confined(record: xr.Dataset, steps: int, *, negative: bool = False) -> tuple[Array, Array] | None:
    """1 - cos over 0, 1, ..., `steps` steps by the curvature of seeds and checkpoints (18.7), and its standard error.

    `negative`: as measured; else negative curvature counts as 0, since a network does not run away along it.
    """
    from sde_si import theory

    lr, u, mu, _ = _setting(record)
    seen = curvatures(record)
    if not seen:
        return None

    def law(which: Array) -> Array:
        nodes, weights = (np.concatenate([seen[i][part] for i in which]) for part in (0, 1))
        stable = lr * nodes + u < UNSTABLE * 2 * (1 + mu)
        pulls = lr * (nodes if negative else np.maximum(nodes, 0.0))
        return theory.confined_versines(steps, u, mu, pulls[stable], weights[stable])

    return jackknife(law, len(seen), len(seen))


def _kicks(record: xr.Dataset) -> Array | None:
    """Response of each seed and checkpoint times the size of its kick, (kick, delay); None if not measured.

    Those of networks that diverged are left out.
    """
    if "response" not in record:
        return None
    H = record["response"].transpose("path", "kick", "delay").values
    found = (record["kick_size"].transpose("path", "kick").values[..., None] * H).reshape(-1, H.shape[-1])
    return found[_finite(record)]


def _finite(record: xr.Dataset) -> Array:
    """Which kicks, seed by seed, are of networks that were still there."""
    names = [name for name in ("kick_size", "asymmetry") if name in record]
    of_name = [np.isfinite(record[name].transpose("path", "kick", ...).values) for name in names]
    return np.logical_and.reduce([one.reshape(*one.shape[:2], -1).all(-1).ravel() for one in of_name])


def norm_by_response(record: xr.Dataset, trace: Array) -> tuple[float, float] | None:
    """|x| at equilibrium from the response and the noise trace of each epoch, and the error of the response's share."""
    from sde_si import theory

    used, kicks = window(record), _kicks(record)
    if kicks is None or not used:
        return None
    lr, u, mu, _ = _setting(record)

    def law(which: Array) -> Array:
        response, tau = kicks[which].sum(axis=0), float(np.mean(trace[used.epochs]))
        return np.array(theory.response_norm(lr, u / lr, mu, response, noise_trace=tau))

    found, error = jackknife(law, len(kicks), len(kicks))
    return float(found), float(error)


def _ways(record: xr.Dataset) -> Array | None:
    """Asymmetry of each seed and checkpoint at the recorded lags, (kick, lag); None if not measured."""
    if "asymmetry" not in record:
        return None
    found = record["asymmetry"].transpose("path", "kick", "lag").values
    return found.reshape(-1, found.shape[-1])[_finite(record)]


def _decline(record: xr.Dataset) -> Estimate:
    """2 lr/|x|^2 times the fall of the training loss per step, over the second half, where the checkpoints are.

    A network at norm equilibrium goes on learning: that part of the way is alike for all and no fluctuation (18.9).
    """
    from sde_si.estimators import Estimate, mean_and_error, values

    lr, _, _, n = _setting(record)
    loss = record["train_loss"].transpose("path", "epoch").values
    late = loss[np.isfinite(loss).all(axis=1), loss.shape[1] // 2 :]
    early, last = (mean_and_error(batch_means(part)) for part in np.array_split(late, 2, axis=1))
    square = float(np.nanmean(values(record, "weight_norm")[:, loss.shape[1] // 2 :] ** 2))
    scale = 2 * lr / square / (n * late.shape[1] / 2)
    return Estimate(scale * (early.value - last.value), scale * float(np.hypot(early.stderr, last.stderr)))


def answered(record: xr.Dataset, steps: int) -> tuple[Array, Array] | None:
    """1 - cos over 0, 1, ..., `steps` steps by the response to kicks of noise (18.8), and its standard error.

    Kicks count by their size, as they do in the rotation; the error is that of leaving out each in turn. nan beyond
    the longest delay followed.
    """
    kicks = _kicks(record)
    return None if kicks is None else jackknife(lambda one: _law(record, kicks[one].sum(0), steps), *[len(kicks)] * 2)


def both_ways(record: xr.Dataset, steps: int) -> tuple[Array, Array] | None:
    """The same without taking the motion to look alike forth and back (18.9).

    The asymmetry between the recorded lags is a smooth curve, from 0 at lag 0: one with corners has alternating sums
    that it should not.
    """
    kicks, ways = _kicks(record), _ways(record)
    if kicks is None or ways is None:
        return None
    from scipy.interpolate import PchipInterpolator

    lags = record["lag"].values
    every, fall = np.arange(1, kicks.shape[1] + 1), _decline(record)

    def law(which: Array, decline: float = fall.value) -> Array:
        curve = PchipInterpolator([0, *lags], [0.0, *ways[which].sum(0)])
        return _law(record, kicks[which].sum(0) + curve(every) + len(which) * decline * every, steps)

    found, error = jackknife(law, len(kicks), len(kicks))
    of_decline = law(np.arange(len(kicks)), fall.value + fall.stderr) - found
    return found, np.hypot(error, of_decline)


def _law(record: xr.Dataset, response: Array, steps: int) -> Array:
    """1 - cos over 0, 1, ..., `steps` steps by a response, nan beyond it."""
    from sde_si import theory

    _, u, mu, _ = _setting(record)
    out = np.full(steps + 1, np.nan)
    found = theory.response_versines(u, mu, response)[: steps + 1]
    out[: found.size] = found
    return out


def laws(record: xr.Dataset, steps: int, *, middle: bool = False) -> dict[str, tuple[Array, Array]]:
    """1 - cos over 0, 1, ..., `steps` steps by every law that applies, and the standard error of what it rests on."""
    from sde_si import theory

    _, u, mu, n = _setting(record)
    exact = {NOISE_ONLY: 1 - theory.lag_cosines(steps, u, mu)}
    if configuration(record)["sampling"] == "reshuffle":
        exact[RESHUFFLED] = theory.reshuffled_versines(n, u, mu, steps, start=n // 2 if middle else 0)
    out = {name: (curve, np.zeros(steps + 1)) for name, curve in exact.items()}
    measured = {CONFINED: confined(record, steps), ANSWERED: answered(record, steps),
                BOTH_WAYS: both_ways(record, steps)}  # fmt: skip
    return out | {name: found for name, found in measured.items() if found is not None}


def unstable_share(record: xr.Dataset) -> float | None:
    """Share of the noise along curvatures that the confinement law leaves out, being at or beyond the edge."""
    seen = curvatures(record)
    if not seen:
        return None
    lr, u, mu, _ = _setting(record)
    edge = UNSTABLE * 2 * (1 + mu)
    nodes, weights = (np.concatenate([one[part] for one in seen]) for part in (0, 1))
    return float(weights[lr * nodes + u >= edge].sum() / weights.sum())


def rotations(record: xr.Dataset) -> list[Rotation]:
    """Per step, per epoch from end to end and from middle to middle, and at every recorded lag, at equilibrium."""
    from sde_si.estimators import lag_versine, mean_and_error, values

    used, n = window(record), int(record["steps_per_epoch"].values[-1])
    lags = [int(lag) for lag in record["lag"].values] if "lag" in record else []
    longest = max([n, *lags])
    ends, middles = laws(record, longest), laws(record, n, middle=True)

    def versine(name: str) -> Estimate:
        if not used:
            return mean_and_error(np.array([]))
        angle = values(record, name)[:, used.epochs]
        return mean_and_error(batch_means(2 * np.sin(angle / 2) ** 2))

    found = [("one step", 1, versine("angle_step"), ends), ("epoch, end to end", n, versine("angle_epoch"), ends),
             ("epoch, middle to middle", n, versine("angle_middle"), middles)]  # fmt: skip
    found += [(f"lag {lag}", lag, lag_versine(record, used, lag), ends) for lag in lags]
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
