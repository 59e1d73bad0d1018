"""The rotation, and the length, by how the weights answer to their own noise (theory.md 18.8, 18.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sde_si import theory
from sde_si.estimators import equilibrium, jackknife, mean_and_error, values
from validation.compare.laws import Law, measured_law
from validation.compare.overlay import course
from validation.compare.seeds import Known, batch_means, by_seeds, left_out
from validation.compare.window import checkpoints, living, setting, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray


def probes(record: xr.Dataset, *names: str) -> tuple[Array, ...] | None:
    """Those measured at the checkpoints in the window, (path, checkpoint, ...) each, in units of the squared length.

    "response" comes times the size of its kick. None if one was not measured there.
    """
    inside = checkpoints(record, "response").inside
    if not inside.size or any(name not in record for name in names):
        return None
    scale = {"response": record["kick_size"]}
    arrays = [(record[name] * scale.get(name, 1)).transpose("path", "kick", ...).values[:, inside] for name in names]
    return tuple(arrays) if all(np.isfinite(one).any() for one in arrays) else None


def _there(*arrays: Array) -> Array:
    """Which of (path, checkpoint) have finite measurements only: a copy of a network may diverge by itself."""
    return np.logical_and.reduce([np.isfinite(one).all(axis=-1) for one in arrays])


def norm_by_response(record: xr.Dataset) -> tuple[float, Known] | None:
    """|x| at equilibrium from the response and the noise trace of each epoch; the measured one over it, minus one.

    None where one of them, or an equilibrium, is lacking.
    """
    record = living(record)
    used, measured = window(record), probes(record, "response")
    if measured is None or course(record) is None or not used:
        return None
    lr, u, mu, _ = setting(record)
    (kicks,), there = measured, _there(*measured)

    def law(seeds: Array, which: Array) -> float:
        traces = course(record.isel(path=seeds))
        assert traces is not None
        tau = float(np.mean(traces[0][used.epochs]))
        return theory.response_norm(lr, u / lr, mu, kicks[which].sum(axis=0), noise_trace=tau)

    count = len(kicks)
    every = np.arange(count)
    said = law(every, there)
    if by_seeds(record):

        def off(seeds: Array) -> Array:
            norm = equilibrium(record.isel(path=seeds), used, "weight_norm").value
            return np.array(norm / law(seeds, there & np.isin(every, seeds)[:, None]) - 1)

        value, error = left_out(off, count)
        return said, Known(float(value), float(error), count - 1)
    places = np.argwhere(there)

    def of_kicks(which: Array) -> Array:
        chosen = np.zeros_like(there)
        chosen[tuple(places[which].T)] = True
        return np.array(law(every, chosen))

    norm, (_, error) = equilibrium(record, used, "weight_norm"), jackknife(of_kicks, len(places), len(places))
    share = float(np.hypot(norm.stderr / norm.value, error / said)) * norm.value / said
    return said, Known(norm.value / said - 1, share, len(places) - 1)


def decline(record: xr.Dataset) -> tuple[Array, Array]:
    """2 lr/|x|^2 times the fall of the training loss per step in the window: of each seed, and its error by batches.

    A network at norm equilibrium goes on learning: that part of the way is alike for all and no fluctuation (18.9).
    """
    lr, _, _, n = setting(record)
    epochs = window(record).epochs
    loss, norm = record["train_loss"].transpose("path", "epoch").values[:, epochs], values(record, "weight_norm")
    if loss.shape[1] < 2:
        return np.full(len(loss), np.nan), np.full(len(loss), np.nan)
    # the square of all seeds, which hardly differ: a common scale keeps the sum over seeds linear
    scale = 2 * lr / float((norm[:, epochs] ** 2).mean()) / (n * loss.shape[1] / 2)
    early, late = np.array_split(loss, 2, axis=1)
    errors = np.array([[mean_and_error(batch_means(row[None])).stderr for row in part] for part in (early, late)])
    return scale * (early.mean(axis=1) - late.mean(axis=1)), scale * np.hypot(errors[0], errors[1])


def answered(record: xr.Dataset, steps: int) -> Law | None:
    """1 - cos over 0, 1, ..., `steps` steps by the response to kicks of noise in the window (18.8).

    Kicks count by their size, as they do in the rotation. nan beyond the longest delay followed.
    """
    measured = probes(record, "response")
    if measured is None:
        return None
    (kicks,) = measured
    return measured_law(record, _there(kicks), lambda which: _law(record, kicks[which].sum(axis=0), steps))


def asymmetric(record: xr.Dataset, steps: int) -> Law | None:
    """The same for a motion that is not symmetric under time reversal (18.9).

    The asymmetry between the recorded lags is a smooth curve, from 0 at lag 0: one with corners has alternating sums
    that it should not.
    """
    measured = probes(record, "response", "asymmetry")
    if measured is None:
        return None
    from scipy.interpolate import PchipInterpolator

    kicks, ways = measured
    lags, (falls, unsure) = [0, *record["lag"].values], decline(record)
    every = np.arange(1, kicks.shape[-1] + 1)

    def curve(which: Array, shift: float = 0.0) -> Array:
        between = PchipInterpolator(lags, [0.0, *ways[which].sum(axis=0)])(every)
        fall = falls[which.any(axis=1)].mean() + shift
        return _law(record, kicks[which].sum(axis=0) + between + which.sum() * fall * every, steps)

    there = _there(kicks, ways)
    more = float(np.sqrt((unsure**2).sum()) / len(unsure))  # leaving out seeds has it already
    return measured_law(record, there, curve, lambda: curve(there, more) - curve(there))


def _law(record: xr.Dataset, response: Array, steps: int) -> Array:
    """1 - cos over 0, 1, ..., `steps` steps by a response, nan beyond it."""
    _, u, mu, _ = setting(record)
    out = np.full(steps + 1, np.nan)
    found = theory.response_versines(u, mu, response)[: steps + 1]
    out[: found.size] = found
    return out
