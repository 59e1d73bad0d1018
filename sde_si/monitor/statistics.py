"""From rows to statistics: the present phase, angles over lags, what explains them."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from sde_si.estimators import Estimate, mean_and_error
from sde_si.estimators.drift import BATCHES, FEWEST
from sde_si.monitor.history import EPOCH, History, Row, angle, end_norm, same
from sde_si.theory import optimizers as laws
from sde_si.theory.forms import Rule

Array = np.ndarray
LONG = 14  # relaxation times: the later half of such a phase begins when a transient has fallen to e^-7
CHANGES = 3  # of the learning rate within 16 rows: a schedule, no drop
DROP = 5  # a change by this factor from one row to the next ends any phase
LEAST = 32  # rows of a reading, if there are as many after the transient
TRANSIENT = 4  # relaxation times after which the angle is within 1 % of where it goes
LONGEST_SPLIT = 10_000  # steps over which a window's cosine is split by theory.md 1.11


@dataclass(frozen=True)
class LagReading:
    """Angle over one lag: of the mean cosine, radians, with its standard error; prediction; pull by theory.md 1.11."""

    angle: float = math.nan
    stderr: float = math.nan
    predicted: float = math.nan
    windows: int = 0
    confinement: float = math.nan  # share of the mean cosine that neither decay nor starting velocity explains


def adam_pull(history: History, row: Row, g: int) -> tuple[float, float]:
    """Norm and decay per step of coupled Adam at equilibrium, from one row; nan for all together."""
    rule = history.rule(row, g)
    if rule.size != "moments" or g == len(history.groups):
        return math.nan, math.nan
    return laws.adam_equilibrium(rule, history.groups[g].count, math.sqrt(row.values[g, 0]), float(row.extra[g, 0]))


def adam_state(history: History, rows: list[Row], g: int) -> tuple[float, float, float]:
    """`sde_si.theory.optimizers.adam_balance` of some rows, and the standard error of its first number."""
    rule = history.rule(rows[-1], g)
    if rule.size != "moments" or g == len(history.groups) or not rule.usable:
        return math.nan, math.nan, math.nan
    sums = np.array([(row.values[g, 0], row.values[g, 2], row.extra[g, 1]) for row in rows])
    if not np.isfinite(sums).all() or not (sums[:, 0] > 0).all():
        return math.nan, math.nan, math.nan
    count = history.groups[g].count
    balance, size = laws.adam_balance(rule, count, *sums.mean(axis=0).tolist())
    parts = np.array_split(sums, min(BATCHES, len(rows)))
    each = np.array([laws.adam_balance(rule, count, *part.mean(axis=0).tolist())[0] for part in parts])
    return balance, size, batch_error(each, balance).stderr


def predicted_versines(history: History, row: Row, lag: int) -> Array:
    """1 - cos over a lag at equilibrium under a row's hyperparameters, per group and, last, of all together.

    Cosines of groups add up with the squared lengths (theory.md 15.2).
    """
    if lag in row.predicted:
        return row.predicted[lag]
    each = np.array([
        laws.equilibrium_versine(history.rule(row, g), lag, adam_pull=adam_pull(history, row, g)[1])
        for g in range(len(history.groups))
    ])  # fmt: skip
    weights = row.values[:-1, 0]
    total = float(weights @ each / weights.sum()) if weights.sum() > 0 else math.nan
    row.predicted[lag] = np.append(each, total)
    return row.predicted[lag]


def angle_from(versine: float) -> float:
    """Angle of a mean versine, radians; nan stays."""
    return float(2 * np.arcsin(math.sqrt(min(max(versine, 0.0) / 2, 1.0)))) if math.isfinite(versine) else math.nan


def batch_error(parts: Array, total: float) -> Estimate:
    """`total` with the standard error from the spread of batch means."""
    return Estimate(total, mean_and_error(parts).stderr if parts.size >= FEWEST else math.nan)


def ratio(squares: Array, predicted: Array) -> tuple[float, float, int]:
    """Root of the ratio of means, its standard error, number of batches."""
    batches = min(BATCHES, squares.size)
    if batches < FEWEST or not predicted.mean() > 0 or not squares.any():
        return math.nan, math.nan, batches
    value = math.sqrt(squares.mean() / predicted.mean())
    parts = [s.mean() / p.mean() for s, p in
             zip(np.array_split(squares, batches), np.array_split(predicted, batches), strict=True)]  # fmt: skip
    return value, float(np.std(parts, ddof=1) / math.sqrt(batches) / (2 * value)), batches


def current_rows(history: History, lag: int, g: int) -> list[Row]:
    """Rows of the present phase: as far back as the hyperparameters were the same within 5 %."""
    rows = history.rows.get(lag, [])
    if not rows:
        return []
    now, first = history.rule(rows[-1], g), len(rows)
    for i in range(len(rows) - 1, -1, -1):
        if rows[i].snapshot != rows[-1].snapshot and not same(history.rule(rows[i], g), now):
            break
        first = i
    return _moving(rows[first:], g)


def phase(history: History, g: int) -> tuple[list[Row], bool]:
    """One-step rows of the present phase, and whether the learning rate is on a schedule that leaves no such phase.

    On a schedule the rows go back as far as the learning rate is within a factor of 2 of the present one, or to the
    fewest rows of an interval; angles do not need a constant learning rate, and laws are averaged over the same rows.
    """
    rows = current_rows(history, 1, g)
    last = history.rows[1][-LEAST:]
    rules = [history.rule(row, g) for row in last]
    changes = sum(a.lr != b.lr for a, b in pairwise(rules[-2 * FEWEST :]))
    held = all(rule.lr == rules[-1].lr for rule in rules[-FEWEST - 1 :])
    if len(rows) >= 2 * FEWEST or changes < CHANGES or held:
        return rows, False
    now, first = rules[-1], len(rules) - 1
    for i in range(len(rules) - 2, -1, -1):
        near = now.lr / 2 <= rules[i].lr <= 2 * now.lr or len(rules) - i <= FEWEST
        drop = max(rules[i].lr, rules[i + 1].lr) > DROP * min(rules[i].lr, rules[i + 1].lr)
        if not near or drop or dataclasses.replace(rules[i], lr=now.lr) != now:
            break
        first = i
    wider = _moving(last[first:], g)
    return (wider, True) if len(wider) > len(rows) else (rows, False)


def still(rows: list[Row], g: int) -> bool:
    """Whether a group is frozen: none of the last records saw it move."""
    return not any(row.values[g, 2] > 0 for row in rows[-FEWEST:])


def _moving(rows: list[Row], g: int) -> list[Row]:
    """Rows since a group was frozen, or since it moves again; a lone step without a gradient is neither."""
    rest = 0
    for i in range(len(rows) - 1, -1, -1):
        rest = 0 if rows[i].values[g, 2] > 0 else rest + 1
        if rest == FEWEST and not still(rows, g):
            return rows[i + FEWEST :]
        if rest == 0 and still(rows, g):
            return rows[i + 1 :]
    return rows


def recent(rows: list[Row], relaxation: float, *, scheduled: bool = False) -> list[Row]:
    """The later half of a long phase; of a short one the last relaxation time, never more than the later half.

    On a schedule (`phase`) all of them: they are few, and no law is constant long enough to have a transient.
    """
    if scheduled:
        return rows
    length = rows[-1].step - rows[0].step
    return since(rows, length / 2 if length > LONG * relaxation else min(relaxation, length / 2), relaxation)


def since(rows: list[Row], back: float, relaxation: float) -> list[Row]:
    """Rows of the last `back` steps; if these are few, up to 32, but none from the transient of the phase."""
    kept = sum(row.step >= rows[-1].step - back for row in rows)
    settled = sum(row.step >= rows[0].step + TRANSIENT * relaxation for row in rows)
    return rows[-max(kept, min(LEAST, settled)) :]


def spread(squares: Array) -> float:
    """Standard error of the root mean square of at least `FEWEST` values."""
    if squares.size < FEWEST or not squares.mean() > 0:
        return math.nan
    return mean_and_error(squares).stderr / (2 * math.sqrt(squares.mean()))


def signal_share(rule: Rule, values: Array) -> float:
    """G/(G+tau) from weights alone: what a step's gradient shares with the velocity before it; rows (n, column).

    e = v' - mu v + u x is the step's own part, v the velocity of the steps before, and E<v, e> = E|e|^2 share/(1-mu)
    while the mean gradient lasts longer than the momentum (two-batch idea of theory.md 7.6). Negative: the gradient
    turns against the motion, as at the edge of stability.
    """
    u, mu = rule.intrinsic_lr, rule.momentum
    if rule.size == "moments":  # decay goes through the division: part of e, and small beside the noise of the law
        u = 0.0
    if rule.law is None or not rule.law.average or not np.isfinite(values[:, 3:]).any():
        return math.nan
    xx, xd, dd, xv, vv, vd = values[np.isfinite(values[:, 3:]).all(axis=1)].mean(axis=0)
    if rule.decoupled:  # velocities without their decay: p = v + u x, p' = d + u x
        pp, pq = vv + 2 * u * xv + u * u * xx, vd + u * xv + u * xd + u * u * xx
        qq = dd + 2 * u * xd + u * u * xx
        pe, ee = pq - mu * pp, qq - 2 * mu * pq + mu * mu * pp
    else:
        pe = vd - mu * vv + u * xv
        ee = dd + mu * mu * vv + u * u * xx - 2 * mu * vd + 2 * u * xd - 2 * u * mu * xv
    return float((1 - mu) * pe / ee) if ee > 0 else math.nan


def _confinement(rule: Rule, lag: int, row: Array, velocity: float) -> float:
    """Drift term of theory.md 1.11 over r_0 r_n: the cosine less what decay and the starting velocity make of it."""
    u, mu = rule.intrinsic_lr, rule.momentum
    before, now = 0.0, 1.0  # H_{k-1}, H_k
    for _ in range(lag):
        before, now = now, (1 + mu - u) * now - mu * before
    xx, xd, _ = row[:3]
    # with v_0 the displacement before the window, x_n = (H_n - mu H_{n-1}) x_0 + mu H_{n-1} v_0 - lr sum H g
    explained = (now - mu * before) * xx + mu * before * velocity
    return float((xx + xd - explained) / math.sqrt(xx) / end_norm(row))


def lag_reading(
    history: History, lag: int, g: int, steps1: list[Row], relaxation: float, *, scheduled: bool = False
) -> LagReading:
    """Angle over a lag in the later half of the present phase; `steps1` are the one-step rows of that phase.

    Of the windows that begin there, those count that begin after the transient or end where the one-step rows begin.

    """
    half = (steps1[0].step + steps1[-1].step) / 2
    rows = history.rows.get(lag, []) if scheduled else current_rows(history, lag, g)
    length = history.epochs[rows[-1].epoch].steps if lag == EPOCH and rows else lag
    settled = steps1[0].step + TRANSIENT * relaxation
    first = max(half, min(settled, recent(steps1, relaxation)[0].step - length))
    if scheduled:
        first = steps1[0].step - 2 * length  # windows begin no more often than every lag
    rows = [row for row in rows if row.step >= first]
    if not rows:
        return LagReading()
    values = np.stack([row.values[g] for row in rows])
    versines = 2 * np.sin(angle(values) / 2) ** 2
    mean = float(versines.mean())
    found = angle_from(mean)
    parts = np.array([part.mean() for part in np.array_split(versines, min(BATCHES, len(rows)))])
    error = batch_error(parts, mean).stderr / math.sin(found) if 0 < found < math.pi else math.nan
    steps = length
    covered = [row for row in history.rows[1] if row.step >= rows[0].step] if scheduled else steps1[-BATCHES:]
    each = [predicted_versines(history, row, steps)[g] for row in covered] if steps else []
    predicted = float(np.mean(each)) if each else math.nan
    pull = math.nan
    rule = history.rule(rows[-1], g)
    coupled = rule.size == "gradient" and rule.law is not None and rule.law.average and not rule.decoupled
    starts = {row.step: row for row in history.rows.get(1, [])}
    if coupled and 1 < steps <= LONGEST_SPLIT and lag != EPOCH:
        pulls = [_confinement(rule, steps, row.values[g], starts[row.step].values[g, 3])
                 for row in rows[-64:] if row.step in starts]  # fmt: skip
        pull = float(np.mean(pulls)) if pulls and np.isfinite(pulls).all() else math.nan
    return LagReading(found, error, angle_from(predicted), len(rows), pull)
