"""Systems that several files of claims measure: equal runs are simulated once."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.errors import require
from sde_si.jit import jitted
from sde_si.losses import NOISE_SCALE, Arrays, Loss, Parameter
from sde_si.losses.base import DEFAULT_DIM, simple_arrays
from sde_si.problem import Problem
from sde_si.run import Run
from sde_si.verify.claims.common import Array, run

# What many claims take for granted.
WITH_REPLACEMENT = "noise drawn with replacement, no mean gradient"
QUIET = "norm equilibrium, no mean gradient"

# --- an epoch of tuning factor 0.25 -------------------------------------------------------------------------------

QUARTER: dict[str, dict[str, Any]] = {
    "0": {"wd": 0.05, "momentum": 0.0},
    "0.9": {"wd": 0.005, "momentum": 0.9},
}  # T = 0.25 in 50 steps


def sgd_runs(scale: float, seed: int) -> dict[str, Run]:
    """SGD, by momentum."""
    return {mu: run(paths=192, scale=scale, seed=seed, epochs=60, **v) for mu, v in QUARTER.items()}


def sde_runs(scale: float, seed: int) -> dict[str, Run]:
    """Its SDE, by momentum."""
    return {mu: run(paths=128, scale=scale, seed=seed, epochs=50, method="splitting", **v) for mu, v in QUARTER.items()}


# From within the velocity's memory of 10 steps to far beyond.
LAGS = (1, 2, 3, 5, 8, 13, 20, 35, 60, 100, 200, 400)


def lag_runs(scale: float, seed: int) -> dict[str, Run]:
    """SGDM with cosines over many lags."""
    return {"mu=0.9": run(N=40_000, B=100, wd=1e-3, momentum=0.9, epochs=20, paths=128, lags=LAGS, scale=scale,
                          seed=seed)}  # fmt: skip


# --- one tuning factor, one length to start from ------------------------------------------------------------------

COLLAPSE: dict[str, dict[str, Any]] = {
    "base": {},
    "N and wd": {"N": 25_000, "wd": 0.01},
    "B and wd": {"B": 200, "wd": 0.01},
    "lr and wd": {"lr": 0.2, "wd": 0.0025},
    "momentum and wd": {"momentum": 0.9, "wd": 0.0005},
}


def collapse_runs(scale: float, seed: int) -> dict[str, Run]:
    """T = 0.25 with each hyperparameter changed."""
    base = {"N": 50_000, "B": 100, "lr": 0.1, "wd": 0.005, "epochs": 20, "paths": 96, "dim": 128,
            "init_norm": 3.0}  # fmt: skip
    # One length to start from, no multiple of each run's own: before 1/(4T) epochs they differ (S12).
    # Different seeds: runs that the scale symmetry maps on each other would else be one and the same.
    return {
        name: run(scale=scale, seed=seed + 1000 * i, **(base | change))
        for i, (name, change) in enumerate(COLLAPSE.items())
    }


# --- others -------------------------------------------------------------------------------------------------------


def drop_runs(scale: float, seed: int) -> dict[str, Run]:
    """lr/10 after 30 epochs."""
    return {
        name: run(
            N=20_000, B=100, wd=wd, momentum=mu, epochs=60, schedule="multi-step:30", paths=192, scale=scale, seed=seed
        )
        for name, mu, wd in (("0", 0.0, 5e-3), ("0.9", 0.9, 5e-4))
    }


def finite_runs(scale: float, seed: int) -> dict[str, Run]:
    """Few dimensions, many paths: the norm fluctuates."""
    return {"d=64": run(N=1000, B=100, wd=0.05, momentum=0.95, epochs=60, dim=64, paths=1024, scale=scale, seed=seed)}


# --- a mean gradient that only turns the weights (theory.md 1.10) -------------------------------------------------

ROTATING = "the model of theory.md 1.10: a drift of constant length that turns, isotropic noise, norm equilibrium"


@jitted
def rotation_gradient(x, params, out, value):
    """Omega x/|x|^2: every pair of weights is turned by a quarter; the signal's root is params[0][0, 1]."""
    strength = params[0][0, 1]
    for p in range(x.shape[0]):
        norm = 0.0
        for j in range(x.shape[1]):
            norm += x[p, j] * x[p, j]
        value[p] = 0.0
        factor = strength / norm
        for i in range(x.shape[1] // 2):
            out[p, 2 * i] = -factor * x[p, 2 * i + 1]
            out[p, 2 * i + 1] = factor * x[p, 2 * i]


def _rotation_arrays(values: Any, dim: int | None, N: int, rng: np.random.Generator) -> Arrays:
    require((dim or DEFAULT_DIM) % 2 == 0, "dim", "an even number", dim)
    return simple_arrays(values, dim, N, rng)


# No gradient of a loss, hence not among the losses of the command line.
ROTATION = Loss(
    name="rotation",
    summary="drift Omega x/|x|^2 of constant length and isotropic noise: a signal that only turns the weights",
    source="theory.md 1.10",
    gradient=rotation_gradient,
    parameters={
        "noise_scale": NOISE_SCALE,
        "signal": Parameter(1.0, "length of the drift at the unit vector", least=0.0),
    },
    arrays=_rotation_arrays,
)


def signal_of(one: Run) -> float:
    """G of the model."""
    return one.problem.parameters["signal"] ** 2


def sgd_norm(one: Run, *, signal: float) -> float:
    """Length of the weights of SGD with G = `signal`, exact in u (theory.md 1.4)."""
    hp = one.hyperparameters
    return math.sqrt(theory.sgd_moments(hp.lr, hp.wd, noise_trace=one.noise_trace + signal).xx)


def rotating(strength: float, *, N: int, B: int = 1, lr: float, wd: float, dim: int, **options: Any) -> Run:
    """A run of the model whose G is `strength` times the noise trace at B = 1, from its equilibrium length."""
    one = run(ROTATION, N=N, B=B, lr=lr, wd=wd, dim=dim,
              parameters={"signal": math.sqrt(strength * (dim - 1))}, init_norm=1.0, **options)  # fmt: skip
    return one.replace(start_norm=sgd_norm(one, signal=signal_of(one)))


# --- single trajectories in NumPy ---------------------------------------------------------------------------------

SMALL = {"vmf, dim 8": Problem("vmf", dim=8), "pca, dim 6, N=50": Problem("pca", dim=6)}
SAMPLES = 50  # of finite sums


def evaluate(problem: Problem, x: Array) -> tuple[Array, float]:
    """Mean gradient and loss at ``x[d]``."""
    arrays = problem.arrays(SAMPLES, 0)
    out, value = np.zeros((1, x.size)), np.zeros(1)
    assert problem.loss.gradient is not None
    problem.loss.gradient(x[None].copy(), arrays.params, out, value)
    return out[0], float(value[0])


def gradient(problem: Problem, x: Array, xi: Array | float = 0.0) -> Array:
    """Stochastic gradient at ``x[d]``: the mean gradient and tangential noise of length about |xi|/|x|."""
    noise = xi - x * np.dot(xi, x) / np.dot(x, x) if isinstance(xi, np.ndarray) else 0.0
    return evaluate(problem, x)[0] + noise / np.linalg.norm(x)


def start(problem: Problem, rng: np.random.Generator, steps: int) -> tuple[Array, Array]:
    """Random weights and noises of `steps` steps."""
    d = problem.arrays(SAMPLES, 0).dim
    return rng.standard_normal(d), rng.standard_normal((steps, d))


# --- pairs on the sphere without noise ----------------------------------------------------------------------------

PROJECTED = "no noise; all weights rescaled to length 1 after every step"
THREE = np.array([1.0, 2.0, 4.0])


def first_alphas(n: int) -> Array:
    """Curvatures 1 to n: all different, so that a wrong sum shows."""
    return np.arange(1.0, n + 1)


def pairs_name(alphas: Array, a: float | None = None) -> str:
    """The system in one line; the effective LR is `a` times its threshold."""
    shown = "" if a is None else f", eta = {a:g}/sum(alpha)"
    return f"groups on the sphere, alphas {','.join(f'{v:g}' for v in alphas)}{shown}, no noise"
