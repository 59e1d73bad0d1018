"""One linear step of weights and memory, z' = T z - s g for z = (x, v): moments at equilibrium (theory.md 9.2)."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
SAME = 1e-3  # relative


def recursion(
    u: float, momentum: float = 0.0, *, decoupled: bool = False, nesterov: bool = False
) -> tuple[Array, Array]:
    """Matrix T and vector s of (x, v)' = T (x, v) - s g, the linear step of all forms of SGD (theory.md 9.2, 9.5).

    v is the displacement without decoupled decay; in Nesterov's form the buffer times -lr. Coupled decay u enters v,
    decoupled decay does not.
    """
    mu = momentum
    if nesterov:
        return np.array([[1 - u * (1 + mu), mu * mu], [-u, mu]]), np.array([1 + mu, 1.0])
    pull = 0.0 if decoupled else u
    return np.array([[1 - u, mu], [-pull, mu]]), np.array([1.0, 1.0])


def stationary(T: Array, K: Array) -> Array:
    """The Z (2, 2) that Z = T Z T' + K keeps."""
    return np.linalg.solve(np.eye(4) - np.kron(T, T), K.ravel()).reshape(2, 2)


def step_square(T: Array, K: Array) -> float:
    """E|x'-x|^2/E|x|^2 at equilibrium, where independent gradients add K (2, 2) to E z z' in a step.

    Free of the cancellation in 1 - cos, which is half of it at a stationary norm.
    """
    unit, step = stationary(T, K), T[0] - (1.0, 0.0)
    return float(step @ unit @ step + K[0, 0]) / float(unit[0, 0])


def balanced(T: Array, s: Array) -> bool:
    """Whether a stationary norm alone fixes E|x'-x|^2/E|x|^2, however gradients hang together from step to step.

    Since <x, g> = 0, second moments are those of independent gradients and a multiple of what E<v, g> brings. The ratio
    is fixed if both parts have the same. It is so for SGD with either decay (theory.md 4.7, 9.2, 9.5). Not for Nesterov
    momentum, whose displacement is no running average: at mu = 0.9 gradients that last lower the ratio by up to 18 %,
    gradients that alternate raise it.

    Parameters
    ----------
    T, s : ndarray, shapes (2, 2) and (2,)
        The step.
    """
    along = -np.outer(T[:, 1], s) - np.outer(s, T[:, 1])  # E<v, g> = 1
    unit, step = stationary(T, along), T[0] - (1.0, 0.0)
    moved = float(step @ unit @ step) - 2 * float(step[1] * s[0])
    expected = step_square(T, np.outer(s, s)) * float(unit[0, 0])
    return abs(moved - expected) <= SAME * abs(expected)
