"""Whether a group has settled, by its norm's drift and balance, and how long it still needs."""

from __future__ import annotations

import math

import numpy as np

from sde_si.estimators import Estimate
from sde_si.estimators.drift import SETTLED, drifts, said, slope
from sde_si.monitor import statistics as stats
from sde_si.monitor.history import Row
from sde_si.theory import optimizers as laws
from sde_si.theory.forms import Rule

LEAVE = 2 * SETTLED  # what was settled drifts if it changes by more: the length of few weights wanders by that
BALANCE = 0.05  # of the squared one-step angle (theory.md 4.7, 17)
WITHIN = 0.04  # of the squared angle: what `steps_left` leads to
# A stationary norm fixes the angle of some (`laws.balances`), of the others only if the noise has mean zero: distance
# of the squared angle, or length, from their law that is called off it.
OFF = 0.2
# Relaxation times without drift after which a length that is off its law is believed: a start far off has fallen to
# e^-4, and a turning point, which looks stationary for one relaxation time, does not for three.
LASTING, SPAN = 4, 3


def norm_drift(rows: list[Row], g: int, relaxation: float, span: float = 1.0) -> tuple[float, float]:
    """Change of ln |x|^2 per relaxation time, by a straight line through batch means, and its standard error.

    The line goes through the last `span` relaxation times.
    """
    if not math.isfinite(relaxation):  # no decay: per phase
        relaxation = max(rows[-1].step - rows[0].step, 1)
    recent = stats.since(rows, span * relaxation, relaxation)
    if len(recent) < stats.FEWEST:
        return math.nan, math.nan
    squares = np.array([row.values[g, 0] for row in recent])
    if not squares.all():
        return math.nan, math.nan
    found = slope(np.array([row.step for row in recent]) / relaxation, np.log(squares))
    return found.value, found.stderr


def settled(
    rule: Rule,
    rows: list[Row],
    relaxation: float,
    drift: tuple[float, float],
    found: dict[str, float],
    recent: list[Row],
    adam: tuple[float, float, float],
    before: bool | None,
) -> tuple[bool | None, str]:
    """The verdict and its reason; `before` is the last one of the same phase, which stands near the limits."""
    if found["angle_step"] == 0:
        return None, f"frozen: it has not moved in the last {len(rows)} records"
    if rule.law is None:
        return None, f"no law is known for {rule.form}"
    if rule.wd == 0:
        return False, "no weight decay, no equilibrium"
    if not math.isfinite(relaxation):
        return None, "no equilibrium under these hyperparameters"
    seen = rows[-1].step - rows[0].step
    change, error = drift
    if not math.isfinite(change) or not math.isfinite(found["ratio"]):
        return None, f"{len(recent)} records after the start of the phase, {stats.FEWEST} are needed"
    measured = Estimate(change, error)
    shown, drifting = said(measured, "ln |w|^2"), drifts(measured, LEAVE if before else SETTLED)
    if drifting:
        return False, f"the norm drifts: {shown}"
    if seen < relaxation:
        return None, f"seen {seen} steps of the {relaxation:.3g} in which the norm relaxes"
    square, spread = found["ratio"] ** 2, (found["high"] - found["ratio"]) * found["ratio"]
    # What was settled stays so until it is clearly not: a drift near its limit would turn the verdict at every look.
    if before is not True and drifting is None:
        if error > SETTLED:
            return None, f"the norm's drift is not known well enough: {shown}"
        return None, f"between settled and drifting: {shown}, {SETTLED} is allowed"
    if laws.balances(rule) and abs(square - 1) > max(BALANCE, 5 * spread):
        return False, f"squared angle and norm are out of balance: {square:.3g} of the stationary ratio"
    if rule.size == "moments" and math.isfinite(adam[0]):
        return _adam_settled(square, spread, *adam)
    if not laws.balances(rule) and abs(square - 1) > max(OFF, 5 * spread):
        return None, f"the norm is stationary, but the squared angle is {square:.2g} of the law's"
    near = f"; near the limit: {shown}" if abs(change) > SETTLED + error else ""
    return True, f"the norm is stationary{near}"


def _adam_settled(square: float, spread: float, balance: float, size: float, error: float) -> tuple[bool | None, str]:
    """Of a stationary norm under Adam's coupled decay: its balance holds for any gradients, the table's for some."""
    off = abs(square - 1) > max(OFF, 5 * spread)
    if math.isfinite(error) and abs(balance - 1) > max(OFF, 5 * error):
        return None, f"the norm is stationary, but steps and decay balance to {balance:.2g} only"
    if off:
        return True, (
            f"the norm is stationary; squared angle {square:.2g} of the table's, whose gradients are steady: "
            f"steps are {size:.2g} of theirs"
        )
    return True, "the norm is stationary"


def lasting(
    rule: Rule, rows: list[Row], g: int, relaxation: float, target: float, *, before: bool | None
) -> tuple[bool | None, str] | None:
    """Verdict on a stationary norm whose equilibrium length is known; None where it is near that length.

    The angle cannot tell: wherever the norm stands still for a while, steps and decay balance, and the angle is that
    of equilibrium. AdamW and Lion have the length of steady gradients without a mean; others may hold another length,
    or be on their way.
    """
    square = rows[-1].values[g, 0] / target**2 if target > 0 else math.nan
    if rule.size != "own" or math.isnan(square) or abs(square - 1) <= OFF:
        return None
    share = abs(math.sqrt(square) - 1)
    place = f"{share:.0%} {'below' if square < 1 else 'above'} the {target:.4g} of steady zero-mean gradients"
    seen = (rows[-1].step - rows[0].step) / relaxation
    if seen < LASTING:
        why = f"it may be turning: seen {seen:.2g} relaxation times, {LASTING} are needed"
        return None, f"the norm stands still {place}; {why}"
    measured = Estimate(*norm_drift(rows, g, relaxation, SPAN))
    shown, drifting = (
        said(measured, "ln |w|^2") + f" over the last {SPAN}",
        drifts(measured, LEAVE if before else SETTLED),
    )
    if drifting:
        return False, f"the norm drifts: {shown}; it is {place}"
    if before is not True and drifting is None:
        return None, f"between settled and drifting: {shown}; the norm is {place}"
    return True, f"the norm is stationary, {place}: squared steps are {square:.2g} of theirs"


def steps_left(rule: Rule, ratio: float, relaxation: float, power: float, square: float = math.nan) -> float:
    """Steps until the one-step angle is within 2 % of equilibrium (theory.md 6.5, solved for the time).

    `square`: squared length over that of equilibrium, where it is known and not yet reached; the later of both counts.
    """
    if rule.law is None or not math.isfinite(relaxation) or not ratio > 0:
        return math.inf if rule.wd == 0 else math.nan
    share = power / rule.law.angle_power
    far = abs(ratio ** (-2 * share) - 1) / share
    if math.isfinite(square):
        far = max(far, abs(square - 1))
    return max(0.0, relaxation * math.log(max(far, 1e-300) / WITHIN))
