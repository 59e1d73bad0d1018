"""Rotational equilibrium of the optimizers that people use, each law in one place (theory.md 6.7, 9).

Every law assumes zero-mean gradient noise, orthogonal to the weights, and a stationary norm. Then two things decide
every angle: the decay of one step and how long displacements stay correlated. One linear recursion of weight and
displacement serves SGD in all forms (`sde_si.theory.discrete`); for AdamW and Lion, whose displacements do not depend
on the length of the weights, it is the autocorrelation of the displacements (`sde_si.theory.adaptive`).
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from sde_si.theory import linear
from sde_si.theory.adaptive import driven_moments, driven_rotation
from sde_si.theory.discrete import angle_of
from sde_si.theory.forms import FORMS, Form, Rule

__all__ = [
    "FORMS", "Form", "Rule", "adam_balance", "adam_equilibrium", "assumes", "balances", "displacement_ratio",
    "equilibrium_angle", "equilibrium_norm", "equilibrium_versine", "relaxation", "table_rate",
]  # fmt: skip

Array = np.ndarray


@lru_cache(maxsize=4096)
def _linear(form: str, u: float, momentum: float) -> tuple[Array, Array, Array]:
    """`Form.linear`, and the stationary E(x, v)(x, v)^T for unit noise."""
    step = FORMS[form].linear
    assert step is not None
    T, s = step(u, momentum)
    return T, s, linear.stationary(T, np.outer(s, s))


@lru_cache(maxsize=4096)
def _driven(form: str, u: float, beta1: float, beta2: float) -> tuple[float, Array, float]:
    """E|x|^2/(lr^2 C), what the weights have in common with later displacements, and E|d|^2/(lr^2 C)."""
    correlations = FORMS[form].correlations
    assert correlations is not None
    found = correlations(u, beta1, beta2)
    return *driven_moments(u, found), float(found[0])


@lru_cache(maxsize=16384)
def _versine(form: str, u: float, momentum: float, beta2: float, lag: int) -> float:
    if FORMS[form].size == "own":
        square, pushes, step = _driven(form, u, momentum, beta2)
        if lag == 1:
            return driven_rotation(u, square, step) ** 2 / 2
        known = min(lag, pushes.size)
        decay = -math.expm1(lag * math.log1p(-u))
        return decay - float(np.sum((1 - u) ** (lag - 1.0 - np.arange(known)) * pushes[:known])) / square
    T, s, moments = _linear(form, u, momentum)
    if lag == 1:
        return linear.step_square(T, np.outer(s, s)) / 2
    return 1 - float((np.linalg.matrix_power(T, lag) @ moments)[0, 0] / moments[0, 0])


def equilibrium_versine(rule: Rule, lag: int = 1, *, adam_pull: float = math.nan) -> float:
    """1 - E cos between weights `lag` steps apart at equilibrium; nan without a law.

    Parameters
    ----------
    rule : Rule
        The optimizer.
    lag : int
        Optimizer steps.
    adam_pull : float
        For Adam with coupled decay only: the decay per step as Adam's division leaves it (`adam_equilibrium`).
    """
    if rule.size == "moments":
        u = adam_pull * (1 - rule.momentum)  # damped form (theory.md 0.8, H) of the coupled recursion
        return _versine("sgd", u, rule.momentum, 0.0, lag) if 0 < u < 1 else math.nan
    if not rule.usable:
        return math.nan
    return _versine(rule.form, rule.intrinsic_lr, rule.momentum, rule.beta2, lag)


def equilibrium_angle(rule: Rule, lag: int = 1, *, adam_pull: float = math.nan) -> float:
    """Angle over `lag` steps at equilibrium, radians; at lag 1 the rms angle of a step."""
    versine = equilibrium_versine(rule, lag, adam_pull=adam_pull)
    return angle_of(min(max(versine, 0.0), 2.0)) if math.isfinite(versine) else math.nan


def equilibrium_norm(rule: Rule, count: int, *, adam_norm: float = math.nan) -> float:
    """Length of `count` weights at equilibrium where the optimizer fixes it, else nan (theory.md 6.7).

    AdamW and Lion fix it; Adam's follows from its second moments.

    That of SGD depends on the size of the gradients.
    """
    if rule.size == "moments":
        return adam_norm
    if not rule.usable or rule.size != "own":
        return math.nan
    square, *_ = _driven(rule.form, rule.intrinsic_lr, rule.momentum, rule.beta2)
    return rule.lr * math.sqrt(count * square)


def balances(rule: Rule) -> bool:
    """Whether a stationary norm fixes the angle of a step, whatever the gradients (`sde_si.theory.linear.balanced`)."""
    return rule.usable and rule.size == "gradient" and _balanced(rule.form, rule.intrinsic_lr, rule.momentum)


@lru_cache(maxsize=4096)
def _balanced(form: str, u: float, momentum: float) -> bool:
    return linear.balanced(*_linear(form, u, momentum)[:2])


def assumes(rule: Rule) -> str:
    """What the predicted angle of a step assumes; empty without a law."""
    if rule.law is None:
        return ""
    return f"stationary norm; {'any scale-invariant loss' if balances(rule) else rule.law.assumes}"


def displacement_ratio(rule: Rule) -> float:
    """E|x' - x|^2/E|x|^2 of a step at a stationary norm where it follows from <x, g> = 0 alone; nan for the others."""
    if not balances(rule):
        return math.nan
    return 2 * _versine(rule.form, rule.intrinsic_lr, rule.momentum, 0.0, 1)


def adam_equilibrium(rule: Rule, count: int, norm: float, root_sum: float) -> tuple[float, float]:
    """Adam with decay added to the gradient: length at equilibrium and decay per step there (theory.md 6.7).

    Parameters
    ----------
    rule : Rule
        Of form ``adam``.
    count : int
        Number of weights C.
    norm : float
        Their present length.
    root_sum : float
        Sum over the weights of the root of Adam's second-moment estimate: the present size of the gradients.

    Returns
    -------
    norm, pull : float
        |w*| = (lr <1, sqrt(E g~^2)>/(2 wd))^{1/3} and lr^2 C/(2 |w*|^2); nan without weight decay.
    """
    if rule.wd <= 0 or rule.lr <= 0 or not root_sum > 0:
        return math.nan, math.nan
    star = (rule.lr * norm * root_sum / (2 * rule.wd)) ** (1 / 3)
    return star, rule.lr**2 * count / (2 * star**2)


def adam_balance(
    rule: Rule, count: int, norm_squared: float, step_squared: float, weighted_squared: float
) -> tuple[float, float]:
    """What holds of Adam with decay in the gradient whatever the loss, and how large its steps are.

    Adam divides the gradient by s, the roots of its second moments. In the lengths that these define, sum s x^2, its
    step is that of SGD: <x, s (g/s)> = <x, g> = 0. So at a stationary length, for s that change slowly, decay and steps
    balance for any gradients, steady or not, with a mean or without: E sum s d^2 = 2 lr wd E|x|^2 (1-b1)/(1+b1), which
    is theory.md 6.9. The table's law (theory.md 6.7) follows where each weight has steps of size
    lr^2 (1-b1)/(1+b1), as steady gradients give. Where dead weights or bursts make them k times that, its squared angle
    is missed by about k over the power 2/3 of the same ratio of sum s d^2, both measured.

    Parameters
    ----------
    rule : Rule
        Of form ``adam``.
    count : int
        Number of weights C.
    norm_squared, step_squared, weighted_squared : float
        Means of |x|^2, |d|^2 and sum s d^2.

    Returns
    -------
    balance, size : float
        E sum s d^2 over what a stationary length needs; E|d|^2 over that of steady gradients without a mean.
    """
    share = (1 - rule.momentum) / (1 + rule.momentum)
    balance = weighted_squared / (2 * rule.lr * rule.wd * share * norm_squared)
    return balance, step_squared / (rule.lr**2 * count * share)


def relaxation(rule: Rule, *, adam_pull: float = math.nan) -> tuple[float, float]:
    """Steps in which a small deviation of |w|^p falls by e, and p; (inf, 1) without weight decay.

    By `Form.rate` and `Form.power` (theory.md 1.4, 6.7, 9.4).
    """
    law, divided = rule.law, rule.size == "moments"
    decay = adam_pull if divided else rule.intrinsic_lr
    if law is None or not (decay > 0 if divided else rule.usable):
        return math.inf, 1.0
    return 1 / law.rate(decay, rule.momentum, rule.beta2), float(law.power)


def table_rate(rule: Rule, dim: int, noise_trace: float) -> float:
    """Share of a small deviation of |x|^2 that a step takes away at the equilibrium of Kosson et al.'s table.

    Parameters
    ----------
    rule : Rule
        With weight decay.
    dim : int
        Number of weights.
    noise_trace : float
        Trace of the minibatch noise at the unit vector.

    Returns
    -------
    float
        To first order; nan for what the table does not have, or where it needs a trace that is nan.
    """
    law = rule.law
    if law is None or law.table is None:
        return math.nan
    decay = rule.intrinsic_lr if law.table_decay is None else law.table_decay(rule, dim, noise_trace)
    return law.rate(decay, rule.momentum, rule.beta2)
