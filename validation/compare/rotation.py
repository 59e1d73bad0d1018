"""The rotation of a trained network at equilibrium, per step, per epoch and per lag, beside every law that applies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sde_si import theory
from sde_si.estimators import values, versine
from validation.compare.curvature import confined
from validation.compare.laws import Law, exact
from validation.compare.response import answered, asymmetric
from validation.compare.seeds import Known, by_seeds, left_out, mean
from validation.compare.window import configured, lags_of, living, setting, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
LAWS = ("noise alone (9.2)", "curvature (18.7)", "response (18.8)", "response, asymmetric (18.9)", "reshuffled (1.13)")
NOISE_ONLY, CONFINED, ANSWERED, ASYMMETRIC, RESHUFFLED = LAWS
PAPER = "Yun et al. 27"  # no law that is expected to hold: what the papers say, beside them
MEASURED = {CONFINED: confined, ANSWERED: answered, ASYMMETRIC: asymmetric}  # laws that rest on measurements


@dataclass(frozen=True)
class Rotation:
    """1 - cos over a window of steps: measured, and by each law that applies, those from measurements with errors.

    `over` is measured over each law, minus one. Where there are three seeds or more its error is that between seeds of
    the ratio: law and rotation come from the same networks and move together.
    """

    name: str
    steps: int
    measured: float
    stderr: float
    laws: dict[str, float]
    errors: dict[str, float] = field(default_factory=dict)
    over: dict[str, Known] = field(default_factory=dict)


def best(known: Mapping[str, object]) -> str | None:
    """The law that takes least for granted, of those known; None if none knows the basin."""
    return next((law for law in (ASYMMETRIC, ANSWERED) if law in known), None)


def laws(record: xr.Dataset, steps: int) -> dict[str, Law]:
    """1 - cos over 0, 1, ..., `steps` steps by every law that applies."""
    record = living(record)
    _, u, mu, n = setting(record)
    if configured(record)["optimizer"] not in ("sgd", "sgd-displacement") or not 0 < u < 1 or not window(record):
        return {}  # they are laws of SGD with coupled decay, at equilibrium
    out = {NOISE_ONLY: exact(1 - theory.lag_cosines(steps, u, mu))}
    out[PAPER] = exact(np.arange(steps + 1) * u / (1 - mu))
    if configured(record)["sampling"] == "reshuffle":
        out[RESHUFFLED] = exact(theory.reshuffled_versines(n, u, mu, steps))
    measured = {name: law(record, steps) for name, law in MEASURED.items()}
    return out | {name: found for name, found in measured.items() if found is not None}


def _elsewhere(record: xr.Dataset, known: Mapping[str, Law], start: int | None, steps: int) -> dict[str, Law]:
    """The laws for windows that begin `start` steps after an epoch's begin; None: anywhere, the mean of all places."""
    if RESHUFFLED not in known:
        return dict(known)
    _, u, mu, n = setting(record)
    starts = range(n) if start is None else [start]
    curves = [theory.reshuffled_versines(n, u, mu, steps, start=one) for one in starts]
    return dict(known) | {RESHUFFLED: exact(np.mean(curves, axis=0))}


def rotations(record: xr.Dataset) -> list[Rotation]:
    """Per step, per epoch from end to end and from middle to middle, and at every recorded lag, at equilibrium."""
    record = living(record)
    used, n = window(record), setting(record).steps
    lags = lags_of(record)
    ends = laws(record, max([n, *lags]))
    # the angle per step is that of all steps of an epoch, wherever they are
    anywhere, middles = _elsewhere(record, ends, None, 1), _elsewhere(record, ends, n // 2, n)

    def turned(name: str) -> Array:
        return versine(values(record, name)[:, used.epochs])

    rows = [("one step", 1, turned("angle_step"), anywhere), ("epoch, end to end", n, turned("angle_epoch"), ends),
            ("epoch, middle to middle", n, turned("angle_middle"), middles)]  # fmt: skip
    for lag in lags:
        cosines = record["cos_lag"].sel(group="all", lag=lag).transpose("path", "epoch").values[:, used.epochs]
        rows.append((f"lag {lag}", lag, 1 - cosines, ends))
    out = []
    for name, steps, samples, of in rows:
        # an epoch without that lag has it on no path: the run was over
        kept = samples[:, np.isfinite(samples).all(axis=0)] if used else samples[:, :0]
        found = mean(kept)
        over = {law: _over(record, kept, found, one, steps) for law, one in of.items()}
        out.append(
            Rotation(name, steps, found.value, found.stderr, {law: float(one.curve[steps]) for law, one in of.items()},
                     {law: float(one.stderr[steps]) for law, one in of.items()}, over)
        )  # fmt: skip
    return out


def angle_by_noise(record: xr.Dataset, turned: Sequence[Rotation]) -> tuple[float, Known] | None:
    """The rms angle per step by the law of noise (9.2), and the measured one over it, minus one; None without a law."""
    (found,) = (one for one in turned if one.name == "one step")
    if configured(record)["svag"] > 1 or NOISE_ONLY not in found.laws:  # its steps are a fraction of an optimizer's
        return None
    _, u, mu, _ = setting(record)
    over = found.over[NOISE_ONLY]
    root = (1 + over.value) ** 0.5  # of 1 - cos, with which the squared angle goes
    return theory.step_angle(u, mu), Known(root - 1, over.stderr / 2 / root, over.freedom)


def _over(record: xr.Dataset, samples: Array, found: Known, law: Law, steps: int) -> Known:
    """Measured over predicted, minus one."""
    said, of = float(law.curve[steps]), law.of
    value = found.value / said - 1
    if of is None or not by_seeds(record):
        error = (1 + value) * np.hypot(found.stderr / found.value, law.stderr[steps] / said)
        return Known(value, float(error), min(found.freedom, law.freedom) if law.freedom else found.freedom)

    def off(which: Array) -> Array:
        return np.array(samples[which].mean() / of(which)[steps] - 1)

    _, error = left_out(off, len(samples))
    return Known(value, float(error), len(samples) - 1)
