"""What each optimizer does to the vector of weights; to add one, write it in `OPTIMIZERS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

Linear = Callable[[float, float, float], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Setting:
    """Hyperparameters of one step; `step` counts from 1."""

    lr: float
    wd: float
    momentum: float
    beta2: float
    eps: float
    step: int


@dataclass(frozen=True)
class Optimizer:
    """One-step map of weights x, shape (..., size).

    Attributes
    ----------
    summary, source : str
    method : str
        The simulator's name of the same map, where it has one (`sde_si.METHODS`): records are laid over each other by
        it.
    update : callable
        ``update(x, state, gradient, setting)`` changes x and the memory in place.
    slots : int
        Vectors of memory, zero at the start.
    linear : callable or None
        ``linear(lr, wd, momentum)`` gives (T, e): (x, memory) becomes T (x, memory) + e g, which the split of the
        cosine needs (theory.md 1.11); None where the map is not linear.
    decoupled : bool
        Weight decay outside the momentum.
    extras : mapping of str to float
        Hyperparameters of its own (``beta2``, ``eps``) and their defaults.
    memory_power : float or None
        With lr divided by k and the weights by k^(1/4), the memory at the new equilibrium is the old one times k to
        this power (theory.md 6.5); None where that is not known.
    """

    summary: str
    source: str
    method: str
    update: Callable[[Tensor, list[Tensor], Tensor, Setting], None]
    slots: int = 1
    linear: Linear | None = None
    decoupled: bool = False
    extras: Mapping[str, float] = field(default_factory=dict)
    memory_power: float | None = None


def _sgd(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    buffer = state[0]
    buffer.mul_(s.momentum).add_(g).add_(x, alpha=s.wd)
    x.add_(buffer, alpha=-s.lr)


def _nesterov(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    buffer, g = state[0], g.add(x, alpha=s.wd)
    buffer.mul_(s.momentum).add_(g)
    x.add_(g, alpha=-s.lr).add_(buffer, alpha=-s.lr * s.momentum)


def _displacement(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    v = state[0]
    v.mul_(s.momentum).sub_(g.add(x, alpha=s.wd), alpha=s.lr)
    x.add_(v)


def _sgdw(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    v = state[0]
    v.mul_(s.momentum).sub_(g, alpha=s.lr)
    x.mul_(1 - s.lr * s.wd).add_(v)


def _moments(state: list[Tensor], g: Tensor, s: Setting) -> tuple[Tensor, Tensor]:
    """Bias-corrected moments as torch writes them: m, and sqrt(v) with eps."""
    m, v = state
    m.lerp_(g, 1 - s.momentum)
    v.mul_(s.beta2).addcmul_(g, g, value=1 - s.beta2)
    root = v.sqrt().div_(math.sqrt(1 - s.beta2**s.step)).add_(s.eps)
    root.masked_fill_(root == 0, 1.0)  # with eps 0 what never had a gradient, as padding, stays where it is
    return m / (1 - s.momentum**s.step), root


def _adam(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    mean, root = _moments(state, g.add(x, alpha=s.wd), s)
    x.addcdiv_(mean, root, value=-s.lr)


def _adamw(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    x.mul_(1 - s.lr * s.wd)
    mean, root = _moments(state, g, s)
    x.addcdiv_(mean, root, value=-s.lr)


def _lion(x: Tensor, state: list[Tensor], g: Tensor, s: Setting) -> None:
    m = state[0]
    x.mul_(1 - s.lr * s.wd)
    x.add_(m.lerp(g, 1 - s.momentum).sign_(), alpha=-s.lr)
    m.lerp_(g, 1 - s.beta2)


def _linear_buffer(lr: float, wd: float, momentum: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[1 - lr * wd, -lr * momentum], [wd, momentum]]), np.array([-lr, 1.0])


def _linear_nesterov(lr: float, wd: float, momentum: float) -> tuple[np.ndarray, np.ndarray]:
    ahead = 1 + momentum
    return np.array([[1 - ahead * lr * wd, -lr * momentum**2], [wd, momentum]]), np.array([-ahead * lr, 1.0])


def _linear_velocity(lr: float, wd: float, momentum: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[1 - lr * wd, momentum], [-lr * wd, momentum]]), np.array([-lr, -lr])


def _linear_decoupled(lr: float, wd: float, momentum: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[1 - lr * wd, momentum], [0.0, momentum]]), np.array([-lr, -lr])


_ADAM = {"beta2": 0.999, "eps": 1e-8}
OPTIMIZERS = {
    "sgd": Optimizer("SGD as torch writes it", "theory.md 0.8 (P)", "sgd-torch", _sgd, linear=_linear_buffer,
                     memory_power=0.25),
    "sgd-displacement": Optimizer(
        "SGD with the paper's displacement velocity", "Yun et al. eq. 3; theory.md 0.8 (S)", "sgd", _displacement,
        linear=_linear_velocity, memory_power=-0.75,
    ),
    "nesterov": Optimizer(
        "SGD with Nesterov's momentum as torch writes it", "Sutskever et al. 2013; torch.optim.SGD", "nesterov",
        _nesterov, linear=_linear_nesterov,
    ),
    "sgdw": Optimizer(
        "SGD with decoupled decay", "theory.md 0.8 (D), 9.5", "sgdw", _sgdw, linear=_linear_decoupled, decoupled=True
    ),
    "adam": Optimizer(
        "Adam with L2 decay; beta1 is the momentum", "Kingma and Ba 2015", "adam", _adam, slots=2, extras=_ADAM
    ),
    "adamw": Optimizer(
        "Adam with decoupled decay", "Loshchilov and Hutter 2019", "adamw", _adamw,
        slots=2, decoupled=True, extras=_ADAM,
    ),
    "lion": Optimizer(
        "Lion; beta1 is the momentum", "Chen et al. 2023; theory.md 6.7", "lion", _lion,
        decoupled=True, extras={"beta2": 0.99},
    ),
}  # fmt: skip
