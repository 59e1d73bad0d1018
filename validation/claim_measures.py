"""What claims about networks measure, record by record."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from sde_si import theory
from sde_si.verify.claim import Measurement, Quantity
from sde_si.verify.claims.common import AT_LAG, SETTLED
from validation.bounds import row
from validation.compare.compared import Compared
from validation.compare.identities import PARTS, telescoped
from validation.compare.keep import title_of
from validation.compare.overlay import beside
from validation.compare.response import norm_by_response
from validation.compare.rotation import NOISE_ONLY, angle_by_noise, best
from validation.compare.window import configured, setting

_LOG_COSINES = Quantity("sum of ln cos of a training's steps", "summed while it trains, mean over seeds")
_EPOCH = Quantity("1 - cos over an epoch", "mean over all epochs and seeds")
Measure = Callable[[Compared], Sequence[Measurement]]
TWICE = 2**0.25  # |x| goes with the fourth root of the noise: what twice the noise makes of it


def telescoping(one: Compared) -> Sequence[Measurement]:
    """The sum of ln cos of all steps beside decay and change of the norm (1.3)."""
    found = telescoped(one.record)
    if found is None:
        return []
    turned, decay, shrunk = (float(part.sum(axis=1).mean()) for part in found)
    return [Measurement(quantity=_LOG_COSINES, system=title_of(one.record), predicted=decay + shrunk, measured=turned,
                        wrong=decay)]  # fmt: skip


def split(one: Compared) -> Sequence[Measurement]:
    """1 - cos over an epoch beside its three parts (1.11)."""
    whole = one.record.sel(group="all")
    if not np.isfinite(whole["split_drift"]).any():
        return []
    parts = {name: float(whole[f"split_{name}"].mean()) for name in PARTS}
    found = 1 - float(whole["cos_epoch"].mean())
    without = 1 - parts["decay"] - parts["velocity"]
    return [Measurement(quantity=_EPOCH, system=title_of(one.record), predicted=1 - sum(parts.values()),
                        measured=found, wrong=without)]  # fmt: skip


def step(one: Compared) -> Sequence[Measurement]:
    """The rms angle per step by the law of noise (9.2)."""
    found = angle_by_noise(one.record, one.turned)
    if found is None:
        return []
    _, u, mu, _ = setting(one.record)
    wrong = theory.angle_of(u / (1 - mu)) if mu else theory.angle_of(u / 2)
    return [row(SETTLED["angle_step"], one, *found, wrong)]


def simulated(name: str, quantity: str, wrong: float) -> Measure:
    """A quantity at equilibrium by a simulation, ``"SDE"`` or ``"optimizer"``; `wrong` times it is a wrong one."""

    def measure(one: Compared) -> Sequence[Measurement]:
        if quantity == "angle_step" and configured(one.record)["svag"] > 1:
            return []
        found = [beside(one.record, over, quantity) for over in one.simulations if over.name == name]
        return [row(SETTLED[quantity], one, said, off, said * wrong) for said, off in found]

    return measure


def by_response(one: Compared) -> Sequence[Measurement]:
    """The norm by noise trace and response (18.8)."""
    found = norm_by_response(one.record)
    return [] if found is None else [row(SETTLED["weight_norm"], one, *found, found[0] * TWICE)]


def noise_alone(one: Compared) -> Sequence[Measurement]:
    """1 - cos by the noise alone at lags from an epoch on, where the basin shows, beside the best law."""
    out = []
    for found in one.turned:
        far = found.name.startswith("lag") and found.steps >= setting(one.record).steps
        truth = best(found.laws)
        if not far or truth is None:
            continue
        alone, said = found.laws[NOISE_ONLY], found.laws[truth]
        out.append(Measurement(quantity=AT_LAG, system=f"{title_of(one.record)}, lag {found.steps}", predicted=alone,
                               measured=found.measured, stderr=said * found.over[truth].stderr, truth=said,
                               wrong=alone + 0.5 * (said - alone)))  # fmt: skip
    return out
