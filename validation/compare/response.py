"""The rotation, and the length, by how the weights answer to their own noise (theory.md 18.8, 18.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sde_si import theory
from sde_si.estimators import Estimate, jackknife, mean_and_error, values
from validation.compare.overlay import course
from validation.compare.window import batch_means, setting, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


class Probes(NamedTuple):
    """What the checkpoints of all seeds measured, in units of the squared length."""

    kicks: Array  # (kick, delay): response times the size of its kick
    asymmetries: Array | None  # (kick, lag), if measured


def probes(record: xr.Dataset) -> Probes | None:
    """Those of networks that did not diverge; None if there are none."""
    if "response" not in record:
        return None
    found = [record["kick_size"] * record["response"]]
    if "asymmetry" in record:
        found.append(record["asymmetry"])
    arrays = [one.transpose("path", "kick", ...).values for one in found]
    arrays = [one.reshape(-1, one.shape[-1]) for one in arrays]
    alive = np.logical_and.reduce([np.isfinite(one).all(axis=1) for one in arrays])
    if not alive.any():
        return None
    kept = [one[alive] for one in arrays]
    return Probes(kept[0], kept[1] if len(kept) > 1 else None)


def norm_by_response(record: xr.Dataset) -> tuple[float, float] | None:
    """|x| at equilibrium from the response and the noise trace of each epoch, and the error of the response's share.

    None where one of them, or an equilibrium, is lacking.
    """
    used, measured, calibrated = window(record), probes(record), course(record)
    if measured is None or calibrated is None or not used:
        return None
    lr, u, mu, _ = setting(record)
    tau = float(np.mean(calibrated[0][used.epochs]))

    def law(which: Array) -> Array:
        return np.array(theory.response_norm(lr, u / lr, mu, measured.kicks[which].sum(axis=0), noise_trace=tau))

    count = len(measured.kicks)
    found, error = jackknife(law, count, count)
    return float(found), float(error)


def _decline(record: xr.Dataset) -> Estimate:
    """2 lr/|x|^2 times the fall of the training loss per step, over the second half, where the checkpoints are.

    A network at norm equilibrium goes on learning: that part of the way is alike for all and no fluctuation (18.9).
    """
    lr, _, _, n = setting(record)
    late = slice(record.sizes["epoch"] // 2, None)
    loss, norm = record["train_loss"].transpose("path", "epoch").values[:, late], values(record, "weight_norm")[:, late]
    alive = np.isfinite(loss).all(axis=1)
    if loss.shape[1] < 2:
        return Estimate(np.nan, np.nan)
    early, last = (mean_and_error(batch_means(part)) for part in np.array_split(loss[alive], 2, axis=1))
    scale = 2 * lr / float((norm[alive] ** 2).mean()) / (n * loss.shape[1] / 2)
    return Estimate(scale * (early.value - last.value), scale * float(np.hypot(early.stderr, last.stderr)))


def answered(record: xr.Dataset, steps: int) -> tuple[Array, Array] | None:
    """1 - cos over 0, 1, ..., `steps` steps by the response to kicks of noise (18.8), and its standard error.

    Kicks count by their size, as they do in the rotation; the error is that of leaving out each in turn. nan beyond
    the longest delay followed.
    """
    measured = probes(record)
    if measured is None:
        return None
    count = len(measured.kicks)
    return jackknife(lambda which: _law(record, measured.kicks[which].sum(axis=0), steps), count, count)


def asymmetric(record: xr.Dataset, steps: int) -> tuple[Array, Array] | None:
    """The same for a motion that is not symmetric under time reversal (18.9).

    The asymmetry between the recorded lags is a smooth curve, from 0 at lag 0: one with corners has alternating sums
    that it should not.
    """
    measured = probes(record)
    if measured is None or measured.asymmetries is None:
        return None
    from scipy.interpolate import PchipInterpolator

    kicks, asymmetries = measured.kicks, measured.asymmetries
    lags, fall = [0, *record["lag"].values], _decline(record)
    every = np.arange(1, kicks.shape[1] + 1)

    def law(which: Array, decline: float = fall.value) -> Array:
        between = PchipInterpolator(lags, [0.0, *asymmetries[which].sum(axis=0)])(every)
        return _law(record, kicks[which].sum(axis=0) + between + len(which) * decline * every, steps)

    found, error = jackknife(law, len(kicks), len(kicks))
    of_decline = law(np.arange(len(kicks)), fall.value + fall.stderr) - found
    return found, np.hypot(error, of_decline)


def _law(record: xr.Dataset, response: Array, steps: int) -> Array:
    """1 - cos over 0, 1, ..., `steps` steps by a response, nan beyond it."""
    _, u, mu, _ = setting(record)
    out = np.full(steps + 1, np.nan)
    found = theory.response_versines(u, mu, response)[: steps + 1]
    out[: found.size] = found
    return out
