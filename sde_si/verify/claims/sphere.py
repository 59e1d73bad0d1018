"""Training on the sphere at a fixed effective learning rate: Kodryan et al.'s pairs without noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si import theory
from sde_si.problem import Problem
from sde_si.sphere.lyapunov import lyapunov
from sde_si.sphere.setting import Setting
from sde_si.sphere.threshold import bisect, line
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.verify.claim import APPROXIMATE, EXACT, HOLDS, Claim, Measurement

Array = np.ndarray
ROUNDING = {"rounding": 1e-12}
THREE = np.array([1.0, 2.0, 4.0])


def _alphas(n: int) -> Array:
    """Curvatures 1 to n: all different, so that a wrong sum shows."""
    return np.arange(1.0, n + 1)


def _name(alphas: Array, a: float | None = None) -> str:
    shown = "" if a is None else f", eta = {a:g}/sum(alpha)"
    return f"groups, alphas {','.join(f'{v:g}' for v in alphas)}{shown}"


def _harmonic(rng: np.random.Generator) -> Sequence[Measurement]:
    """The iterate farthest from the identity, of 20 starts and 1000 iterates each."""
    out = []
    for a in (0.5, 1.3, 30.0):
        eta = a / THREE.sum()
        pairs = Pairs(random_squares(3, 20, rng), eta, THREE)
        worst = mean = 0.0
        for _ in range(1000):
            individual = eta / pairs.shares
            sums = eta * (1 / individual).sum(axis=0)
            worst = max(worst, float(np.abs(sums - 1).max()))
            mean = float((individual.mean(axis=0) / (3 * eta)).max())
            pairs.advance(1)
        out.append(Measurement(system=_name(THREE, a), predicted=1.0, measured=1 + worst, wrong=mean))
    return out


def _growth(rng: np.random.Generator) -> Sequence[Measurement]:
    """Mean growth of the group that differs most from the mean of the groups, over that mean."""
    out = []
    for a in (1.2, 2.0, 10.0, 100.0):
        pairs = Pairs(random_squares(3, 16, rng), a / THREE.sum(), THREE)
        pairs.advance(1000)
        pairs.forget()
        pairs.advance(100_000)
        ratio = pairs.mean_growth / pairs.mean_growth.mean(axis=0)
        far = ratio.flat[np.abs(ratio - 1).argmax()]
        out.append(Measurement(system=_name(THREE, a), predicted=1.0, measured=float(far), wrong=4 / 3))
    return out


def _below(rng: np.random.Generator) -> Sequence[Measurement]:
    out = []
    for n in (1, 2, 3, 5, 10):
        alphas = _alphas(n)
        for a in (0.3, 0.95):
            pairs = Pairs(random_squares(n, 200, rng), a / alphas.sum(), alphas)
            pairs.advance(40_000)
            share = float((pairs.loss < 1e-6 * alphas.sum()).mean())
            out.append(Measurement(system=_name(alphas, a), predicted=1.0, measured=share, wrong=0.0))
    return out


def _above(rng: np.random.Generator) -> Sequence[Measurement]:
    out = []
    for n in (1, 2, 3, 5, 10):
        alphas = _alphas(n)
        for a in (1.01, 1.5, 20.0):
            pairs = Pairs(random_squares(n, 200, rng), a / alphas.sum(), alphas)
            pairs.advance(40_000)
            share = float((pairs.loss > 1e-6 * alphas.sum()).mean())
            out.append(Measurement(system=_name(alphas, a), predicted=1.0, measured=share, wrong=0.0))
    return out


def _exceeds(rng: np.random.Generator) -> Sequence[Measurement]:
    """Share of the iterates at which some group's effective LR is above its threshold; wrong: the stiffest group's."""
    out = []
    for n in (2, 3, 5):
        alphas = _alphas(n)
        for a in (1.001, 1.01, 1.05):  # far above, all of them are at every iterate
            eta = a / alphas.sum()
            pairs = Pairs(random_squares(n, 50, rng), eta, alphas, threads=1)
            some = stiffest = 0.0
            for _ in range(800):
                above = alphas[:, None] * eta / pairs.shares > 1
                some, stiffest = some + above.any(axis=0).mean(), stiffest + above[-1].mean()
                pairs.advance(1)
            out.append(
                Measurement(
                    system=_name(alphas, a), predicted=1.0, measured=float(some) / 800, wrong=float(stiffest) / 800
                )
            )
    return out


def _threshold(exact: bool):
    def check(rng: np.random.Generator) -> Sequence[Measurement]:
        out = []
        for alphas in ((1.0, 3.0), (1.0, 2.0, 4.0), (1.0, 2.0, 3.0, 4.0, 5.0)):
            seed = int(rng.integers(2**31))
            setting = Setting(problem=Problem("groups", alphas=alphas), seed=seed)
            # the line needs no more than to begin above the threshold
            bracket = bisect(setting, float(rng.uniform(0.05, 0.8)), tolerance=5e-4 if exact else 1e-4)
            value, error = bracket.value, bracket.half_width
            if exact:
                found = line(setting, bracket.value)
                value, error = found.value, found.stderr
            predicted, wrong = 1 / sum(alphas), 1 / (len(alphas) * max(alphas))
            # half a bracket is a bound, not a standard error: it stands in the tolerance
            out.append(
                Measurement(
                    system=_name(np.array(alphas)), predicted=predicted, measured=value, wrong=wrong,
                    stderr=error if exact else 0.0,
                )
            )  # fmt: skip
        return out

    return check


def _two_cycle(rng: np.random.Generator) -> Sequence[Measurement]:
    out = []
    for a in (1.1, 1.5, 2.0, 5.0):
        pairs = Pairs(random_squares(1, 4, rng), a, np.ones(1))
        pairs.advance(2000)
        pairs.forget()
        pairs.advance(1000)
        cycle = theory.two_cycle(a)
        square, growth = float(pairs.mean_loss[0]), float(pairs.mean_growth[0, 0])
        multiplier = math.exp(2 * lyapunov(np.ones(1), a, starts=1, approach=500, iterations=200).exponents[0])
        name = f"one pair, a = {a:g}"
        out += [
            Measurement(system=f"{name}: x^2", predicted=cycle.square, measured=square, wrong=1 - 1 / a),
            Measurement(
                system=f"{name}: ln growth", predicted=cycle.log_growth, measured=growth, wrong=cycle.log_growth / 2
            ),
            Measurement(
                system=f"{name}: multiplier of two steps", predicted=cycle.multiplier, measured=multiplier,
                wrong=math.sqrt(cycle.multiplier),
            ),
        ]  # fmt: skip
    return out


def _no_chaos(rng: np.random.Generator) -> Sequence[Measurement]:
    """Lyapunov exponent of one pair; a = sqrt 2, where it is minus infinity, is left out."""
    out = []
    for a in (1.05, 1.3, 2.0, 5.0, 20.0):
        found = lyapunov(np.ones(1), a, starts=8, approach=5000, iterations=5000, seed=int(rng.integers(2**31)))
        predicted = math.log(abs(1 - 2 / a**2))
        out.append(
            Measurement(
                system=f"one pair, a = {a:g}", predicted=predicted, measured=float(found.exponents[0]), wrong=-predicted
            )
        )
    return out


def _neutral(rng: np.random.Generator) -> Sequence[Measurement]:
    """2 cos(theta) from the share of a group near the joint orbit: q_{k+1} + q_{k-1} = 2 cos(theta) q_k."""
    out = []
    for n in (2, 3):
        alphas = _alphas(n)
        for a in (1.2, 1.5, 2.5):
            share = alphas / alphas.sum()
            square = (1 - 1 / a) / 2
            shares = share[:, None] * (1 + 1e-6 * rng.standard_normal((n, 1)))
            pairs = Pairs(np.stack([shares * square, shares * (1 - square)]), a / alphas.sum(), alphas)
            series = []
            for _ in range(400):
                series.append(pairs.shares[0, 0] / share[0] - 1)
                pairs.advance(1)
            q = np.array(series[50:]) - np.mean(series[50:])
            # the middle's coefficient, with a constant for the orbit's own shift
            design = np.stack([q[1:-1], np.ones(q.size - 2)], axis=1)
            found = np.linalg.lstsq(design, q[2:] + q[:-2], rcond=None)[0][0] / 2
            cosine = 2 / a**2 - 1
            out.append(
                Measurement(system=f"{_name(alphas, a)}: cos(theta)", predicted=cosine, measured=found, wrong=-cosine)
            )
    return out


def _level(rng: np.random.Generator) -> Sequence[Measurement]:
    """Time mean of the loss; also where the orbit is not reached and the level is an approximation."""
    out = []
    for a in (1.2, 2.0, 3.0, 6.0, 10.0):
        pairs = Pairs(random_squares(3, 32, rng), a / THREE.sum(), THREE)
        pairs.advance(20_000)
        pairs.forget()
        pairs.advance(50_000)
        mean = pairs.mean_loss / THREE.sum()
        out.append(
            Measurement(
                system=_name(THREE, a), predicted=(1 - 1 / a) / 2, measured=float(mean.mean()),
                stderr=float(mean.std(ddof=1)) / math.sqrt(mean.size), wrong=(1 - 1 / a**2) / 2,
            )
        )  # fmt: skip
    return out


def _saturation(rng: np.random.Generator) -> Sequence[Measurement]:
    out = []
    for n in (1, 3, 10):
        alphas = _alphas(n)
        pairs = Pairs(random_squares(n, 32, rng), 1000 / alphas.sum(), alphas)
        pairs.advance(2000)
        pairs.forget()
        pairs.advance(50_000)
        mean = pairs.mean_loss / alphas.sum()
        out.append(
            Measurement(
                system=_name(alphas, 1000), predicted=0.5, measured=float(mean.mean()),
                stderr=float(mean.std(ddof=1)) / math.sqrt(mean.size), wrong=1.0,
            )
        )  # fmt: skip
    return out


_PROJECTED = "no noise; all weights rescaled to length 1 after every step"
CLAIMS = (
    Claim(id="sphere-harmonic-sum", source="Kodryan et al. A.2; theory.md 5.2", expected=EXACT, tolerance=ROUNDING,
          statement="The inverse effective LRs of the groups add up to that of all weights, at every iterate.",
          formula="sum_i 1/eta_i = 1/eta", assumes=_PROJECTED, wrong="their mean is n eta", check=_harmonic),
    Claim(id="sphere-equal-growth", source="theory.md 5.2", expected=HOLDS, check=_growth,
          statement="The groups equalise: the time mean of ln(1 + s_i^2) is the same for all, s_i their effective step.",
          formula="<ln(1 + s_i^2)> = <ln(1 + s_j^2)>", assumes=f"{_PROJECTED}; above the threshold",
          tolerance={"ends of the telescoping sum in 1e5 iterations": 2e-3}, wrong="one group grows a third faster"),
    Claim(id="sphere-convergence", source="Kodryan et al. 3.2; theory.md 5.3", expected=HOLDS, check=_below,
          statement="Below the total threshold every start converges.", formula="eta < 1/sum(alpha) => F -> 0",
          assumes=f"{_PROJECTED}; 40,000 iterations, 200 random starts", tolerance={"no start is left out": 1e-9},
          wrong="none does"),
    Claim(id="sphere-no-convergence", source="Kodryan et al. A.2; theory.md 5.3", expected=HOLDS, check=_above,
          statement="Above the total threshold no start converges.", formula="eta > 1/sum(alpha) => F stays above 0",
          assumes=f"{_PROJECTED}; 40,000 iterations, 200 random starts", tolerance={"no start is left out": 1e-9},
          wrong="all do"),
    Claim(id="sphere-some-group-exceeds", source="Kodryan et al. A.2, remark 2; theory.md 5.3", expected=EXACT,
          statement="Above the total threshold some group is above its own at every iterate.",
          formula="max_i alpha_i eta_i > 1", assumes=_PROJECTED, tolerance=ROUNDING, wrong="it is the stiffest one",
          check=_exceeds),
    Claim(id="sphere-threshold-bisection", source="Kodryan et al. 3.2; theory.md 5.3", expected=HOLDS,
          statement="The border between falling and stationary loss lies at 1/sum(alpha).", formula="eta_c = 1/sum(alpha)",
          assumes=_PROJECTED, tolerance={"half of the last bracket": 5e-5, "starts that still swing": 5e-5},
          wrong="1/(n max alpha), each group at an equal share", check=_threshold(False)),
    Claim(id="sphere-threshold-line", source="Kodryan et al. A.2; theory.md 5.4", expected=HOLDS,
          statement="The mean loss above the threshold, a straight line in 1/eta, vanishes at 1/eta = sum(alpha).",
          formula="F* = (sum(alpha) - 1/eta)/2", assumes=_PROJECTED, tolerance={"approach to the orbit": 1e-6},
          wrong="1/(n max alpha), each group at an equal share", check=_threshold(True)),
    Claim(id="sphere-two-cycle", source="theory.md 5.4, 14.8", expected=EXACT, check=_two_cycle,
          statement="One pair above its threshold has a stable orbit of period two.",
          formula="x^2 = (1 - 1/a)/2, ln growth 2 ln a, multiplier (1 - 2/a^2)^2", assumes=_PROJECTED,
          tolerance={"rounding": 1e-9}, wrong="1 - 1/a; half the growth; the multiplier of one step"),
    Claim(id="sphere-one-group-no-chaos", source="theory.md 5.4", expected=HOLDS, check=_no_chaos,
          statement="One pair is never chaotic: its Lyapunov exponent is below zero at every effective LR.",
          formula="lambda = ln|1 - 2/a^2|", assumes=f"{_PROJECTED}; a > 1", tolerance={"approach": 1e-3},
          wrong="the opposite sign: chaos"),
    Claim(id="sphere-neutral-modes", source="theory.md 5.4", expected=HOLDS, check=_neutral,
          statement="At the joint two-cycle of n pairs the differences of the shares neither grow nor shrink, and turn "
                    "by a known angle a step.",
          formula="cos(theta) = 2/a^2 - 1", assumes=f"{_PROJECTED}; small differences",
          tolerance={"finite differences": 1e-4}, wrong="1 - 2/a^2"),
    Claim(id="sphere-mean-loss", source="theory.md 5.4", expected=APPROXIMATE, check=_level,
          statement="The mean loss above the threshold is that of the joint two-cycle.",
          formula="F/sum(alpha) = (1 - 1/a)/2, a = eta sum(alpha)", assumes=f"{_PROJECTED}; three groups",
          tolerance={"chaos instead of the orbit": 0.025}, wrong="(1 - 1/a^2)/2",
          broken="exact up to a = 1.7, where the orbit is reached; 1 to 2 % above it"),
    Claim(id="sphere-saturation", source="Kodryan et al. A.2, remark 2; theory.md 5.4", expected=APPROXIMATE,
          statement="The toy has no third regime of its own: the mean loss saturates at that of random directions.",
          formula="F -> sum(alpha)/2 as eta -> infinity", assumes=_PROJECTED,
          tolerance={"1/a at a = 1000": 0.002, "chaos instead of the orbit": 0.003}, wrong="sum(alpha), the largest loss",
          check=_saturation, broken="a = 1000"),
)  # fmt: skip
