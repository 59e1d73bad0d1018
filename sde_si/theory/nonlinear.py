"""What theory says of methods without a linear theory (theory.md 6.7). To add one, write its law into `LAWS`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sde_si.hyperparameters import HyperParameters
from sde_si.noises import fill_gaussian
from sde_si.quantities import QUANTITIES
from sde_si.run import Run
from sde_si.theory.adaptive import (
    LONGEST,
    Balance,
    Driven,
    adam_decay,
    adam_relaxation,
    adamw_equilibrium,
    kosson_adam,
    kosson_adamw,
    kosson_lion,
    lion_equilibrium,
)
from sde_si.theory.discrete import angle_of
from sde_si.theory.optimizers import Rule, equilibrium_versine

Values = dict[str, float | None]
Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Law:
    """One method's equilibrium.

    Attributes
    ----------
    table : callable
        ``table(hp, dim, noise_trace)``: the row of Kosson et al.; nan if it needs a trace that is not constant.
    decay : callable
        ``decay(hp, dim, noise_trace)``: what |x|^2 loses of a small deviation in a step, to first order.
    exact : callable or None
        ``exact(hp, steps)``: norm in units of lr^2 C, rotation and cosines without a mean gradient.
    memory : str
        The hyperparameter that says how long displacements stay correlated.
    source, note : str
        Of the exact law; why there is none.
    """

    table: Callable[[HyperParameters, int, float], Balance]
    decay: Callable[[HyperParameters, int, float], float]
    exact: Callable[[HyperParameters, int], Driven] | None = None
    memory: str = "momentum"
    source: str = ""
    note: str = ""


def _extra(value: float | None) -> float:
    assert value is not None  # `resolve` fills in what a method uses
    return value


def _adam_table(hp: HyperParameters, dim: int, trace: float) -> Balance:
    return kosson_adam(hp.lr, hp.wd, hp.momentum, dim, noise_trace=trace)


def _adam_rate(hp: HyperParameters, dim: int, trace: float) -> float:
    decay = adam_decay(hp.lr, hp.wd, _adam_table(hp, dim, trace).norm, dim, noise_trace=trace)
    return adam_relaxation(decay, _extra(hp.beta2), decoupled=False)


LAWS: dict[str, Law] = {
    "adam": Law(
        table=_adam_table,
        decay=_adam_rate,
        note="decay is divided by the gradient's size: only the first order of Kosson et al. (theory.md 6.7)",
    ),
    "adamw": Law(
        table=lambda hp, dim, _: kosson_adamw(hp.lr, hp.wd, hp.momentum, dim),
        decay=lambda hp, *_: adam_relaxation(hp.intrinsic_lr, _extra(hp.beta2), decoupled=True),
        exact=lambda hp, steps: adamw_equilibrium(hp.intrinsic_lr, hp.momentum, _extra(hp.beta2), steps),
        source="theory.md 6.7, 9.5, 9.6",
    ),
    "lion": Law(
        table=lambda hp, dim, _: kosson_lion(hp.lr, hp.wd, hp.momentum, _extra(hp.beta2), dim),
        decay=lambda hp, *_: 2 * hp.intrinsic_lr,
        exact=lambda hp, steps: lion_equilibrium(hp.momentum, _extra(hp.beta2), hp.intrinsic_lr, steps),
        memory="beta2",
        source="theory.md 6.7, 14.15",
    ),
}


def _trace(run: Run) -> float:
    """Noise trace at the unit vector; nan where it is not constant or there are several groups."""
    arrays = run.arrays
    known = math.isfinite(arrays.noise_variance) and arrays.noise_variance > 0 and arrays.groups == 1
    return arrays.noise_trace / run.settled.B if known else math.nan


def relaxation_rate(run: Run) -> float:
    """Share of a small deviation of |x|^2 from equilibrium that an epoch takes away, to first order; nan if unknown."""
    law, hp = LAWS.get(run.method.name), run.settled
    if hp.intrinsic_lr == 0:
        return 0.0
    return hp.steps_per_epoch * law.decay(hp, run.arrays.dim, _trace(run)) if law else math.nan


def paper_values(run: Run) -> Values:
    """The row of Kosson et al.; they say nothing of the epoch."""
    law, hp = LAWS.get(run.method.name), run.settled
    if law is None or hp.intrinsic_lr == 0:
        return {}
    norm, rotation = law.table(hp, run.arrays.dim, _trace(run))
    found = {"weight_norm": norm, "effective_lr": hp.lr / norm**2, "angle_step": rotation}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def exact_rows(run: Run) -> Rows:
    """Exact values where the law's assumptions hold; else the reason why there are none, in every row."""
    law, hp = LAWS.get(run.method.name), run.settled
    why = _why_not(run, law)
    if why or law is None:
        return {name: {"note": why} for name in QUANTITIES}
    time = {
        "value": 1 / relaxation_rate(run),
        "source": "theory.md 6.7",
        "assumes": "a small deviation, first order in lr wd, warm memory",
        "note": "epochs in which a small deviation of the norm falls by e",
    }
    if law.exact is None:
        rows: Rows = {name: {"note": law.note} for name in QUANTITIES}
        return rows | ({"time_to_equilibrium": time} if math.isfinite(time["value"]) else {})
    found = law.exact(hp, 1)
    square = hp.lr**2 * run.arrays.dim * found.norm_squared
    rule = Rule(run.method.name, lr=hp.lr, wd=hp.wd, momentum=hp.momentum, beta2=_extra(hp.beta2))
    versine = equilibrium_versine(rule, hp.steps_per_epoch)  # beyond the memory a power: no walk through the epoch
    values = {
        "weight_norm": math.sqrt(square),
        "effective_lr": hp.lr / square,
        "angle_step": found.rotation,
        "angle_epoch": angle_of(versine),
        "cos_epoch": 1 - versine,
    }
    assumes = "independent normal gradients without a mean, eps far below them, 1 - beta2 to first order, large d"
    rows = {name: {"value": v, "source": law.source, "assumes": assumes} for name, v in values.items()}
    return rows | {"time_to_equilibrium": time}


EPS_SHARE = 1e-3  # of the gradients' size: eps above it would show


def _why_not(run: Run, law: Law | None) -> str:
    """Why no law applies; empty if one does."""
    hp, loss = run.settled, run.problem.loss
    if law is None:
        return f"no theory for {run.method.name}"
    if hp.intrinsic_lr == 0:
        return "without weight decay the norm grows for ever: no equilibrium"
    if not loss.flat:
        return (
            "no closed form: a mean gradient correlates the steps, the table assumes independent ones (theory.md 6.7)"
        )
    if run.arrays.noise_variance == 0:
        return "no noise and no gradient: nothing turns the weights"
    if run.reshuffled:
        return "no closed form for reshuffled noise: the table assumes independent gradients (theory.md 6.7)"
    if run.law is None or run.law.fill is not fill_gaussian:
        return "no closed form for this noise: the exact law needs normal gradients"
    if 40 / max(hp.intrinsic_lr, 1 - (getattr(hp, law.memory) or 0.0)) > LONGEST / 2:
        return f"no exact value: {law.memory} is too close to 1 for a sum over lags"
    size = math.sqrt(run.arrays.noise_variance / hp.B) / law.table(hp, run.arrays.dim, math.nan).norm
    if (hp.eps or 0.0) > EPS_SHARE * size:
        return f"no closed form: eps is not small against the gradients, about {size:.1g} a coordinate"
    return ""
