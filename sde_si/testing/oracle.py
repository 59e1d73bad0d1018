"""A plain NumPy simulation, slow and simple, that the kernel must agree with to rounding."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import expm

from sde_si.jit import python_function
from sde_si.run import Run
from sde_si.streams import NOISE, ORDER, SAMPLING, START, block_size, generator

Array = np.ndarray


def _unit_start(run: Run, block: int, size: int) -> Array:
    arrays = run.arrays
    x = generator(run.seed, START, block).standard_normal((size, arrays.dim))
    for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
        x[:, low:high] /= np.linalg.norm(x[:, low:high], axis=1, keepdims=True)
    return x / math.sqrt(arrays.groups)


def _signs(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    count = shape[0] * shape[1]
    words = (rng.random(count // 52 + 1) * 2**52).astype(np.int64)
    bits = (words[:, None] >> np.arange(52)) & 1
    return (1.0 - 2.0 * bits).ravel()[:count].reshape(shape)


def van_loan(lr: float, wd: float, momentum: float, h: float) -> tuple[Array, Array, Array]:
    """What `sde_si.methods.integrators.flow` gives, by Van Loan's block exponential (IEEE TAC 23, 1978, 395)."""
    drift = np.array([[0.0, 1.0], [-lr * wd, -(1 - momentum)]])
    block, augmented = np.zeros((4, 4)), np.zeros((3, 3))
    block[:2, :2], block[2:, 2:], block[1, 3] = -drift, drift.T, lr * lr
    augmented[:2, :2], augmented[1, 2] = drift, lr
    exponential = expm(block * h)
    matrix = exponential[2:, 2:].T
    return matrix, matrix @ exponential[:2, 2:], expm(augmented * h)[:2, 2]


def _step(run: Run, lr: float, momentum: float, x: Array, state: dict[str, Array], draw: Callable[..., Array]) -> Array:
    """One substep by textbook formulas."""
    hp, h, name = run.hyperparameters, 1 / run.substeps, run.method.name
    wd, v = hp.wd, state.get("v", 0.0)
    if name in ("adam", "adamw", "lion"):
        return _adaptive_step(run, lr, momentum, x, state, draw(x, 1.0))
    if name == "svag":
        root = math.sqrt(2 / h - 1)
        g1, g2 = draw(x, 1.0), draw(x, 1.0)
        return x - lr * h * ((1 + root) / 2 * g1 + (1 - root) / 2 * g2 + wd * x)
    if name == "splitting" and hp.momentum == 0:
        trace = run.arrays.noise_variance * float(state["variance"]) / hp.B
        out = np.empty_like(x)
        g = draw(x, 1 / math.sqrt(h))
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
    if name == "splitting":
        matrix, covariance, force = van_loan(lr, wd, momentum, h)
        factor = np.linalg.cholesky(covariance[::-1, ::-1])
        middle = x + h / 2 * v
        g1 = draw(middle, factor[0, 0] / force[1])
        g2 = draw(middle, 1.0, mean=False)
        state["v"] = matrix[1, 0] * x + matrix[1, 1] * v - force[1] * g1
        return matrix[0, 0] * x + matrix[0, 1] * v - factor[1, 0] / factor[0, 0] * force[1] * g1 - factor[1, 1] * g2
    g = draw(x, 1 / math.sqrt(h))
    if hp.momentum == 0:
        return x - lr * h * (g + wd * x)
    if name == "sgd-torch":
        state["v"] = momentum * v + g + wd * x
        return x - lr * state["v"]
    if name == "sgdw":
        state["v"] = momentum * v - lr * g
        return (1 - lr * wd) * x + state["v"]
    state["v"] = (1 - (1 - momentum) * h) * v - lr * h * (g + wd * x)
    return x + h * state["v"]


def _adaptive_step(run: Run, lr: float, b1: float, x: Array, state: dict[str, Array], g: Array) -> Array:
    """Adam, AdamW and Lion as their papers write them."""
    hp, zero = run.hyperparameters, np.zeros_like(x)
    b2, m, v = hp.beta2, state.get("m", zero), state.get("v", zero)
    assert b2 is not None
    if run.method.name == "lion":
        state["m"] = b2 * m + (1 - b2) * g
        return x - lr * (np.sign(b1 * m + (1 - b1) * g) + hp.wd * x)
    assert hp.eps is not None
    inside, outside = (hp.wd, 0.0) if run.method.name == "adam" else (0.0, hp.wd)
    g = g + inside * x
    t = state["t"] = state.get("t", np.zeros(())) + 1
    state["m"], state["v"] = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    corrected, spread = state["m"] / (1 - b1**t), state["v"] / (1 - b2**t)
    return x - lr * (corrected / (np.sqrt(spread) + hp.eps) + outside * x)


def oracle(run: Run) -> tuple[Array, Array]:
    """Simulate in plain NumPy with the same random numbers as the kernel.

    Returns
    -------
    weights : ndarray, shape (epochs + 1, path, d)
        At the start and at the end of every epoch.
    squared_angles : ndarray, shape (epochs, path)
        Mean squared angle of a step of all weights, by atan2.
    """
    size = block_size(run.arrays.dim)
    ends, angles = [], []
    for block in range(-(-run.paths // size)):
        a, b = _block(run, block, size)
        ends.append(a)
        angles.append(b)
    return np.concatenate(ends, axis=1)[:, : run.paths], np.concatenate(angles, axis=1)[:, : run.paths]


def _block(run: Run, block: int, size: int) -> tuple[Array, Array]:
    arrays, timetable, loss = run.arrays, run.timetable, run.problem.loss
    rng, sampler = generator(run.seed, NOISE, block), generator(run.seed, SAMPLING, block)
    gradient, noise, minibatch = [python_function(f) for f in (loss.gradient, loss.noise, loss.minibatch)]
    memory = {"sum": np.zeros((size, arrays.noise_dim))}
    where = {"epoch": 0, "step": 0}
    fine = run.noise_from // run.substeps if run.noise_from else 1

    def full_gradient(x: Array) -> Array:
        out, value = np.zeros_like(x), np.zeros(x.shape[0])
        if gradient:
            gradient(x, arrays.params, out, value)
        return out

    def batch(x: Array) -> Array:
        B = int(timetable.batch[where["epoch"]])
        if run.reshuffled:
            orders = [
                generator(run.seed, ORDER, block * size + p, where["epoch"]).permutation(arrays.N) for p in range(size)
            ]
            index = np.stack(orders)[:, where["step"] * B : (where["step"] + 1) * B]
        else:
            index = (sampler.random((size, B)) * arrays.N).astype(np.int64)
        out = np.empty_like(x)
        minibatch(x, index, arrays.params, out)
        return out

    def increments(x: Array) -> Array:
        shape = (size, arrays.noise_dim)
        fill = _signs if run.noise == "rademacher" else (lambda g, s: g.standard_normal(s))
        xi = np.sum([fill(rng, shape) for _ in range(fine)], axis=0) / math.sqrt(fine)
        if run.noise == "fixed-length":
            for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
                y = x[:, low:high] / np.linalg.norm(x[:, low:high], axis=1, keepdims=True)
                z = xi[:, low:high] - y * np.sum(y * xi[:, low:high], axis=1, keepdims=True)
                xi[:, low:high] = z / np.linalg.norm(z, axis=1, keepdims=True) * math.sqrt(high - low - 1)
        if run.reshuffled:
            n, j = int(timetable.steps[where["epoch"]]), where["step"] + 1
            memory["sum"] *= j > 1
            left = n - j + 1
            xi = xi * math.sqrt((left - 1) / left * n / (n - 1)) - memory["sum"] / left
            memory["sum"] += xi
        return xi

    def draw(x: Array, amplitude: float, mean: bool = True) -> Array:
        if run.noise == "minibatch":
            return batch(x)
        out = full_gradient(x) if mean else np.zeros_like(x)
        if run.noise == "difference":
            return out + amplitude * (batch(x) - batch(x)) / math.sqrt(2)
        scale = amplitude / math.sqrt(timetable.batch[where["epoch"]])
        xi = increments(x)
        if noise:
            noise(x, xi, scale, arrays.params, arrays.offsets, out)
            return out
        variance = timetable.noise(where["epoch"])[where["step"]]
        for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
            length = np.linalg.norm(x[:, low:high], axis=1, keepdims=True)
            y, z = x[:, low:high] / length, xi[:, low:high]
            tangent = z - y * np.sum(y * z, axis=1, keepdims=True)
            out[:, low:high] += scale * math.sqrt(arrays.noise_variance * variance) / length * tangent
        return out

    x = _unit_start(run, block, size) * run.start_norm
    ends, squares = [x], []
    state: dict[str, Array] = {}
    for e in range(run.hyperparameters.epochs):
        lr, momentum = timetable.lr_and_momentum(e)
        total, variance = np.zeros(size), timetable.noise(e)
        for k in range(lr.size):
            state["variance"] = variance[k]
            where.update(epoch=e, step=k)
            before = x
            for _ in range(run.substeps):
                x = _step(run, float(lr[k]), float(momentum[k]), x, state, draw)
            dot = np.sum(before * x, axis=1)
            across = x - before * (dot / np.sum(before**2, axis=1))[:, None]
            total += np.arctan2(np.linalg.norm(before, axis=1) * np.linalg.norm(across, axis=1), dot) ** 2
        ends.append(x)
        squares.append(total / lr.size)
    return np.stack(ends), np.stack(squares)
