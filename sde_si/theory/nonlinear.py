"""What theory says of runs of methods that are not linear, by their law in `sde_si.theory.forms` (theory.md 6.7)."""

from __future__ import annotations

import math
from typing import Any

from sde_si.noises import fill_gaussian
from sde_si.quantities import QUANTITIES
from sde_si.run import Run
from sde_si.theory.adaptive import LONGEST
from sde_si.theory.discrete import angle_of
from sde_si.theory.optimizers import Rule, equilibrium_norm, equilibrium_versine, table_rate

Values = dict[str, float | None]
Rows = dict[str, dict[str, Any]]


def rule_of(run: Run) -> Rule:
    """The hyperparameters after the last change of the schedule."""
    hp = run.settled
    return Rule(run.method.name, hp.lr, hp.wd, hp.momentum, hp.beta2 or 0.0)


def _trace(run: Run) -> float:
    """Noise trace at the unit vector; nan where it is not constant or there are several groups."""
    arrays = run.arrays
    known = math.isfinite(arrays.noise_variance) and arrays.noise_variance > 0 and arrays.groups == 1
    return arrays.noise_trace / run.settled.B if known else math.nan


def relaxation_rate(run: Run) -> float:
    """Share of a small deviation of |x|^2 from equilibrium that an epoch takes away, to first order; nan if unknown."""
    hp = run.settled
    if hp.intrinsic_lr == 0:
        return 0.0
    return hp.steps_per_epoch * table_rate(rule_of(run), run.arrays.dim, _trace(run))


def paper_values(run: Run) -> Values:
    """The row of Kosson et al.; they say nothing of the epoch."""
    rule = rule_of(run)
    if rule.law is None or rule.law.table is None or rule.intrinsic_lr == 0:
        return {}
    norm, rotation = rule.law.table(rule, run.arrays.dim, _trace(run))
    found = {"weight_norm": norm, "effective_lr": rule.lr / norm**2, "angle_step": rotation}
    return {name: value if math.isfinite(value) else None for name, value in found.items()}


def exact_rows(run: Run) -> Rows:
    """Exact values where the law's assumptions hold; else the reason why there are none, in every row."""
    rule = rule_of(run)
    law, why = rule.law, _why_not(run, rule)
    if why or law is None:
        return {name: {"note": why} for name in QUANTITIES}
    time = {
        "value": 1 / relaxation_rate(run),
        "source": "theory.md 6.7",
        "assumes": "a small deviation, first order in lr wd, warm memory",
        "note": "epochs in which a small deviation of the norm falls by e",
    }
    if law.correlations is None:
        rows: Rows = {name: {"note": law.note} for name in QUANTITIES}
        return rows | ({"time_to_equilibrium": time} if math.isfinite(time["value"]) else {})
    square = equilibrium_norm(rule, run.arrays.dim) ** 2
    step, epoch = (equilibrium_versine(rule, lag) for lag in (1, run.settled.steps_per_epoch))
    values = {
        "weight_norm": math.sqrt(square),
        "effective_lr": rule.lr / square,
        "angle_step": math.sqrt(2 * step),
        "angle_epoch": angle_of(epoch),
        "cos_epoch": 1 - epoch,
    }
    assumes = "independent normal gradients without a mean, eps far below them, 1 - beta2 to first order, large d"
    rows = {name: {"value": v, "source": law.source, "assumes": assumes} for name, v in values.items()}
    return rows | {"time_to_equilibrium": time}


EPS_SHARE = 1e-3  # of the gradients' size: eps above it would show


def _why_not(run: Run, rule: Rule) -> str:
    """Why no law applies; empty if one does."""
    hp, loss, law = run.settled, run.problem.loss, rule.law
    if law is None or law.table is None:
        return f"no theory for {run.method.name}"
    if hp.intrinsic_lr == 0:
        return "without weight decay the norm grows for ever: no equilibrium"
    if not rule.usable:
        return "no closed form: a step takes all of the weights"
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
    size = math.sqrt(run.arrays.noise_variance / hp.B) / law.table(rule, run.arrays.dim, math.nan).norm
    if (hp.eps or 0.0) > EPS_SHARE * size:
        return f"no closed form: eps is not small against the gradients, about {size:.1g} a coordinate"
    return ""
