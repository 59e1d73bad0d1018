"""Exact identities of the paths of any scale-invariant loss, checked on noisy trajectories in plain NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from sde_si.estimators import chord_versine
from sde_si.problem import Problem
from sde_si.verify.claim import EXACT, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import ANY_LOSS, ROUNDED, ROUNDING, Array
from sde_si.verify.claims.systems import SMALL, gradient, start

_COSINE = Quantity("1 - cos with the start after all steps", f"from the chord between the two directions; {ROUNDED}")


def _walk(
    problem: Problem, x: Array, xi: Array, lr: Array, wd: float, momentum: float = 0.0, v: Array | None = None
) -> tuple[Array, Array, Array]:
    """SGDM in displacement form (Yun et al. eq. 3): weights (steps + 1, d), gradients (steps, d), last velocity."""
    path, gradients = [x], []
    velocity = np.zeros_like(x) if v is None else v
    for k in range(len(xi)):
        g = gradient(problem, x, xi[k])
        velocity = momentum * velocity - lr[k] * (g + wd * x)
        x = x + velocity
        path.append(x)
        gradients.append(g)
    return np.array(path), np.array(gradients), velocity


def _versines(path: Array) -> Array:
    """1 - cos of every weight of ``path[step, d]`` with the first."""
    return chord_versine(path, path[0])


def _turning(found: Array, lines: Mapping[str, Array]) -> Curve:
    return Curve(x=np.arange(found.size), measured=found, stderr=np.zeros(found.size), lines=lines, xlabel="step",
                 ylabel="1 - cosine with the start")  # fmt: skip


def _step_angle(rng: np.random.Generator) -> Sequence[Measurement]:
    out, lr, wd = [], 0.3, 0.2
    what = Quantity("tan of the angle of one step", f"part of x' across x over the part along it; {ROUNDED}")
    for name, problem in SMALL.items():
        x, xi = start(problem, rng, 1)
        path, gradients, _ = _walk(problem, x, xi, np.array([lr]), wd)
        a, g = 1 - lr * wd, np.linalg.norm(gradients[0])
        across = path[1] - x * (path[1] @ x) / (x @ x)
        measured = float(np.linalg.norm(across) * np.linalg.norm(x) / (path[1] @ x))
        out.append(Measurement(quantity=what, system=f"{name}, one step of SGD: lr={lr:g} wd={wd:g}",
                               predicted=float(lr * g / (a * np.linalg.norm(x))), measured=measured,
                               wrong=float(lr * g / np.linalg.norm(x))))  # fmt: skip
    return out


def _telescoping(rng: np.random.Generator) -> Sequence[Measurement]:
    out, steps, u = [], 300, 0.02
    what = Quantity("sum of ln cos over the steps", f"from the weights before and after each step; {ROUNDED}")
    for name, problem in SMALL.items():
        x, xi = start(problem, rng, steps)
        path, _, _ = _walk(problem, x, xi, np.full(steps, 0.2), u / 0.2)
        r = np.linalg.norm(path, axis=1)
        cosines = np.sum(path[1:] * path[:-1], axis=1) / (r[1:] * r[:-1])
        total, change = steps * math.log1p(-u), math.log(r[0] / r[-1])
        k = np.arange(1, steps + 1)
        lines = {"decay and length": k * math.log1p(-u) + np.log(r[0] / r[1:]), "decay alone": k * math.log1p(-u)}
        curve = Curve(x=k, measured=np.log(cosines).cumsum(), stderr=np.zeros(steps), lines=lines, xlabel="step",
                      ylabel="sum of ln cos")  # fmt: skip
        out.append(Measurement(quantity=what, system=f"{name}, {steps} steps of SGD: lr=0.2 wd={u / 0.2:g}",
                               predicted=total + change, measured=float(np.log(cosines).sum()),
                               wrong=total - change, curve=curve))  # fmt: skip
    return out


def _symmetry(rng: np.random.Generator) -> Sequence[Measurement]:
    out, steps, c = [], 200, 3.0
    what = Quantity("|x| after all steps, started 3 times as long", ROUNDED)
    for name, problem in SMALL.items():
        x, xi = start(problem, rng, steps)
        lr, wd, mu = 0.05, 0.1, 0.9
        ends = [
            _walk(problem, scale * x, xi, np.full(steps, scale**2 * lr), decay, mu)[0][-1]
            for scale, decay in ((1.0, wd), (c, wd / c**2), (c, wd))
        ]
        lengths = [float(np.linalg.norm(end)) for end in ends]
        out.append(
            Measurement(
                quantity=what,
                system=f"{name}, {steps} steps of SGDM: lr={lr:g} wd={wd:g} mu={mu:g}",
                predicted=c * lengths[0],
                measured=lengths[1],
                wrong=lengths[2],
            )
        )
    return out


def _exponential_lr(rng: np.random.Generator) -> Sequence[Measurement]:
    """Weight decay at constant lr turns the weights as lr_k = lr a^(-2k-1) without it (momentum 0: 1.6)."""
    out, steps, lr, wd = [], 200, 0.05, 0.1
    a, k = 1 - lr * wd, np.arange(steps)
    for name, problem in SMALL.items():
        x, xi = start(problem, rng, steps)
        decayed, _, _ = _walk(problem, x, xi, np.full(steps, lr), wd)
        grown, _, _ = _walk(problem, x, xi, lr * a ** (-2.0 * k - 1), 0.0)
        late, _, _ = _walk(problem, x, xi, lr * a ** (-2.0 * k), 0.0)
        courses = [_versines(path) for path in (grown, decayed, late)]
        lines = {"no decay, lr a^(-2k-1)": courses[0], "no decay, lr a^(-2k)": courses[2], "no decay, the same lr":
                 _versines(_walk(problem, x, xi, np.full(steps, lr), 0.0)[0])}  # fmt: skip
        out.append(Measurement(quantity=_COSINE, system=f"{name}, {steps} steps of SGD: lr={lr:g} wd={wd:g}", predicted=courses[0][-1], measured=courses[1][-1], wrong=courses[2][-1],
                               curve=_turning(courses[1], lines)))  # fmt: skip
    return out


def _exponential_lr_momentum(rng: np.random.Generator) -> Sequence[Measurement]:
    """Displacement form (1.7): momentum mu/alpha^2, lr_k = lr alpha^(-2k-1), alpha the larger root."""
    out, steps, lr, wd, mu = [], 200, 0.02, 0.05, 0.9
    u, k = lr * wd, np.arange(steps)
    alpha = (1 + mu - u + math.sqrt((1 + mu - u) ** 2 - 4 * mu)) / 2
    for name, problem in SMALL.items():
        x, xi = start(problem, rng, steps)
        decayed, _, _ = _walk(problem, x, xi, np.full(steps, lr), wd, mu)
        found, courses = _versines(decayed), []
        for momentum in (mu / alpha**2, mu):
            # x_{-1} = x_0 for the decayed run, so alpha x_{-1} for the other
            path, _, _ = _walk(problem, x, xi, lr * alpha ** (-2.0 * k - 1), 0.0, momentum, (1 - alpha) * x)
            courses.append(_versines(path))
        lines = {"no decay, momentum mu/alpha^2": courses[0], "no decay, momentum mu": courses[1]}
        out.append(Measurement(quantity=_COSINE, system=f"{name}, {steps} steps of SGDM: lr={lr:g} wd={wd:g} mu={mu:g}",
                               predicted=courses[0][-1], measured=found[-1], wrong=courses[1][-1],
                               curve=_turning(found, lines)))  # fmt: skip
    return out


def _split(rng: np.random.Generator) -> Sequence[Measurement]:
    out, steps, lr, wd, mu = [], 60, 0.05, 0.1, 0.9
    what, u = Quantity("<x_0, x_n>", f"product of the first and the last weights; {ROUNDED}"), lr * wd
    H = np.zeros(steps + 2)  # H[k + 1] is H_k of theory.md 1.11
    H[1] = 1.0
    for k in range(1, steps + 1):
        H[k + 1] = (1 + mu - u) * H[k] - mu * H[k - 1]
    for name, problem in SMALL.items():
        x, xi = start(problem, rng, steps)
        v0 = 0.1 * rng.standard_normal(x.size)
        path, gradients, _ = _walk(problem, x, xi, np.full(steps, lr), wd, mu, v0)
        R, n = float(x @ x), steps
        pulls = sum(float(H[n - j] * (x @ gradients[j])) for j in range(n))
        decay, velocity = (H[n + 1] - mu * H[n]) * R, mu * H[n] * float(x @ v0)
        out.append(Measurement(quantity=what, system=f"{name}, {steps} steps of SGDM: lr={lr:g} wd={wd:g} mu={mu:g}",
                               predicted=decay + velocity - lr * pulls, measured=float(x @ path[-1]),
                               wrong=decay - lr * pulls))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="step-angle-identity", source="Yun et al. eq. 8; theory.md 1.2, 10.1", expected=EXACT, tolerance=ROUNDING,
          statement="One step of SGD turns the weights by an angle that gradient, lr, decay and length give exactly.",
          formula="tan Delta = lr |g|/((1 - lr wd) |x|)", assumes=ANY_LOSS, wrong="without 1 - lr wd", check=_step_angle),
    Claim(id="telescoping", source="theory.md 1.3", expected=EXACT, tolerance=ROUNDING,
          statement="The cosines of the steps multiply to decay times the change of length, for any noise.",
          formula="sum ln cos Delta_k = n ln(1 - u) + ln(r_0/r_n)", assumes=ANY_LOSS, wrong="r_n/r_0 for r_0/r_n",
          check=_telescoping),
    Claim(id="scale-symmetry", source="Yun et al. eq. 9; theory.md 1.5", expected=EXACT, tolerance=ROUNDING,
          statement="Weights c times as long with lr c^2 and wd/c^2 take the same path: the direction knows lr and the length "
                    "by the effective learning rate lr/|x|^2 alone.",
          formula="(x_0, lr, wd) -> (c x_0, c^2 lr, wd/c^2): x_k -> c x_k", assumes=ANY_LOSS, wrong="with the same wd",
          check=_symmetry, where={"c": "any positive number, here 3"}),
    Claim(id="exponential-lr", source="Li and Arora 2019; theory.md 1.6", expected=EXACT, tolerance=ROUNDING,
          statement="Weight decay is an exponentially growing learning rate without it.",
          formula="cos of both paths equal for lr_k = lr a^(-2k-1) without decay, a = 1 - lr wd", assumes=ANY_LOSS + "; momentum 0", wrong="lr_k = lr a^(-2k)",
          check=_exponential_lr),
    Claim(id="exponential-lr-momentum", source="Li and Arora 2019; theory.md 1.7", expected=EXACT,
          tolerance={"rounding, grown by the dynamics": 1e-7},
          statement="With momentum, too, if the displacement form takes momentum mu/alpha^2.",
          formula="cos of both paths equal for lr_k = lr alpha^(-2k-1) without decay, alpha^2 - (1 + mu - u) alpha + mu = 0", assumes=ANY_LOSS + "; u < (1 - sqrt mu)^2",
          wrong="the same momentum", check=_exponential_lr_momentum),
    Claim(id="split", source="theory.md 1.11", expected=EXACT, tolerance=ROUNDING,
          statement="The product of two weights splits into decay, starting velocity, and what the gradients did.",
          formula="<x_0, x_n> = (H_n - mu H_{n-1}) R_0 + mu H_{n-1} <x_0, v_0> - lr sum H_{n-1-j} <x_0, g_j>", assumes=ANY_LOSS,
          wrong="without the starting velocity", check=_split, where={"H_n": "weights of the recursion of theory.md 1.11: H_0 = 1, H_n = (1 + mu - u) H_{n-1} - mu H_{n-2}"}),
)  # fmt: skip
