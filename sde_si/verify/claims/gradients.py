"""What holds of every scale-invariant loss at one point: its gradient, Hessian and noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sde_si.losses import LOSSES
from sde_si.problem import Problem
from sde_si.verify.claim import EXACT, Claim, Measurement, Quantity
from sde_si.verify.claims.common import ANY_LOSS, ROUNDED, ROUNDING
from sde_si.verify.claims.systems import SAMPLES, SMALL, evaluate, gradient, start


def _every_loss() -> dict[str, Problem]:
    """The losses of the command line that have a mean gradient."""
    return {name: Problem(loss) for name, loss in LOSSES.items() if loss.gradient is not None}


def _loss_scales(rng: np.random.Generator) -> Sequence[Measurement]:
    out, c = [], 3.7
    what = Quantity("L(3.7 x) - L(x)", f"two evaluations of the full loss; {ROUNDED}")
    for name, problem in _every_loss().items():
        x, _ = start(problem, rng, 0)
        here, there = (evaluate(problem, y)[1] for y in (x, c * x))
        # forgotten in a loss of degree one in the direction; pca's and bingham's are of degree two and change by more
        out.append(Measurement(quantity=what, system=f"{name}, dim {x.size}, N={SAMPLES}", predicted=0.0,
                               measured=there - here, wrong=(c - 1) * here))  # fmt: skip
    return out


def _quotients(rng: np.random.Generator) -> Sequence[Measurement]:
    """Every component by a central difference, whose own error is of second order in its step."""
    h, out = 1e-5, []
    what = Quantity(
        "|difference quotients - gradient|/|gradient|",
        f"central differences of the loss in every component, step {h:g} of |x|; computed once in float64",
    )
    for name, problem in _every_loss().items():
        x, _ = start(problem, rng, 0)
        g, step = gradient(problem, x), h * np.linalg.norm(x)
        quotients = [
            (evaluate(problem, x + step * e)[1] - evaluate(problem, x - step * e)[1]) / (2 * step)
            for e in np.eye(x.size)
        ]
        off, unit = (float(np.linalg.norm(np.array(quotients) - k * g) / np.linalg.norm(k * g))
                     for k in (1.0, np.linalg.norm(x)))  # fmt: skip
        out.append(Measurement(quantity=what, system=f"{name}, dim {x.size}, N={SAMPLES}", predicted=0.0, measured=off,
                               wrong=unit))  # fmt: skip
    return out


def _noise_tangential(rng: np.random.Generator) -> Sequence[Measurement]:
    """Every sample's gradient, hence their covariance's product with the weights."""
    out = []
    what = Quantity("largest |cos| between the weights and one sample's gradient", f"over all samples; {ROUNDED}")
    for name, problem in _every_loss().items():
        if problem.loss.minibatch is None:
            continue
        x, _ = start(problem, rng, 0)
        arrays = problem.arrays(SAMPLES, 0)
        every, g = np.repeat(x[None], SAMPLES, axis=0), np.zeros((SAMPLES, x.size))
        problem.loss.minibatch(every, np.arange(SAMPLES)[:, None], arrays.params, g)
        rows = arrays.params[1][:, : x.size]  # the gradient before it goes through the normalisation points along them
        worst = [float(np.max(np.abs(v @ x) / np.linalg.norm(v, axis=1) / np.linalg.norm(x))) for v in (g, rows)]
        out.append(Measurement(quantity=what, system=f"{name}, dim {x.size}, N={SAMPLES}", predicted=0.0,
                               measured=worst[0], wrong=worst[1]))  # fmt: skip
    return out


def _gradient_scales(rng: np.random.Generator) -> Sequence[Measurement]:
    out, c = [], 3.7
    what = Quantity("|grad L(3.7 x)|", f"length of the full gradient; {ROUNDED}")
    for name, problem in SMALL.items():
        x, _ = start(problem, rng, 0)
        here, there = (float(np.linalg.norm(gradient(problem, y))) for y in (x, c * x))
        out.append(Measurement(quantity=what, system=name, predicted=here / c, measured=there, wrong=here))
    return out


def _tangential(rng: np.random.Generator) -> Sequence[Measurement]:
    out = []
    what = Quantity("<x, grad L>/|x|^2", f"product with the full gradient; {ROUNDED}")
    for name, problem in SMALL.items():
        x, _ = start(problem, rng, 0)
        g, size = gradient(problem, x), np.linalg.norm(x) ** 2
        out.append(Measurement(quantity=what, system=name, predicted=0.0, measured=float(x @ g / size),
                               wrong=float(x @ (g + 0.1 * x) / size)))  # fmt: skip
    return out


def _hessian(rng: np.random.Generator) -> Sequence[Measurement]:
    out, h = [], 1e-5
    what = Quantity(
        "<grad L, H x>", "central difference of the full gradient along the weights; computed once in float64"
    )
    for name, problem in SMALL.items():
        x, _ = start(problem, rng, 0)
        g = gradient(problem, x)
        along = (gradient(problem, (1 + h) * x) - gradient(problem, (1 - h) * x)) / (2 * h)
        predicted = -float(g @ g)
        out.append(
            Measurement(quantity=what, system=name, predicted=predicted, measured=float(along @ g), wrong=-predicted)
        )
    return out


CLAIMS = (
    Claim(id="loss-scales", source="Yun et al., definition before eq. 5; theory.md 0.1", expected=EXACT,
          tolerance={"rounding": 1e-9}, statement="The loss does not depend on the weights' length.",
          formula="L(c x) = L(x), c > 0", assumes=ANY_LOSS, wrong="it grows with the length: the normalisation forgotten",
          check=_loss_scales, where={"c": "any positive number, here 3.7"}),
    Claim(id="gradient-quotient", source="theory.md 0.1, 0.4", expected=EXACT,
          tolerance={"difference quotients": 1e-7},
          statement="Every loss's gradient is the derivative of its loss.",
          formula="(L(x + h e_i) - L(x - h e_i))/(2h) = (grad L)_i + O(h^2)", assumes="float64",
          wrong="the gradient at the unit vector: 1/|x| forgotten", check=_quotients,
          where={"h": "step of the difference", "e_i": "unit vector of component i"}),
    Claim(id="gradient-scales", source="Yun et al. eq. 5; theory.md 0.4", expected=EXACT, tolerance=ROUNDING,
          statement="The gradient is inversely proportional to the weights' length.",
          formula="grad L(c x) = grad L(x)/c", assumes=ANY_LOSS, wrong="the gradient does not change", check=_gradient_scales, where={"c": "any positive number, here 3.7"}),
    Claim(id="gradient-tangential", source="Yun et al. eq. 6; theory.md 0.4", expected=EXACT, tolerance=ROUNDING,
          statement="The gradient is orthogonal to the weights.", formula="<x, grad L(x)> = 0", assumes=ANY_LOSS,
          wrong="the gradient of the loss with its decay term is", check=_tangential),
    Claim(id="noise-tangential", source="Yun et al. eq. 7; theory.md 0.4", expected=EXACT, tolerance=ROUNDING,
          statement="So is every sample's gradient, and with it the noise.", formula="|Sigma(x)^(1/2) x| = 0",
          assumes=ANY_LOSS, wrong="each sample's gradient before it goes through the normalisation",
          check=_noise_tangential),
    Claim(id="hessian-radial", source="theory.md 0.4", expected=EXACT, tolerance={"finite differences": 1e-7},
          statement="The Hessian maps the weights to minus the gradient.", formula="H(x) x = -grad L(x)", assumes=ANY_LOSS,
          wrong="to plus the gradient", check=_hessian, where={"H": "Hessian of the loss"}),
)  # fmt: skip
