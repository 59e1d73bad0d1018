"""The rotation of a trained network at equilibrium, per step, per epoch and per lag, beside every law that applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from sde_si import theory
from sde_si.estimators import Estimate, lag_versine, mean_and_error, values
from sde_si.record import configuration
from validation.compare.curvature import confined
from validation.compare.response import answered, asymmetric
from validation.compare.window import batch_means, setting, window

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
LAWS = ("noise alone (9.2)", "curvature (18.7)", "response (18.8)", "response, asymmetric (18.9)", "reshuffled (1.13)")
NOISE_ONLY, CONFINED, ANSWERED, ASYMMETRIC, RESHUFFLED = LAWS
MEASURED = {CONFINED: confined, ANSWERED: answered, ASYMMETRIC: asymmetric}  # laws that rest on measurements


@dataclass(frozen=True)
class Rotation:
    """1 - cos over a window of steps: measured, and by each law that applies, those from measurements with errors."""

    name: str
    steps: int
    measured: float
    stderr: float
    laws: dict[str, float]
    errors: dict[str, float] = field(default_factory=dict)


def best(known: Mapping[str, object]) -> str | None:
    """The law that takes least for granted, of those known; None if none knows the basin."""
    return next((law for law in (ASYMMETRIC, ANSWERED) if law in known), None)


def laws(record: xr.Dataset, steps: int, *, middle: bool = False) -> dict[str, tuple[Array, Array]]:
    """1 - cos over 0, 1, ..., `steps` steps by every law that applies, and the standard error of what it rests on."""
    _, u, mu, n = setting(record)
    if configuration(record)["optimizer"] not in ("sgd", "sgd-displacement") or not 0 < u < 1 or not window(record):
        return {}  # they are laws of SGD with coupled decay, at equilibrium
    exact = {NOISE_ONLY: 1 - theory.lag_cosines(steps, u, mu)}
    if configuration(record)["sampling"] == "reshuffle":
        exact[RESHUFFLED] = theory.reshuffled_versines(n, u, mu, steps, start=n // 2 if middle else 0)
    out = {name: (curve, np.zeros(steps + 1)) for name, curve in exact.items()}
    measured = {name: law(record, steps) for name, law in MEASURED.items()}
    return out | {name: found for name, found in measured.items() if found is not None}


def rotations(record: xr.Dataset) -> list[Rotation]:
    """Per step, per epoch from end to end and from middle to middle, and at every recorded lag, at equilibrium."""
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
