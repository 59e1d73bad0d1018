"""Drops of the learning rate: the rescaling that spares the recovery, and exponential rates through several phases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import estimators, theory
from sde_si.verify.claim import EXACT, HOLDS, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import ROUNDED, Array
from sde_si.verify.claims.systems import SMALL, gradient, start

_LR, _WD, _MU, _DROP = 0.5, 0.004, 0.9, 10.0
_BURN, _AFTER, _DIM, _PATHS = 250, 120, 128, 300
_FORMS = ("displacement", "buffer")


def dropped(rng: np.random.Generator, form: str, exponents: tuple[float, float]) -> tuple[Array, Array]:
    """SGDM without a mean gradient, lr divided by ten at equilibrium, weights and memory multiplied by powers of ten.

    Parameters
    ----------
    form : {"displacement", "buffer"}
        Memory v of x' = x + v', v' = mu v - lr (g + wd x); or b of x' = x - lr b', b' = mu b + g + wd x.
    exponents : tuple of float
        Of the weights and of the memory.

    Returns
    -------
    angles, norms : ndarray, shape (steps after the drop, path)
        Angle of each step, radians; |x| after it.
    """
    x = rng.standard_normal((_PATHS, _DIM))
    length = math.sqrt(theory.sgd_moments(_LR, _WD, _MU, noise_trace=_DIM - 1.0).xx)
    x *= length / np.linalg.norm(x, axis=1, keepdims=True)
    memory, lr, angles, norms = np.zeros_like(x), _LR, [], []
    for k in range(_BURN + _AFTER):
        if k == _BURN:
            lr = _LR / _DROP
            x, memory = x * _DROP ** exponents[0], memory * _DROP ** exponents[1]
        xi, R = rng.standard_normal(x.shape), np.sum(x * x, axis=1, keepdims=True)
        g = (xi - x * (np.sum(x * xi, axis=1, keepdims=True) / R)) / np.sqrt(R) + _WD * x
        if form == "displacement":
            memory = _MU * memory - lr * g
            moved = memory
        else:
            memory = _MU * memory + g
            moved = -lr * memory
        if k >= _BURN:
            along = np.sum(moved * x, axis=1, keepdims=True) / R
            across = np.linalg.norm(moved - along * x, axis=1)
            angles.append(np.arctan2(across, (1 + along[:, 0]) * np.sqrt(R[:, 0])))
            norms.append(np.linalg.norm(x + moved, axis=1))
        x = x + moved
    return np.array(angles), np.array(norms)


def recovery(form: str, exponents: tuple[float, float], steps: int) -> Array:
    """Angles of the steps after the drop by the recursion of second moments, shape (steps,), radians (theory.md 9.10)."""
    A, C, D = theory.sgd_moments(_LR, _WD, _MU, noise_trace=_DIM - 1.0)
    weights, memory = (_DROP**e for e in exponents)
    if form == "buffer":
        memory /= _DROP  # v = -lr b
    A, C, D = A * weights**2, C * weights * memory, D * memory**2
    lr, u, b, out = _LR / _DROP, _LR * _WD / _DROP, 1 - _LR * _WD / _DROP, np.empty(steps)
    for k in range(steps):
        n = lr * lr * (_DIM - 1) / A
        along = A + _MU * C - u * A
        A, C, D, before = (
            b * b * A + 2 * b * _MU * C + _MU**2 * D + n,
            _MU * (b - u) * C - b * u * A + _MU**2 * D + n,
            _MU**2 * D + u * u * A - 2 * _MU * u * C + n,
            A,
        )
        out[k] = theory.angle_of(1 - along / math.sqrt(A * before))
    return out


_RIGHT = {"displacement": (-0.25, -0.75), "buffer": (-0.25, 0.25)}
_EARLY = 5  # steps: well within the velocity's memory of 1/(1 - mu)


_FIRST = Quantity(
    f"rms angle of the first {_EARLY} steps after the drop", "over steps and paths; error between paths", "rad"
)
_LAST = Quantity(f"length |x| {_AFTER} steps after the drop", "mean over paths; error between them")


def _rescaled(rng: np.random.Generator) -> Sequence[Measurement]:
    u = _LR * _WD / _DROP
    angle, out = theory.step_angle(u, _MU), []
    length = math.sqrt(theory.sgd_moments(_LR / _DROP, _WD, _MU, noise_trace=_DIM - 1.0).xx)
    for form in _FORMS:
        angles, norms = dropped(rng, form, _RIGHT[form])
        # one rms angle a path, over the first steps
        first = estimators.rms(np.sqrt(np.mean(angles[:_EARLY] ** 2, axis=0)))
        each = [estimators.rms(row) for row in angles]
        steps = np.arange(1, len(each) + 1)
        plain = recovery(form, (0.0, 0.0), steps.size)
        curve = Curve(x=steps, measured=[one.value for one in each], stderr=[one.stderr for one in each], log="x",
                      lines={"new equilibrium": np.full(steps.size, angle), "not rescaled": plain},
                      xlabel="steps after the drop", ylabel="angle of the step, rad")  # fmt: skip
        system = f"isotropic, dim {_DIM}, sgd in {form} form: lr={_LR:g}/{_DROP:g} wd={_WD:g} mu={_MU:g}"
        out.append(Measurement(quantity=_FIRST, system=system, predicted=angle, measured=first.value,
                               stderr=first.stderr, wrong=math.sqrt(np.mean(plain[:_EARLY] ** 2)), curve=curve))  # fmt: skip
        lengths = estimators.mean_and_error(norms[-1])
        out.append(Measurement(quantity=_LAST, system=system, predicted=length,
                               measured=lengths.value, stderr=lengths.stderr, wrong=length * _DROP**0.25))  # fmt: skip
    return out


def _schedule(steps: int) -> Array:
    """Three phases: lr, lr/5, lr/50."""
    k = np.arange(steps)
    return 0.02 / np.where(k < steps // 3, 1.0, np.where(k < 2 * steps // 3, 5.0, 50.0))


def _walk(problem: Any, x: Array, before: Array, xi: Array, lr: Array, wd: float, m: Array) -> Array:
    """Last weights of x' = (1 + m - u) x - m x_before - lr g(x)."""
    for k in range(lr.size):
        g = gradient(problem, x, xi[k])
        x, before = (1 + m[k] - lr[k] * wd) * x - m[k] * before - lr[k] * g, x
    return x


def _phases(rng: np.random.Generator) -> Sequence[Measurement]:
    steps, wd, mu = 240, 0.05, 0.9
    lr, out = _schedule(steps), []
    what = Quantity("1 - cos with the start after all steps", f"from the chord between the two directions; {ROUNDED}")
    ratio = np.concatenate([[1.0], lr[1:] / lr[:-1]])
    for name, problem in SMALL.items():
        for form in _FORMS:
            x, xi = start(problem, rng, steps)
            m = mu * (ratio if form == "buffer" else np.ones(steps))
            decayed = _walk(problem, x, x, xi, lr, wd, m)
            alpha = theory.growth_factors(lr, wd, m)
            # the factor of each phase's fixed point, from its first step on
            jump = np.array([theory.growth_factors(lr[k : k + 1], wd, np.array([mu]))[0] for k in range(steps)])
            jump = np.concatenate([jump[:1], jump])
            cosines = []
            for factors in (alpha, jump):
                size = np.concatenate([[1.0], np.cumprod(factors[1:])])
                rates = lr / (size[:-1] * size[1:])
                momentum = m / (factors[1:] * factors[:-1])
                if factors is jump:  # as Li and Arora's TEXP has it: constant momentum in its form
                    grown = np.concatenate([[factors[0] ** -2], rates[1:] / rates[:-1]])
                    momentum = mu * (grown if form == "buffer" else jump[1:] ** -2)
                turned = _walk(problem, x, factors[0] * x, xi, rates, 0.0, momentum)
                cosines.append(float(estimators.chord_versine(turned, x)))
            system = f"{name}, {steps} steps of SGDM in {form} form: lr=0.02, lr/5, lr/50 wd={wd:g} mu={mu:g}"
            out.append(Measurement(quantity=what, system=system, predicted=cosines[0],
                                   measured=float(estimators.chord_versine(decayed, x)), wrong=cosines[1]))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="lr-drop-rescaled", source="Wan et al.; theory.md 6.5", expected=HOLDS,
          statement="Dividing lr by kappa, the weights by kappa^(1/4) and the velocity by kappa^(3/4) lands at the new "
                    "equilibrium at once.",
          formula="x -> kappa^(-1/4) x; v -> kappa^(-3/4) v, or torch's buffer b -> kappa^(1/4) b", where={"b": "buffer of torch's SGD"},
          assumes="norm equilibrium before the drop, no mean gradient", tolerance={"Monte Carlo, 3 s.e.": 0.006,
          "radial part of the velocity, finite d": 0.01}, wrong="without rescaling", check=_rescaled),
    Claim(id="exponential-lr-phases", source="Li and Arora 2019 (TEXP); theory.md 1.7", expected=EXACT,
          tolerance={"rounding, grown by the dynamics": 1e-6},
          statement="A step schedule with weight decay is a piecewise exponential learning rate without it, also with "
                    "momentum, if the factor follows its recursion through the drop.",
          formula="cos of both paths equal without decay for alpha_k = 1 + m_k - u_k - m_k/alpha_{k-1}; lr_k/(alpha_k (alpha_0..alpha_{k-1})^2), momentum "
                  "m_k/(alpha_k alpha_{k-1})",
          assumes="every sample's loss is scale-invariant; u < (1 - sqrt mu)^2 at the start",
          wrong="the factor jumps to that of the new phase", check=_phases),
)  # fmt: skip
