"""Each method's substep as the papers write it, in plain NumPy; a new method needs one here, or `oracle` refuses it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from scipy.linalg import expm

from sde_si.run import Run

Array = np.ndarray
Draw = Callable[..., Array]
# step(run, lr, momentum, x, state, draw): the next weights, shape (path, d); the memory in `state` is advanced
Step = Callable[[Run, float, float, Array, dict[str, Array], Draw], Array]


def van_loan(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array, Array]:
    """What `sde_si.methods.integrators.flow` gives, by Van Loan's block exponential (IEEE TAC 23, 1978, 395)."""
    drift = np.array([[0.0, 1.0], [-lr * wd, -(1 - momentum)]])
    block, augmented = np.zeros((4, 4)), np.zeros((3, 3))
    block[:2, :2], block[2:, 2:], block[1, 3] = -drift, drift.T, lr * lr
    augmented[:2, :2], augmented[1, 2] = drift, lr
    exponential = expm(block * h)
    matrix = exponential[2:, 2:].T
    return matrix, matrix @ exponential[:2, 2:], expm(augmented * h)[:2, 2]


def _displacement(run: Run, lr: float, momentum: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    """SGD with the displacement as its memory, and Euler-Maruyama: the same at one substep a step."""
    h, wd = 1 / run.substeps, run.hyperparameters.wd
    g = draw(x, 1 / math.sqrt(h))
    if run.hyperparameters.momentum == 0:
        return x - lr * h * (g + wd * x)
    state["v"] = (1 - (1 - momentum) * h) * state.get("v", 0.0) - lr * h * (g + wd * x)
    return x + h * state["v"]


def _buffer(run: Run, lr: float, momentum: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    state["v"] = momentum * state.get("v", 0.0) + draw(x, 1.0) + run.hyperparameters.wd * x
    return x - lr * state["v"]


def _sgdw(run: Run, lr: float, momentum: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    state["v"] = momentum * state.get("v", 0.0) - lr * draw(x, 1.0)
    return (1 - lr * run.hyperparameters.wd) * x + state["v"]


def _svag(run: Run, lr: float, momentum: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    h, root = 1 / run.substeps, math.sqrt(2 * run.substeps - 1)
    g1, g2 = draw(x, 1.0), draw(x, 1.0)
    return x - lr * h * ((1 + root) / 2 * g1 + (1 - root) / 2 * g2 + run.hyperparameters.wd * x)


def _splitting(run: Run, lr: float, momentum: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    h, wd = 1 / run.substeps, run.hyperparameters.wd
    if run.hyperparameters.momentum == 0:
        return _on_the_sphere(run, lr, x, state, draw)
    matrix, covariance, force = van_loan(lr, wd, momentum, h)
    factor, v = np.linalg.cholesky(covariance[::-1, ::-1]), state.get("v", 0.0)
    middle = x + h / 2 * v
    g1 = draw(middle, factor[0, 0] / force[1])
    g2 = draw(middle, 1.0, mean=False)
    state["v"] = matrix[1, 0] * x + matrix[1, 1] * v - force[1] * g1
    return matrix[0, 0] * x + matrix[0, 1] * v - factor[1, 0] / factor[0, 0] * force[1] * g1 - factor[1, 1] * g2


def _on_the_sphere(run: Run, lr: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    h, wd = 1 / run.substeps, run.hyperparameters.wd
    trace = run.arrays.noise_variance * float(state["variance"]) / run.hyperparameters.B
    out, g = np.empty_like(x), draw(x, 1 / math.sqrt(h))
    for low, high in zip(run.arrays.offsets[:-1], run.arrays.offsets[1:], strict=True):
        part = x[:, low:high]
        R = np.sum(part**2, axis=1, keepdims=True)
        tau, u = trace * (high - low - 1), lr * wd
        Q = R**2 * math.exp(-4 * u * h) + lr**2 * tau * (-math.expm1(-4 * u * h) / (2 * u) if u else 2 * h)
        clock = 2 * u * h + np.log(Q / R**2) / 2
        factor = np.sqrt(np.expm1(clock) / (tau * lr**2 * h)) * R
        y = part - lr * h * factor * g[:, low:high]
        out[:, low:high] = y * np.sqrt(np.sqrt(Q) / np.sum(y**2, axis=1, keepdims=True))
    return out


def _adam(run: Run, lr: float, b1: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    hp, zero = run.hyperparameters, np.zeros_like(x)
    b2, m, v = hp.beta2, state.get("m", zero), state.get("v", zero)
    assert b2 is not None
    assert hp.eps is not None
    inside, outside = (hp.wd, 0.0) if run.method.name == "adam" else (0.0, hp.wd)
    g = draw(x, 1.0) + inside * x
    t = state["t"] = state.get("t", np.zeros(())) + 1
    state["m"], state["v"] = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    corrected, spread = state["m"] / (1 - b1**t), state["v"] / (1 - b2**t)
    return x - lr * (corrected / (np.sqrt(spread) + hp.eps) + outside * x)


def _lion(run: Run, lr: float, b1: float, x: Array, state: dict[str, Array], draw: Draw) -> Array:
    hp, m, g = run.hyperparameters, state.get("m", np.zeros_like(x)), draw(x, 1.0)
    assert hp.beta2 is not None
    state["m"] = hp.beta2 * m + (1 - hp.beta2) * g
    return x - lr * (np.sign(b1 * m + (1 - b1) * g) + hp.wd * x)


STEPS: Mapping[str, Step] = {
    "sgd": _displacement, "em": _displacement, "sgd-torch": _buffer, "sgdw": _sgdw, "svag": _svag,
    "splitting": _splitting, "adam": _adam, "adamw": _adam, "lion": _lion,
}  # fmt: skip


def normals(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Standard normal increments."""
    return rng.standard_normal(shape)


def signs(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Increments of +1 and -1, 52 to a random number as the kernel takes them."""
    count = shape[0] * shape[1]
    words = (rng.random(count // 52 + 1) * 2**52).astype(np.int64)
    bits = (words[:, None] >> np.arange(52)) & 1
    return (1.0 - 2.0 * bits).ravel()[:count].reshape(shape)


INCREMENTS = {"gaussian": normals, "rademacher": signs, "fixed-length": normals}
