"""A plain NumPy simulation, slow and simple, that the kernel must agree with to rounding."""

from __future__ import annotations

import math

import numpy as np

from sde_si.errors import require
from sde_si.jit import python_function
from sde_si.run import Run
from sde_si.streams import NOISE, ORDER, SAMPLING, START, block_size, generator
from sde_si.testing.textbook import INCREMENTS, STEPS

Array = np.ndarray


def _unit_start(run: Run, block: int, size: int) -> Array:
    arrays = run.arrays
    x = generator(run.seed, START, block).standard_normal((size, arrays.dim))
    for low, high in zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True):
        x[:, low:high] /= np.linalg.norm(x[:, low:high], axis=1, keepdims=True)
    return x / math.sqrt(arrays.groups)


def oracle(run: Run) -> tuple[Array, Array]:
    """Simulate in plain NumPy with the same random numbers as the kernel.

    Returns
    -------
    weights : ndarray, shape (epochs + 1, path, d)
        At the start and at the end of every epoch.
    squared_angles : ndarray, shape (epochs, path)
        Mean squared angle of a step of all weights, by atan2.

    Raises
    ------
    BadInput
        If the method's step, or the increments of its noise, stand in no textbook (`sde_si.testing.textbook`).
    """
    advice = "sde_si.testing.check_method, or an entry in sde_si/testing/textbook.py"
    require(run.method.name in STEPS, "method", f"one of {', '.join(STEPS)}", run.method.name, advice)
    if run.noise not in ("minibatch", "difference"):
        require(run.noise in INCREMENTS, "noise", f"one of {', '.join(INCREMENTS)}", run.noise)
    size = block_size(run.arrays.dim)
    ends, angles = [], []
    for block in range(-(-run.paths // size)):
        a, b = _block(run, block, size)
        ends.append(a)
        angles.append(b)
    return np.concatenate(ends, axis=1)[:, : run.paths], np.concatenate(angles, axis=1)[:, : run.paths]


def _block(run: Run, block: int, size: int) -> tuple[Array, Array]:
    arrays, timetable, loss, step = run.arrays, run.timetable, run.problem.loss, STEPS[run.method.name]
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
        fill = INCREMENTS[run.noise]
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
                x = step(run, float(lr[k]), float(momentum[k]), x, state, draw)
            dot = np.sum(before * x, axis=1)
            across = x - before * (dot / np.sum(before**2, axis=1))[:, None]
            total += np.arctan2(np.linalg.norm(before, axis=1) * np.linalg.norm(across, axis=1), dot) ** 2
        ends.append(x)
        squares.append(total / lr.size)
    return np.stack(ends), np.stack(squares)
