"""What hyperparameters do: one optimizer's tuning factor, angles, norm, times and temperature, as comparison rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.comparison import Row, finite
from sde_si.errors import require, require_known
from sde_si.hyperparameters import HyperParameters, check_number
from sde_si.methods import METHODS
from sde_si.problem import Problem
from sde_si.resolve import resolve
from sde_si.run import Run
from sde_si.theory.forms import FORMS

# As users and `FORMS` name them -> the method whose theory holds. torch's SGD and the papers' differ under a schedule
# only.
OPTIMIZERS = {"sgd": "sgd-torch", "sgdw": "sgdw", "adamw": "adamw", "lion": "lion"}
LENGTHS = ("weight_norm", "effective_lr", "relative_update")  # what the size of the gradients decides
NO_TEMPERATURE = "temperature left out: its law is of steps that shrink as 1/|x| (theory.md 8.9), and {}'s do not"
LARGE = 10**9  # dimension of the noise model: what is of order 1/d drops out
FIRST_ORDER = "small lr wd; noise dominates"
NOISE_ALONE = "noise alone"  # begins the note of a row that leaves the measured mean gradient out


def find_optimizer(name: Any) -> str:
    """The name, if there is such an optimizer.

    Raises
    ------
    BadInput
    """
    require_known("optimizer", name, OPTIMIZERS)
    return name


def is_sgd(optimizer: str) -> bool:
    """Whether its displacements are as long as the gradients make them, not of a length of their own."""
    return FORMS[optimizer].size == "gradient"


def is_decoupled(optimizer: str) -> bool:
    """Whether the decay bypasses the momentum."""
    return FORMS[optimizer].decoupled


def factor_of(hp: HyperParameters, optimizer: str) -> float:
    """The tuning factor: N lr wd/(B (1 - mu)), without 1/(1 - mu) for decoupled decay (Yun eq. 27, theory.md 9.5)."""
    return hp.decoupled_tuning_factor if is_decoupled(optimizer) else hp.tuning_factor


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """What is known of the gradients at the unit vector, at one batch size.

    Attributes
    ----------
    noise_trace, signal : float or None
        Trace tau of the minibatch noise, squared mean gradient G; None where they were not measured.
    B : int
        The batch size at which they hold; tau goes as 1/B.
    """

    B: int
    noise_trace: float | None = None
    signal: float | None = None

    def __post_init__(self) -> None:
        if self.noise_trace is not None:
            check_number("noise_trace", self.noise_trace, above=0, advice="3.0")
        if self.signal is not None:
            check_number("signal", self.signal, least=0, advice="0.5")
            given = self.noise_trace is not None
            require(given, "noise_trace", "the noise trace beside --signal", None, "--noise-trace 3")

    def noise_at(self, B: int) -> float:
        """Noise trace at another batch size; of a unit one if it is not known."""
        return (1.0 if self.noise_trace is None else self.noise_trace) * self.B / B


@dataclass(frozen=True)
class Effect:
    """One quantity before and after a change.

    Attributes
    ----------
    before, after : Row
        Predictions.
    relative : bool
        Only the ratio is known: `before` is 1.
    """

    before: Row
    after: Row
    relative: bool = False

    @property
    def ratio(self) -> float | None:
        """After over before."""
        before, after = self.before.predicted, self.after.predicted
        return finite(after / before) if before and after is not None else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; angles in radians, times in epochs."""
        row = self.after
        return {
            "before": self.before.predicted, "after": row.predicted, "ratio": self.ratio, "relative": self.relative,
            "paper_before": None if self.relative else self.before.paper,
            "paper_after": None if self.relative else row.paper,
            "source": row.source, "assumes": row.assumes, "note": row.note,
        }  # fmt: skip


def persistence(optimizer: str, momentum: float) -> float:
    """How much more a mean gradient that persists moves the weights than noise of the same size: (1+mu)/(1-mu).

    At norm equilibrium <x, g> = 0 leaves E|x|^2 proportional to D = E|v|^2, the mean square of a step (theory.md 9.2),
    whatever moves the weights: coupled decay, D (1+mu) = 2u E|x|^2. To first order in u the velocity sums the gradients
    with weights mu^j. Noise that is new at every step gives lr^2 tau/|x|^2/(1 - mu^2). A mean gradient that stays for
    much longer than 1/(1-mu) steps adds up before it is squared: lr^2 G/|x|^2/(1 - mu)^2. Hence
    E|x|^4 = E|x|^4(noise alone) (1 + c G/tau) with c = (1+mu)/(1-mu) for a signal that persists, and c = 1 for one that
    decorrelates at once, like the noise; every other signal lies between. Without momentum both agree (theory.md 4.4).
    The same holds for decoupled decay. Adaptive methods divide by the gradient: no such law, 1.
    """
    return (1 + momentum) / (1 - momentum) if is_sgd(optimizer) else 1.0


def signal_growth(hp: HyperParameters, optimizer: str, gradients: Gradients) -> tuple[float, float]:
    """E|x|^2 over that of the noise alone: for a mean gradient that decorrelates at once, and for one that persists."""
    ratio = (gradients.signal or 0.0) / gradients.noise_at(hp.B)
    return theory.norm_ratio(ratio), theory.norm_ratio(persistence(optimizer, hp.momentum) * ratio)


def run_of(hp: HyperParameters, optimizer: str, gradients: Gradients, init_norm: float | str = "1eq") -> Run:
    """The noise model of these hyperparameters: isotropic noise of known trace in high dimension, no mean gradient."""
    method = METHODS[OPTIMIZERS[optimizer]]
    extras = {"eps": 0.0} if "eps" in method.extras else {}
    # `noise_scale` is one sample's variance per tangential direction.
    scale = gradients.noise_at(1) / (LARGE - 1)
    problem = Problem("isotropic", dim=LARGE, noise_scale=scale)
    return resolve(problem, hp.replace(**extras), method=method, paths=1, init_norm=init_norm)


@functools.lru_cache(maxsize=4096)
def predicted(hp: HyperParameters, optimizer: str, gradients: Gradients) -> Mapping[str, Row]:
    """Every quantity at the equilibrium of constant hyperparameters."""
    decoupled, u, mu = is_decoupled(optimizer), hp.intrinsic_lr, hp.momentum
    source = "theory.md 9.5" if decoupled else "Yun et al. eq. 27; theory.md 0.3"
    rows = {"tuning_factor": Row("tuning_factor", predicted=factor_of(hp, optimizer), source=source)}
    try:
        with np.errstate(all="ignore"):
            known = theory.equilibrium(run_of(hp.replace(schedule="constant", epochs=1), optimizer, gradients))
    except (ZeroDivisionError, OverflowError, np.linalg.LinAlgError):
        known = dict.fromkeys(theory.first_order(hp), theory.Prediction(note="lost in rounding at these values"))
    rows |= {name: Row.of(name, one, math.nan, math.nan) for name, one in known.items() if name != "cos_epoch"}
    if gradients.signal and is_sgd(optimizer):
        low, high = signal_growth(hp, optimizer, gradients)
        note = f"{NOISE_ALONE}; the mean gradient makes |x|^2 {low:.4g} to {high:.4g} times as large"
        rows |= {name: replace(rows[name], note=note) for name in ("weight_norm", "effective_lr")}
    rows["correlation_time"] = Row(
        "correlation_time", predicted=finite(1 / factor_of(hp, optimizer)) if u else None,
        source="theory.md 9.6" if not is_sgd(optimizer) else "theory.md 2.4, 9.2",
        assumes=FIRST_ORDER, note="epochs in which the direction forgets by e, were there no basin",
    )  # fmt: skip
    if not is_sgd(optimizer):
        # Their update does not shrink with |x|: an angle is lr/|x| times the update's length, not lr/|x|^2.
        known_norm = rows["weight_norm"].predicted
        update = finite(hp.lr / known_norm) if known_norm else None
        swapped = replace(rows["effective_lr"], quantity="relative_update", predicted=update, paper=None)
        rows = {
            ("relative_update" if name == "effective_lr" else name): (swapped if name == "effective_lr" else row)
            for name, row in rows.items()
        }
    trace = gradients.noise_at(hp.B)
    if is_sgd(optimizer):
        # In units of the root of the dimension, which cancels in ratios.
        heat = theory.temperature(u, mu, variance=trace, decoupled=decoupled)
        rows["temperature"] = Row("temperature", predicted=heat, source="theory.md 8.9", assumes=FIRST_ORDER)
    ratio = 1 / trace if gradients.signal is None else gradients.signal / trace
    rows["signal_to_noise"] = Row("signal_to_noise", predicted=ratio, source="theory.md 4.5, 7.6",
                                  assumes="the mean gradient stays")  # fmt: skip
    return rows


def _absolute(name: str, optimizer: str, gradients: Gradients) -> bool:
    if name in LENGTHS:
        # That of AdamW and Lion depends on the number of weights instead.
        return gradients.noise_trace is not None and is_sgd(optimizer)
    if name == "signal_to_noise":
        return gradients.signal is not None
    return name != "temperature"


def effects(before: HyperParameters, after: HyperParameters, optimizer: str, gradients: Gradients) -> dict[str, Effect]:
    """What a change does to every quantity."""
    one, other = predicted(before, optimizer, gradients), predicted(after, optimizer, gradients)
    out = {}
    for name, row in one.items():
        effect = Effect(row, other[name])
        ratio = effect.ratio
        if not _absolute(name, optimizer, gradients) and ratio is not None:
            unit = replace(row, predicted=1.0, paper=None, note="relative to before")
            effect = Effect(unit, replace(unit, predicted=ratio), relative=True)
        out[name] = effect
    return out
