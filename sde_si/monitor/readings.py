"""A reading: what a group does now, what theory says, how sure the comparison is, and whether it has settled."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field

import numpy as np

from sde_si.monitor import statistics as stats
from sde_si.monitor import verdicts
from sde_si.monitor.history import EPOCH, History, Row, angle, end_norm, same
from sde_si.monitor.statistics import LagReading
from sde_si.theory import optimizers as laws
from sde_si.theory.forms import Rule

Array = np.ndarray
SCHEDULE = "schedule of the learning rate: predictions are quasi-static"
# 97.5 % points of Student's law with 7 to 15 degrees of freedom
STUDENT = (2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


@dataclass(frozen=True)
class Reading:
    """One group now; nan where nothing can be said.

    Attributes
    ----------
    weight_norm, effective_lr : float
        At the last record.
    angle_step, stderr, predicted : float
        Root mean square angle of a step over the last rows, its standard error, and the equilibrium value under the
        hyperparameters of these same rows; radians.
    ratio, low, high : float
        Measured over predicted, with a 95 % interval.
    relaxation_steps : float
        Steps in which a small deviation of the norm falls by e.
    steps_left : float
        Until the one-step angle is within 2 % of its equilibrium, if the gradients keep their size; of AdamW and Lion,
        until the norm is equilibrated, also until its square is within 4 % of theory's.
    equilibrated : bool or None
        None: too little seen to tell; `why` says what.
    norm_predicted : float
        Equilibrium length: of AdamW and Lion by theory, of Adam from its own second moments, of SGD with the present
        size of the gradients.
    signal : float
        Share of the mean gradient in the squared gradient, from the correlation of a step with those before it.
    """

    name: str
    level: str
    count: int
    rule: Rule
    step: int
    weight_norm: float
    effective_lr: float
    angle_step: float
    stderr: float
    predicted: float
    ratio: float
    low: float
    high: float
    relaxation_steps: float
    steps_left: float
    equilibrated: bool | None
    why: str
    tuning_factor: float
    norm_predicted: float
    norm_drift: float
    signal: float
    step_size: float = math.nan  # of Adam: |step|^2 over that of steady gradients without a mean
    lags: dict[int, LagReading] = field(default_factory=dict)
    frozen: bool = False  # none of the last records saw it move


def readings(history: History) -> list[Reading]:
    """One reading per group and, with more, last of all that decay and move together; empty before the first record."""
    if not history.rows.get(1):
        return []
    each = [_reading(history, g) for g in range(len(history.groups))]
    if len(each) == 1:
        return each
    # a group without decay, or frozen, has no law: together with it there would be none for the others
    kept = tuple(g for g, r in enumerate(each) if r.rule.wd > 0 and not r.frozen)
    if not kept or len(kept) == len(each):
        return [*each, _total(history, each)]
    total = _total(history.only(kept), [each[g] for g in kept])
    left = len(each) - len(kept)
    return [*each, dataclasses.replace(total, why=f"{total.why}; without {left} that have no decay or are frozen")]


def _reading(history: History, g: int) -> Reading:
    rows, scheduled = stats.phase(history, g)
    row, rule = rows[-1], history.rule(rows[-1], g)
    group = history.groups[g]
    adam_norm, pull = stats.adam_pull(history, row, g)
    relaxation, power = laws.relaxation(rule, adam_pull=pull)
    recent = stats.recent(rows, relaxation, scheduled=scheduled)
    found = _step(history, recent, g)
    norm = float(end_norm(row.values[g]))
    drift, error = verdicts.norm_drift(rows, g, relaxation)
    frozen = stats.still(rows, g)
    adam = stats.adam_state(history, recent, g)
    before = history.verdicts.get(g)
    known = before[1] if before is not None and before[0] == rows[0].step else None
    settled, why = verdicts.settled(rule, rows, relaxation, (drift, error), found, recent, adam, known)
    target = laws.equilibrium_norm(rule, group.count, adam_norm=adam_norm)
    if rule.size == "gradient":
        target = norm * math.sqrt(found["ratio"])
    elif settled:
        settled, why = verdicts.lasting(rule, rows, g, relaxation, target, before=known) or (settled, why)
    history.verdicts[g] = (rows[0].step, settled)
    square = norm**2 / target**2 if rule.size == "own" and target > 0 and not settled else math.nan
    if scheduled and rule.usable and not frozen:
        settled, why = None, SCHEDULE
    n_e = _steps_per_epoch(history)
    factor = n_e * pull if rule.size == "moments" else rule.tuning_factor(n_e) if rule.usable else math.nan
    return Reading(
        name=group.name, level=group.level, count=group.count, rule=rule, step=row.step,
        weight_norm=norm, effective_lr=rule.lr / norm**2 if norm else math.nan, **found,
        relaxation_steps=relaxation, steps_left=verdicts.steps_left(rule, found["ratio"], relaxation, power, square),
        equilibrated=settled, why=why, frozen=frozen, tuning_factor=factor,
        norm_predicted=target, norm_drift=drift,
        signal=stats.signal_share(rule, np.stack([r.values[g] for r in recent])), step_size=adam[1],
        lags=_lags(history, g, rows, relaxation, scheduled),
    )  # fmt: skip


def _total(history: History, each: list[Reading]) -> Reading:
    g = len(each)
    rows, scheduled = stats.phase(history, g)
    row, rule = rows[-1], history.rule(rows[-1], g)
    relaxation = max(r.relaxation_steps for r in each)
    one_rule = all(same(r.rule, rule) for r in each)
    recent = stats.recent(rows, relaxation, scheduled=scheduled)
    found = _step(history, recent, g)
    norm = float(end_norm(row.values[g]))
    drift, _ = verdicts.norm_drift(rows, g, relaxation)
    states = [r.equilibrated for r in each]
    settled = None if None in states and False not in states else all(states)
    count = sum(state is True for state in states)
    return Reading(
        name="all", level="", count=sum(r.count for r in each), rule=rule, step=row.step,
        weight_norm=norm, effective_lr=rule.lr / norm**2 if norm and one_rule else math.nan, **found,
        relaxation_steps=relaxation, steps_left=max(r.steps_left for r in each),
        frozen=all(r.frozen for r in each), equilibrated=settled, why=f"{count} of {len(each)} groups are equilibrated",
        tuning_factor=each[0].tuning_factor if one_rule else math.nan,
        norm_predicted=math.sqrt(sum(r.norm_predicted**2 for r in each)), norm_drift=drift,
        signal=stats.signal_share(rule, np.stack([r.values[g] for r in recent])) if one_rule else math.nan,
        lags=_lags(history, g, rows, relaxation, scheduled),
    )  # fmt: skip


def _step(history: History, recent: list[Row], g: int) -> dict[str, float]:
    """One-step angle, its prediction, their ratio with a 95 % interval."""
    squares = angle(np.stack([row.values[g] for row in recent])) ** 2
    predicted = np.array([stats.angle_from(float(stats.predicted_versines(history, row, 1)[g])) for row in recent]) ** 2
    value, error, batches = stats.ratio(squares, predicted)
    size, expected = math.sqrt(squares.mean()), math.sqrt(predicted.mean())
    half = STUDENT[batches - 8] * error if math.isfinite(error) else math.nan
    stderr = error * expected if math.isfinite(error) else stats.spread(squares)
    return {
        "angle_step": size, "stderr": stderr, "predicted": expected,
        "ratio": value, "low": value - half, "high": value + half,
    }  # fmt: skip


def _steps_per_epoch(history: History) -> float:
    done = [epoch.steps for epoch in history.epochs.values() if epoch.steps]
    return float(done[-1] if done else history.steps_per_epoch or math.nan)


def _lags(history: History, g: int, rows: list[Row], relaxation: float, scheduled: bool) -> dict[int, LagReading]:
    order = sorted(history.rows.keys() - {1}, key=lambda lag: (lag == EPOCH, lag))
    return {lag: stats.lag_reading(history, lag, g, rows, relaxation, scheduled=scheduled) for lag in order}
