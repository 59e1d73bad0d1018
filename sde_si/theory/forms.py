"""What theory knows of each optimizer, one entry each (theory.md 6.7, 9). To add one, write its law into `FORMS`.

The monitor, the trainer, the simulator's adaptive methods and `sde_si.tune` read it there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sde_si.hyperparameters import NEGLIGIBLE
from sde_si.theory.adaptive import (
    Balance,
    adam_decay,
    adam_relaxation,
    adamw_correlations,
    kosson_adam,
    kosson_adamw,
    kosson_lion,
    lion_correlations,
)
from sde_si.theory.discrete import relaxation_steps
from sde_si.theory.linear import recursion

Array = np.ndarray
STEADY = "gradients without a mean, of steady size, independent from step to step"
Linear = Callable[[float, float], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True)
class Form:
    """The law of one optimizer; `size` says which of `linear`, `correlations`, `table` and `table_decay` it has.

    Attributes
    ----------
    text, source : str
        What it is; where its law comes from.
    size : {'gradient', 'own', 'moments'}
        What makes a step long: the gradient, so that steps shrink as 1/|x| (SGD); the rule itself, whatever the
        gradient (AdamW, Lion); or the rule, but decay is divided by the gradient's second moments (Adam).
    rate : callable
        ``rate(decay, momentum, beta2)``: the share of a small deviation of |x|^`power` from equilibrium that a step
        takes away, where it takes the share `decay` of the weights.
    power : int
        See `rate`.
    linear : callable or None
        Of size 'gradient': ``linear(u, momentum)`` gives T and s of (x, v)' = T (x, v) - s g (theory.md 9.2).
    correlations : callable or None
        Of size 'own': ``correlations(u, beta1, beta2)`` are E<d_0, d_k>/(lr^2 C) of the displacements d.
    table : callable or None
        Of the others: ``table(rule, dim, noise_trace)`` is the row of Kosson et al. to first order; nan where it needs
        a trace that is nan.
    table_decay : callable or None
        ``table_decay(rule, dim, noise_trace)``: the `decay` of `rate` at the equilibrium of the table; None: lr wd.
    decoupled : bool
        Weight decay outside the momentum: the tuning factor has no 1/(1 - momentum).
    average : bool
        Displacements are a running average, v' = mu v + e with e of the newest gradient alone.
    memory : str
        The hyperparameter that says how long displacements stay correlated.
    note : str
        Why there is no exact law.
    classes : tuple of str
        Names of the torch classes, torch's own and others', that do it.
    assumes : str
        Of the angle of a step, beside a stationary norm, where that alone does not fix it.
    """

    text: str
    source: str
    size: Literal["gradient", "own", "moments"]
    rate: Callable[[float, float, float], float]
    power: int
    linear: Linear | None = None
    correlations: Callable[[float, float, float], Array] | None = None
    table: Callable[[Rule, int, float], Balance] | None = None
    table_decay: Callable[[Rule, int, float], float] | None = None
    decoupled: bool = False
    average: bool = True
    memory: str = "momentum"
    note: str = ""
    classes: tuple[str, ...] = ()
    assumes: str = "gradients that are independent from step to step"

    @property
    def angle_power(self) -> int:
        """The squared angle of a step goes as |x|^-this."""
        return 4 if self.size == "gradient" else 2


@dataclass(frozen=True)
class Rule:
    """One optimizer's hyperparameters for one parameter group at one step.

    Attributes
    ----------
    form : str
        A key of `FORMS`; anything else has no prediction.
    lr, wd : float
        Learning rate per step, weight decay.
    momentum : float
        mu of SGD, beta1 of Adam and Lion.
    beta2 : float
        Second beta of Adam and Lion.
    damping : float
        1 - dampening of SGD, a factor on the gradient (theory.md 0.8, H).
    """

    form: str
    lr: float
    wd: float
    momentum: float = 0.0
    beta2: float = 0.0
    damping: float = 1.0

    @property
    def law(self) -> Form | None:
        """What theory knows of it."""
        return FORMS.get(self.form)

    @property
    def size(self) -> str:
        """`Form.size`; empty without a law."""
        return self.law.size if self.law else ""

    @property
    def intrinsic_lr(self) -> float:
        """u = lr wd per step; dampening, which is of the gradient, counts where the decay is part of it."""
        return self.lr * self.wd * (1.0 if self.decoupled else self.damping)

    @property
    def decoupled(self) -> bool:
        """Whether the decay bypasses the momentum."""
        return self.law is not None and self.law.decoupled

    @property
    def usable(self) -> bool:
        """Whether there is a law for it: a known form, decay that rounding keeps, and no flip of the weights."""
        decays = NEGLIGIBLE <= self.intrinsic_lr < 1
        return self.law is not None and decays and 0 <= self.momentum < 1 and 0 <= self.beta2 < 1

    def tuning_factor(self, steps_per_epoch: float) -> float:
        """Decay of the direction per epoch; without 1/(1-mu) for decoupled decay (Yun et al. eq. 27, theory.md 9.5)."""
        return steps_per_epoch * self.intrinsic_lr / (1 if self.decoupled else 1 - self.momentum)


def _adam_decay(rule: Rule, dim: int, trace: float) -> float:
    norm = kosson_adam(rule.lr, rule.wd, rule.momentum, dim, noise_trace=trace).norm
    return adam_decay(rule.lr, rule.wd, norm, dim, noise_trace=trace)


FORMS: dict[str, Form] = {
    "sgd": Form(
        text="SGD, weight decay added to the gradient",
        source="theory.md 1.3, 9.2",
        size="gradient",
        linear=recursion,
        rate=lambda u, mu, _: 1 / relaxation_steps(u, mu),
        power=4,
        classes=("SGD",),
    ),
    "nesterov": Form(
        text="SGD with Nesterov momentum",
        source="linear recursion of theory.md 9.2 in Nesterov's form",
        size="gradient",
        linear=lambda u, mu: recursion(u, mu, nesterov=True),
        rate=lambda u, mu, _: 1 / relaxation_steps(u, mu),
        power=4,
        average=False,
    ),
    "sgdw": Form(
        text="SGD, decoupled weight decay",
        source="theory.md 9.5",
        size="gradient",
        linear=lambda u, mu: recursion(u, mu, decoupled=True),
        rate=lambda u, *_: 4 * u,
        power=4,
        decoupled=True,
        classes=("SGDW",),
    ),
    "adamw": Form(
        text="Adam, decoupled weight decay",
        source="theory.md 6.7, 9.5, 9.6",
        size="own",
        correlations=adamw_correlations,
        table=lambda rule, dim, _: kosson_adamw(rule.lr, rule.wd, rule.momentum, dim),
        rate=lambda u, _, beta2: adam_relaxation(u, beta2, decoupled=True),
        power=2,
        decoupled=True,
        classes=("AdamW",),
        assumes=STEADY,
    ),
    "adam": Form(
        text="Adam, weight decay added to the gradient",
        source="theory.md 6.7",
        size="moments",
        table=lambda rule, dim, trace: kosson_adam(rule.lr, rule.wd, rule.momentum, dim, noise_trace=trace),
        table_decay=_adam_decay,
        rate=lambda decay, _, beta2: adam_relaxation(decay, beta2, decoupled=False),
        power=3,
        note="decay is divided by the gradient's size: only the first order of Kosson et al. (theory.md 6.7)",
        classes=("Adam",),
        assumes=STEADY,
    ),
    "lion": Form(
        text="Lion, decoupled weight decay",
        source="theory.md 6.7, 14.15",
        size="own",
        correlations=lion_correlations,
        table=lambda rule, dim, _: kosson_lion(rule.lr, rule.wd, rule.momentum, rule.beta2, dim),
        rate=lambda u, *_: 2 * u,  # the size of its update does not depend on |x|
        power=2,
        decoupled=True,
        average=False,
        memory="beta2",
        classes=("Lion",),
        assumes=STEADY,
    ),
}
