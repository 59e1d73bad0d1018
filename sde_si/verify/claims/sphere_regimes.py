"""The three regimes at a fixed effective learning rate, as the classifier tells them: minibatches of a regression."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si.problem import Problem
from sde_si.regimes import CONVERGENCE, DIVERGENCE, EQUILIBRIUM, REGIMES, UNDECIDED
from sde_si.sphere import laws
from sde_si.sphere.course import courses
from sde_si.sphere.setting import Setting
from sde_si.verify.claim import APPROXIMATE, Claim, Measurement, Quantity

DIM, ROWS = 256, 3072
EPOCHS = 24  # of one sample each
# the regime at each effective LR, and the one that a wrong variant names
_EXPECTED = {
    1 / DIM: (CONVERGENCE, EQUILIBRIUM),
    4 / DIM: (EQUILIBRIUM, DIVERGENCE),
    1.0: (DIVERGENCE, EQUILIBRIUM),
    10.0: (DIVERGENCE, EQUILIBRIUM),
}
_OVER = f"the last three quarters of {EPOCHS} epochs and 8 starts"
_NUMBER = Quantity(
    "regime: 1 convergence, 2 chaotic equilibrium, 3 divergence",
    f"by loss, gradient norm and angle alone (`sde_si.regimes`), over {_OVER}",
)
_LEVEL = Quantity("mean loss over that of random directions", f"mean over epoch ends of {_OVER}; error between starts")


def _number(name: str) -> float:
    return math.nan if name == UNDECIDED else REGIMES.index(name) + 1.0


def _regimes(rng: np.random.Generator) -> Sequence[Measurement]:
    """Regime at each effective LR and, where it is divergence, the level of the loss."""
    problem = Problem("regression", dim=DIM, spectrum=(1.0,), target_noise=0.0)
    setting = Setting(
        problem=problem, noise="minibatch", N=ROWS, B=1, starts=8, iterations=EPOCHS * ROWS, seed=int(rng.integers(2**31))
    )  # fmt: skip
    # over uniform directions E z^2 = tr(M)/d and E z b = 0: no prediction at all, z = 0, has but the second half
    level, nothing = laws.random_loss(setting), float(setting.run(1.0).arrays.params[0][0, 1])
    assert level is not None
    out = []
    for course in courses(setting, list(_EXPECTED)):
        name = f"regression on the sphere, dim {DIM}, target noise 0: N={ROWS} B=1, eta = {course.effective_lr:g}"
        found, (expected, wrong) = laws.regime(setting, course), _EXPECTED[course.effective_lr]
        out.append(Measurement(quantity=_NUMBER, system=name, predicted=_number(expected), measured=_number(found.name),
                               wrong=_number(wrong)))  # fmt: skip
        if expected == DIVERGENCE:
            out.append(Measurement(quantity=_LEVEL, system=name, predicted=1.0, measured=found.loss / level,
                                   stderr=found.loss_stderr / level, wrong=nothing / level))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="sphere-divergence", source="Kodryan et al., abstract; theory.md 5.1", expected=APPROXIMATE, check=_regimes,
          statement="A regression that its teacher solves has all three regimes: at increasing effective LRs minibatch "
                    "SGD converges, settles at a level below that of random directions, and diverges to that level.",
          formula="E L = (tr(M)/d + E b^2)/2 over directions y uniform on the sphere, L = E (z - b)^2/2",
          where={"tr": "trace", "M": "second moments of the rows", "z": "scalar product of a row and y", "b": "target of a row",
                 "E": "mean over directions, or over the rows"},
          assumes="all weights rescaled to length 1 after every step; isotropic rows, targets without noise, B = 1",
          # a step far above 1/d replaces y by a row and a sign: the row is among the data, which raises the loss by
          # d/(2N), and the sign knows the row's target, which lowers it by 1/sqrt(pi d) = 0.035
          tolerance={"d/(2N), rows that the steps follow, less what they know of the targets": 0.042},
          wrong="no convergence with minibatches; divergence as soon as SGD does not converge; an equilibrium at any "
                "effective LR; the loss of no prediction, E b^2/2",
          broken="1/d << 1, N >> d, eta >> 1/d"),
)  # fmt: skip
