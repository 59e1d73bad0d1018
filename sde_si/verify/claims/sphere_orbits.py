"""Orbits of Kodryan et al.'s pairs above the threshold: period two, chaos of several pairs, and the mean loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si import theory
from sde_si.estimators import mean_and_error
from sde_si.sphere.lyapunov import lyapunov
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.verify.claim import APPROXIMATE, EXACT, HOLDS, Claim, Measurement, Quantity
from sde_si.verify.claims.systems import PROJECTED, THREE, first_alphas, pairs_name

_ORBIT = "mean over 1000 iterates of the orbit, after 2000; no statistics"
_SQUARE = Quantity("square of the first weight, x_1^2", _ORBIT)
_GROWTH = Quantity("growth ln(1 + s^2) of the length a step", _ORBIT)
_MULTIPLIER = Quantity("multiplier of two steps", "exp(2 x Lyapunov exponent) of the tangent map along the orbit")


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
        name = pairs_name(np.ones(1), a)
        out += [
            Measurement(quantity=_SQUARE, system=name, predicted=cycle.square, measured=square, wrong=1 - 1 / a),
            Measurement(
                quantity=_GROWTH, system=name, predicted=cycle.log_growth, measured=growth, wrong=cycle.log_growth / 2
            ),
            Measurement(
                quantity=_MULTIPLIER, system=name, predicted=cycle.multiplier, measured=multiplier,
                wrong=math.sqrt(cycle.multiplier),
            ),
        ]  # fmt: skip
    return out


def _no_chaos(rng: np.random.Generator) -> Sequence[Measurement]:
    """Lyapunov exponent of one pair; a = sqrt 2, where it is minus infinity, is left out."""
    out = []
    what = Quantity(
        "Lyapunov exponent", "mean logarithm of the tangent map's growth over 8 starts and 5000 iterates", "1/step"
    )
    for a in (1.05, 1.3, 2.0, 5.0, 20.0):
        found = lyapunov(np.ones(1), a, starts=8, approach=5000, iterations=5000, seed=int(rng.integers(2**31)))
        predicted = math.log(abs(1 - 2 / a**2))
        out.append(
            Measurement(
                quantity=what,
                system=pairs_name(np.ones(1), a),
                predicted=predicted,
                measured=float(found.exponents[0]),
                wrong=2 * predicted,
            )
        )
    return out


_TIME = 20_000  # iterates of the measurement, and as many before it
_LARGEST = f"of the tangent map over {_TIME} iterates after as many, 8 starts"
_POSITIVE = Quantity(
    "positive part of the largest Lyapunov exponent",
    f"mean {_LARGEST}, 0 for a negative one; error between starts", "1/step",
)  # fmt: skip
_SIGN = Quantity(
    "sign of the largest Lyapunov exponent",
    f"mean {_LARGEST}: 1 for growth above any power of time, d ln(t), -1 for a fall below it, 0 between",
)
_NEAR, _FAR = (1.1, 1.2), 2.0  # of the onset at a = 1.7 to 1.8, where starts of one system differ


def _onset(rng: np.random.Generator) -> Sequence[Measurement]:
    """Largest Lyapunov exponent of several pairs: not positive near the threshold, positive far above.

    Near the threshold its positive part alone is measured: with alphas 1, 2, 4 a few starts in a thousand find a periodic
    orbit that attracts, with an exponent of -0.01, beside the joint orbit with its zero.
    """
    out = []
    for alphas in (np.array([1.0, 2.0]), THREE, first_alphas(5)):
        for a in (*_NEAR, _FAR):
            seed = int(rng.integers(2**31))
            found = lyapunov(alphas, a / alphas.sum(), starts=8, approach=_TIME, iterations=_TIME, seed=seed)
            top, name = found.each[:, 0], pairs_name(alphas, a)
            if a == _FAR:
                bound = (2 * alphas.size - 1) * math.log(2 * _TIME) / _TIME
                sign = float(np.where(np.abs(top) > bound, np.sign(top), 0).mean())
                name = f"{name}: exponent {found.exponents[0]:.4f} +- {found.stderr[0]:.4f}"
                out.append(Measurement(quantity=_SIGN, system=name, predicted=1.0, measured=sign, wrong=0.0))
            else:
                positive = mean_and_error(np.maximum(top, 0))
                # beside the minimum x' = (1 - 2a) x (theory.md 5.3): the iterates do not stay there
                out.append(
                    Measurement(
                        quantity=_POSITIVE, system=name, predicted=0.0, measured=positive.value,
                        stderr=positive.stderr,
                        wrong=math.log(2 * a - 1),
                    )
                )  # fmt: skip
    return out


def _neutral(rng: np.random.Generator) -> Sequence[Measurement]:
    """2 cos(theta) from the share of a group near the joint orbit: q_{k+1} + q_{k-1} = 2 cos(theta) q_k."""
    out = []
    what = Quantity(
        "cos(theta)", "least squares of q_{k+1} + q_{k-1} = 2 cos(theta) q_k over 350 steps of a group's share"
    )
    for n in (2, 3):
        alphas = first_alphas(n)
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
                Measurement(
                    quantity=what, system=pairs_name(alphas, a), predicted=cosine, measured=found, wrong=-cosine
                )
            )
    return out


_MEAN_LOSS = Quantity("mean loss over sum(alpha)", "mean over 50,000 iterates and 32 starts; error between starts")


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
                quantity=_MEAN_LOSS, system=pairs_name(THREE, a), predicted=(1 - 1 / a) / 2, measured=float(mean.mean()),
                stderr=float(mean.std(ddof=1)) / math.sqrt(mean.size), wrong=(1 - 1 / a**2) / 2,
            )
        )  # fmt: skip
    return out


def _saturation(rng: np.random.Generator) -> Sequence[Measurement]:
    out = []
    for n in (1, 3, 10):
        alphas = first_alphas(n)
        pairs = Pairs(random_squares(n, 32, rng), 1000 / alphas.sum(), alphas)
        pairs.advance(2000)
        pairs.forget()
        pairs.advance(50_000)
        mean = pairs.mean_loss / alphas.sum()
        out.append(
            Measurement(
                quantity=_MEAN_LOSS, system=pairs_name(alphas, 1000), predicted=0.5, measured=float(mean.mean()),
                stderr=float(mean.std(ddof=1)) / math.sqrt(mean.size), wrong=1.0,
            )
        )  # fmt: skip
    return out


CLAIMS = (
    Claim(id="sphere-two-cycle", source="theory.md 5.4, 14.8", expected=EXACT, check=_two_cycle,
          statement="One pair above its threshold has a stable orbit of period two.",
          formula="x_1^2 = (1 - 1/a)/2, growth 2 ln a, multiplier (1 - 2/a^2)^2", where={"a": "eta sum(alpha), effective LR over its threshold"}, assumes=PROJECTED,
          tolerance={"rounding": 1e-9}, wrong="1 - 1/a; half the growth; the multiplier of one step"),
    Claim(id="sphere-one-group-no-chaos", source="theory.md 5.4", expected=HOLDS, check=_no_chaos,
          statement="One pair is never chaotic: its Lyapunov exponent is below zero at every effective LR.",
          formula="exponent = ln|1 - 2/a^2|", where={"a": "eta sum(alpha), effective LR over its threshold"}, assumes=f"{PROJECTED}; a > 1", tolerance={"approach": 1e-3},
          wrong="the exponent of two steps"),
    Claim(id="sphere-chaos-onset", source="theory.md 5.4", expected=HOLDS, check=_onset,
          statement="Several pairs become chaotic not at the threshold of convergence, but well above it: "
                    "their largest Lyapunov exponent is not positive near the threshold, and positive at twice it.",
          formula="exponent <= 0 for a <= 1.2, > 0 for a = 2",
          where={"a": "eta sum(alpha), effective LR over its threshold", "t": "iterates so far"},
          assumes=f"{PROJECTED}; two, three and five groups of different alphas; onset near a = 1.8",
          tolerance={"growth as a power of time, ln(t)/t": 1e-3},
          wrong="chaos at once, at the rate ln(2a - 1) at which the minimum repels; never, as for one pair"),
    Claim(id="sphere-neutral-modes", source="theory.md 5.4", expected=HOLDS, check=_neutral,
          statement="At the joint two-cycle of n pairs the differences of the shares neither grow nor shrink, and turn "
                    "by a known angle a step.",
          formula="cos(theta) = 2/a^2 - 1", where={"a": "eta sum(alpha)", "theta": "angle by which the difference of two shares turns in a step"}, assumes=f"{PROJECTED}; small differences",
          tolerance={"finite differences": 1e-4}, wrong="1 - 2/a^2"),
    Claim(id="sphere-mean-loss", source="theory.md 5.4", expected=APPROXIMATE, check=_level,
          statement="The mean loss above the threshold is that of the joint two-cycle.",
          formula="F/sum(alpha) = (1 - 1/a)/2", where={"a": "eta sum(alpha), effective LR over its threshold"}, assumes=f"{PROJECTED}; three groups",
          tolerance={"chaos instead of the orbit": 0.025}, wrong="(1 - 1/a^2)/2",
          broken="exact up to a = 1.7, where the orbit is reached; 1 to 2 % above it"),
    Claim(id="sphere-saturation", source="Kodryan et al. A.2, remark 2; theory.md 5.4", expected=APPROXIMATE,
          statement="The toy has no third regime of its own: the mean loss saturates at that of random directions.",
          formula="F -> sum(alpha)/2 as eta -> infinity", assumes=PROJECTED,
          tolerance={"1/a at a = 1000": 0.002, "chaos instead of the orbit": 0.003}, wrong="sum(alpha), the largest loss",
          check=_saturation, broken="a = 1000"),
)  # fmt: skip
