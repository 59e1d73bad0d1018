"""Advice from a measured run: a number, an interval, the measurement it rests on, or why there is none.

To add one, write a function of `Asked` under `@_advice`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sde_si import theory
from sde_si.errors import require
from sde_si.estimators import Estimate
from sde_si.hyperparameters import check_number
from sde_si.theory.forms import Rule
from sde_si.theory.optimizers import equilibrium_versine
from sde_si.tune import evidence
from sde_si.tune.cautions import CLOSE
from sde_si.tune.effects import persistence
from sde_si.tune.evidence import Evidence
from sde_si.tune.suggestion import Suggestion

NORMAL = 1.96  # standard errors on either side of a 95 % interval
WITHIN = 0.05  # distance of the angle from equilibrium that a phase is asked to reach
DROP = 10.0  # by which lr falls at the end of a phase
DEGREES = 180 / math.pi


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What advice is asked of: the measurements, and a target if there is one.

    Attributes
    ----------
    found : Evidence
    target : Estimate
        1 - cos per epoch to come to; nan if none was named.
    target_name : str
    """

    found: Evidence
    target: Estimate = evidence.NOTHING
    target_name: str = ""


ADVICE: dict[str, Callable[[Asked], Suggestion]] = {}


def _advice(about: str) -> Callable[[Callable[[Asked], Suggestion]], Callable[[Asked], Suggestion]]:
    def register(function: Callable[[Asked], Suggestion]) -> Callable[[Asked], Suggestion]:
        ADVICE[about] = function
        return function

    return register


def suggest(
    source: Any, *, like: Any = None, angle_epoch: float | None = None, B: int | None = None
) -> tuple[Suggestion, ...]:
    """Advice from a record, its file, or an `AngularMonitor` at work.

    Parameters
    ----------
    source : Dataset, path or AngularMonitor
    like : Dataset, path or AngularMonitor, optional
        A run whose angle per epoch is to be had.
    angle_epoch : float, optional
        The angle per epoch to be had, radians.
    B : int, optional
        Batch size, where the record does not say it (a monitor's).

    Returns
    -------
    tuple of Suggestion
        One for each of `ADVICE`; false where there is none.

    Raises
    ------
    BadInput
    DiskProblem
    """
    require(like is None or angle_epoch is None, "like", "another run or an angle, not both", "both")
    if why := evidence.unready(source):
        return tuple(Suggestion(about=about, because=why) for about in ADVICE)
    found = evidence.of(source)
    if B is not None:
        found = Evidence(**{**vars(found), "B": B})
    target, name = evidence.NOTHING, ""
    if angle_epoch is not None:
        check_number("angle_epoch", angle_epoch, above=0, below=math.pi / 2, advice="0.38")
        target, name = Estimate(2 * math.sin(angle_epoch / 2) ** 2, 0.0), f"{angle_epoch * DEGREES:.4g} degrees"
    elif like is not None:
        other = evidence.of(like, "the other run", "like")
        target, name = other.versine_epoch, other.name
        require(bool(other.window), "like", "a run in equilibrium", f"{other.name}: {other.window.why}")
    asked = Asked(found=found, target=target, target_name=name)
    return tuple(advice(asked) for advice in ADVICE.values())


def _interval(function: Callable[[float], float], at: Estimate) -> tuple[float, float, float]:
    """Value and 95 % interval of a monotonic function of an estimate."""
    ends = sorted(function(at.value + sign * NORMAL * at.stderr) for sign in (-1, 1))
    return function(at.value), ends[0], ends[1]


@_advice("wait")
def wait(asked: Asked) -> Suggestion:
    """Epochs until the angle per step is within 5 % of equilibrium (theory.md 6.5)."""
    found, about = asked.found, "wait"
    if found.window:
        return Suggestion(about=about, because=f"the run is in equilibrium ({found.window.why})")
    if found.wd == 0:
        return Suggestion(about=about, because="without weight decay there is no equilibrium to wait for")
    if not found.quartic or not math.isfinite(found.relaxation_predicted):
        why = f"how {found.method} comes to equilibrium is known only near it (theory.md 6.7)"
        return Suggestion(about=about, because=why)
    if not math.isfinite(found.ratio.value) or not math.isfinite(found.ratio.stderr):
        why = "the angle per step has no prediction" if math.isnan(found.ratio.value) else "it has no standard error"
        return Suggestion(about=about, because=f"{why}: nothing says how far equilibrium is")
    ratio, time = found.ratio, found.relaxation_predicted
    if ratio.value - NORMAL * ratio.stderr <= 0:
        return Suggestion(about=about, because="the angle per step is not known well enough")
    # u = 1/(4 time) an epoch: any unit of time will do
    left, low, high = _interval(lambda r: theory.lr_drop_steps(1 / (4 * time), r**-2, WITHIN), ratio)
    if abs(ratio.value - 1) <= NORMAL * ratio.stderr:  # on either side
        low = 0.0
    if left == 0:
        near = f"the angle per step is within {100 * WITHIN:.0f} % of its equilibrium already"
        return Suggestion(about=about, because=f"{near}; not called equilibrium since {found.window.why}")
    return Suggestion(
        about=about, value=left, low=low, high=high, unit="epochs",
        text=f"until the angle per step is within {100 * WITHIN:.0f} % of equilibrium",
        evidence=f"angle per step {ratio.value:.4g} ± {ratio.stderr:.1g} of its equilibrium at epoch {found.epochs}, "
        f"and the law's relaxation of {time:.4g} epochs",
        source="theory.md 6.5", assumes="the size of the gradients stays",
    )  # fmt: skip


@_advice("phase")
def phase(asked: Asked) -> Suggestion:
    """Epochs that a phase needs after lr / 10 to come to equilibrium (theory.md 6.5)."""
    found, about = asked.found, "phase"
    if not found.quartic:
        return Suggestion(about=about, because=f"how {found.method} comes to equilibrium is known only near it")
    if found.wd == 0:
        return Suggestion(about=about, because="without weight decay no phase comes to equilibrium")
    measured, law = found.relaxation, theory.lr_drop_steps(1 / (4 * found.relaxation_predicted * DROP), DROP, WITHIN)
    if not math.isfinite(measured.value) or not math.isfinite(measured.stderr):
        seen = "no approach to equilibrium that can be measured" if found.window else found.window.why
        why = f"the relaxation of the norm was not measured ({seen})"
        if math.isfinite(law):
            why += f"; by the law it is {found.relaxation_predicted:.4g} epochs, and the phase needs {law:.4g}"
        return Suggestion(about=about, because=why)
    value, low, high = _interval(lambda t: theory.lr_drop_steps(1 / (4 * t * DROP), DROP, WITHIN), measured)
    return Suggestion(
        about=about, value=value, low=low, high=high, unit="epochs",
        text=f"a phase after lr / {DROP:.0f} must last, to come within {100 * WITHIN:.0f} % of its angle",
        evidence=f"the norm's relaxation of {measured.value:.4g} ± {measured.stderr:.1g} epochs "
        f"(the law says {found.relaxation_predicted:.4g})",
        source="theory.md 6.5", assumes="the size of the gradients stays",
    )  # fmt: skip


@_advice("batch")
def batch(asked: Asked) -> Suggestion:
    """Largest batch at which noise still dominates (theory.md 4.5)."""
    found, about, ratio = asked.found, "batch", asked.found.signal_to_noise
    if not math.isfinite(ratio.value) or not math.isfinite(ratio.stderr):
        why = "the record holds no signal and noise trace, or too few for an error (validation.train has them)"
        return Suggestion(about=about, because=why)
    if found.B is None:
        return Suggestion(about=about, because="the batch size is not in the record (--B)")
    if found.law is not None and found.law.size != "gradient":
        why = f"the gradients' size does not make the length of {found.method}'s weights (theory.md 6.7)"
        return Suggestion(about=about, because=why)
    B, top = found.B, ratio.value + NORMAL * ratio.stderr
    counts = persistence("sgd", found.momentum)
    if ratio.value - NORMAL * ratio.stderr <= 0:
        fine = B * theory.largest_scaling(CLOSE, 1 / (counts * top)) if top > 0 else 0.0
        least = f"; at least {fine:.4g} samples are fine" if top > 0 else ""
        why = f"the signal is not told from zero: G/tau = {ratio.value:.2g} ± {ratio.stderr:.1g} at B = {B}{least}"
        return Suggestion(about=about, because=why)
    value, low, high = _interval(lambda r: B * theory.largest_scaling(CLOSE, 1 / (counts * r)), ratio)
    stays = "the mean gradient stays"
    if counts > 1:
        loose = B * theory.largest_scaling(CLOSE, 1 / ratio.value)
        stays += f" for longer than the momentum's memory (were it new at every step: {loose:.4g} samples)"
    return Suggestion(
        about=about, value=value, low=low, high=high, unit="samples",
        text=f"largest batch for which lr or wd scaled with it keeps E|x|^2 within {100 * (CLOSE - 1):.0f} %",
        evidence=f"G/tau = {ratio.value:.3g} ± {ratio.stderr:.1g} at B = {B}",
        source="theory.md 4.5", assumes=stays,
    )  # fmt: skip


@_advice("wd")
def weight_decay(asked: Asked) -> Suggestion:
    """The weight decay with which the run would turn as the target says (Yun eq. 27, theory.md 2.4)."""
    found, about, target = asked.found, "wd", asked.target
    if not math.isfinite(target.value):
        return Suggestion(about=about, because="no angle per epoch is named that was good (--angle-epoch, --like)")
    if not found.window:
        return Suggestion(about=about, because=f"the run is not in equilibrium: {found.window.why}")
    here = found.versine_epoch
    turned, wanted = (-math.log1p(-versine) if versine < 1 else math.inf for versine in (here.value, target.value))
    if not 0 < turned < math.inf or not 0 < wanted < math.inf:
        return Suggestion(about=about, because="an epoch turns the weights by 90 degrees or more: nothing to scale")
    if found.law is not None and found.law.size == "moments":
        why = "how far Adam's coupled decay turns the weights is known only near its equilibrium (theory.md 6.7)"
        return Suggestion(about=about, because=why)
    value = _solve(found, wanted / turned)
    parts = [one.stderr / (1 - one.value) / size for one, size in ((here, turned), (target, wanted))]
    if not all(map(math.isfinite, parts)):
        return Suggestion(about=about, because="the angle per epoch has no standard error")
    error = value * math.hypot(*parts)
    law = "goes with wd as the law's" if _law(found, found.wd) else "is proportional to wd"
    return Suggestion(
        about=about, value=value, low=value - NORMAL * error, high=value + NORMAL * error, unit="(weight decay)",
        text=f"turns as {asked.target_name} at the same lr, B and momentum",
        evidence=f"-ln cos per epoch {turned:.4g} ± {parts[0] * turned:.1g} in {found.epochs_said} at wd = "
        f"{found.wd:g}, wanted {wanted:.4g}",
        source="theory.md 2.4, 9.2", assumes=f"-ln cos per epoch {law}, and confinement stays as it is",
    )  # fmt: skip


def _law(found: Evidence, wd: float) -> float:
    """-ln cos per epoch by the law of noise alone, exact in lr wd (theory.md 9.2, 9.5); 0 where none is known."""
    rule = Rule(found.form, lr=found.lr, wd=wd, momentum=found.momentum)
    if rule.size != "gradient" or found.steps_per_epoch < 1 or not rule.usable:
        return 0.0
    versine = equilibrium_versine(rule, found.steps_per_epoch)  # by a power of the step's matrix: any number of steps
    return -math.log1p(-versine) if 0 < versine < 1 else 0.0


def _solve(found: Evidence, factor: float) -> float:
    """The weight decay at which the law of an epoch, -ln cos, is `factor` times what it is now; by bisection."""
    low, high, now = found.wd * min(factor, 1) / 2, found.wd * max(factor, 1) * 2, _law(found, found.wd)
    if not now or not _law(found, low) < now * factor < _law(found, high):
        return found.wd * factor
    for _ in range(40):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if _law(found, middle) < now * factor else (low, middle)
    return math.sqrt(low * high)
