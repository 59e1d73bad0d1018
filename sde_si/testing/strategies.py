"""Hypothesis strategies for weights, hyperparameters and problems; needs the package hypothesis."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from sde_si.hyperparameters import HyperParameters
from sde_si.losses import LOSSES
from sde_si.problem import Problem


@st.composite
def weights(draw: st.DrawFn, dim: int, paths: int = 2) -> np.ndarray:
    """Weights (path, dim) of any direction and of lengths from 1e-3 to 1e3, no pair of neighbours both near zero."""
    seed = draw(st.integers(0, 2**32 - 1))
    x = np.random.default_rng(seed).standard_normal((paths, dim))
    x = np.where(np.abs(x) < 0.05, 0.05, x)
    return x * 10.0 ** draw(st.floats(-3, 3))


@st.composite
def hyperparameters(draw: st.DrawFn, *, max_steps: int = 20, max_epochs: int = 4) -> HyperParameters:
    """Small runs over the whole range of the theory: u up to 0.2, momentum up to 0.95."""
    B = draw(st.integers(1, 8))
    steps = draw(st.integers(2, max_steps))
    lr = 10.0 ** draw(st.floats(-2, 1))
    u = 10.0 ** draw(st.floats(-4, -0.7))
    momentum = draw(st.sampled_from([0.0, 0.5, 0.9, 0.95]))
    epochs = draw(st.integers(1, max_epochs))
    return HyperParameters(N=B * steps, B=B, lr=lr, wd=u / lr, momentum=momentum, epochs=epochs)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Every loss in the registry, in low dimension."""
    name = draw(st.sampled_from(sorted(LOSSES)))
    if name == "groups":
        return Problem(name, alphas=tuple(draw(st.lists(st.floats(0.1, 10), min_size=1, max_size=4))))
    return Problem(name, dim=draw(st.integers(2, 9)))
