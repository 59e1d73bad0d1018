"""Rotational equilibrium of the optimizers that people use, in plain numbers (theory.md 6.7, 9).

Every rule assumes zero-mean gradient noise, orthogonal to the weights, and a stationary norm. Then two numbers decide
every angle: the decay of one step and the memory of the momentum. One linear recursion of (weight, velocity) serves
SGD with any momentum, Nesterov's form, decoupled decay and AdamW; only Lion, whose update is a sign, needs its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sde_si.theory.adaptive import adam_relaxation
from sde_si.theory.discrete import angle_of, relaxation_steps

Array = np.ndarray

# form -> (what it is, where its law comes from)
FORMS = {
    "sgd": ("SGD, weight decay added to the gradient", "theory.md 1.3, 9.2"),
    "nesterov": ("SGD with Nesterov momentum", "linear recursion of theory.md 9.2 in Nesterov's form"),
    "sgdw": ("SGD, decoupled weight decay", "theory.md 9.5"),
    "adamw": ("Adam, decoupled weight decay", "theory.md 6.7, 9.6"),
    "adam": ("Adam, weight decay added to the gradient", "theory.md 6.7"),
    "lion": ("Lion, decoupled weight decay", "theory.md 6.7"),
}


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
        1 - dampening of SGD: scales lr (theory.md 0.8, H).
    """

    form: str
    lr: float
    wd: float
    momentum: float = 0.0
    beta2: float = 0.0
    damping: float = 1.0

    @property
    def intrinsic_lr(self) -> float:
        """U = lr wd per step, with dampening folded in."""
        return self.lr * self.damping * self.wd

    @property
    def decoupled(self) -> bool:
        """Whether the decay bypasses the momentum."""
        return self.form in ("sgdw", "adamw", "lion")

    @property
    def usable(self) -> bool:
        """Whether there is a law for it: a known form, decay, and steps that do not flip the weights."""
        u = self.intrinsic_lr
        if self.form not in FORMS or not 0 < u < 1 or not 0 <= self.momentum < 1:
            return False
        return self.form != "lion" or 0 < self.beta2 < 1

    def tuning_factor(self, steps_per_epoch: float) -> float:
        """Decay of the direction per epoch; without 1/(1-mu) for decoupled decay (Yun et al. eq. 27, theory.md 9.5)."""
        return steps_per_epoch * self.intrinsic_lr / (1 if self.decoupled else 1 - self.momentum)


@lru_cache(maxsize=4096)
def linear_recursion(form: str, u: float, momentum: float) -> tuple[Array, Array, float]:
    """Matrix T of (x, v)' = T (x, v) + s g, and stationary second moments for unit noise g.

    v is the displacement without decay, minus the buffer times lr in torch's SGD. Coupled decay u enters v,
    decoupled decay does not.

    Returns
    -------
    T : ndarray, shape (2, 2)
    moments : ndarray, shape (2, 2)
        E(x, v)(x, v)^T.
    first : float
        The part of s in x.
    """
    mu = momentum
    if form == "nesterov":
        T, s = np.array([[1 - u * (1 + mu), mu * mu], [-u, mu]]), np.array([1 + mu, 1.0])
    elif form in ("sgdw", "adamw"):
        T, s = np.array([[1 - u, mu], [0.0, mu]]), np.array([1.0, 1.0])
    else:
        T, s = np.array([[1 - u, mu], [-u, mu]]), np.array([1.0, 1.0])
    moments = np.linalg.solve(np.eye(4) - np.kron(T, T), np.outer(s, s).ravel()).reshape(2, 2)
    return T, moments, float(s[0])


@lru_cache(maxsize=4096)
def _lion(beta1: float, beta2: float, u: float) -> tuple[float, float, Array]:
    """E|w|^2/(lr^2 C), <w, sign> correlations to come, and the sign's autocorrelation at lags 0, 1, ... ."""
    a = 1 - u
    S2 = (1 - beta1) ** 2 + beta1**2 * (1 - beta2) / (1 + beta2)
    # beyond 40 memories of the momentum the signs are independent
    k = np.arange(1, int(40 / (1 - beta2)) + 1)
    rho = (1 - beta1) * beta1 * (1 - beta2) * beta2 ** (k - 1) + beta1**2 * (1 - beta2) ** 2 * beta2**k / (1 - beta2**2)
    signs = np.concatenate([[1.0], 2 / math.pi * np.arcsin(rho / S2)])
    norm = (1 + 2 * np.sum(a**k * signs[1:])) / (1 - a * a)
    return float(norm), a, signs


def _lion_versine(beta1: float, beta2: float, u: float, lag: int) -> float:
    """1 - cos over `lag` steps of Lion: x' = a x - s, s signs with known autocorrelation (theory.md 6.7)."""
    norm, a, signs = _lion(beta1, beta2, u)
    # W_j = -E<x_0, s_j> = sum_{i>=1} a^(i-1) c_(j+i), backwards
    W = np.zeros(signs.size)
    for j in range(signs.size - 2, -1, -1):
        W[j] = signs[j + 1] + a * W[j + 1]
    known = min(lag, W.size)
    decay = -math.expm1(lag * math.log1p(-u))
    return decay - float(np.sum(a ** (lag - 1.0 - np.arange(known)) * W[:known])) / norm


@lru_cache(maxsize=16384)
def _versine(form: str, u: float, momentum: float, beta2: float, lag: int) -> float:
    if form == "lion":
        return _lion_versine(momentum, beta2, u, lag)
    T, moments, first = linear_recursion(form, u, momentum)
    if lag == 1:  # exact, and free of the cancellation in 1 - cos
        step = (T - np.eye(2))[0]
        return (float(step @ moments @ step) + first * first) / (2 * float(moments[0, 0]))
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
    if rule.form == "adam":
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
    if rule.form == "adam":
        return adam_norm
    if not rule.usable or rule.form not in ("adamw", "lion"):
        return math.nan
    if rule.form == "lion":
        return rule.lr * math.sqrt(count * _lion(rule.momentum, rule.beta2, rule.intrinsic_lr)[0])
    _, moments, _ = linear_recursion("adamw", rule.intrinsic_lr, rule.momentum)
    return rule.lr * (1 - rule.momentum) * math.sqrt(count * moments[0, 0])


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


def relaxation(rule: Rule, *, adam_pull: float = math.nan) -> tuple[float, float]:
    """Steps in which a small deviation of |w|^p falls by e, and p; (inf, 1) without weight decay.

    SGD 1/(4u) (momentum: theory.md 9.4), p = 4; decoupled SGD 1/(4u), p = 4; Lion 1/(2u), p = 2 (theory.md 6.7: the
    size of its update does not depend on |w|); AdamW and Adam with the memory of their second moment
    (`sde_si.theory.adam_relaxation`), p = 2 and 3.
    """
    if rule.form == "adam":
        return (1 / adam_relaxation(adam_pull, rule.beta2, decoupled=False), 3.0) if adam_pull > 0 else (math.inf, 1.0)
    if not rule.usable:
        return math.inf, 1.0
    u = rule.intrinsic_lr
    if rule.form == "adamw":
        return 1 / adam_relaxation(u, rule.beta2, decoupled=True), 2.0
    if rule.form == "lion":
        return 1 / (2 * u), 2.0
    return (1 / (4 * u) if rule.form == "sgdw" else relaxation_steps(u, rule.momentum)), 4.0
