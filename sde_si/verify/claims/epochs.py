"""How far the weights turn in an epoch: Yun et al.'s law, where it fails, and what holds instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sde_si import theory
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    at_lag,
    describe,
    exact_versine,
    lag_curve,
    versine,
)
from sde_si.verify.claims.systems import LAGS, WITH_REPLACEMENT, lag_runs, sde_runs, sgd_runs


def _first_order(mu: str, wrong: Callable[[float], float]):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        one, T = runs[mu], runs[mu].hyperparameters.tuning_factor
        return [
            Measurement(
                system=describe(one), predicted=T, truth=exact_versine(one), wrong=wrong(T), **versine(records[mu])
            )
        ]

    return measure


def _epoch_cosine(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for mu, one in runs.items():
        T = one.hyperparameters.tuning_factor
        wrong = T if one.hyperparameters.momentum == 0 else 1 - math.exp(-T)
        out.append(Measurement(system=describe(one), predicted=exact_versine(one), wrong=wrong, **versine(records[mu])))
    return out


def _long_lag(records: Records, runs: Runs) -> Sequence[Measurement]:
    one = runs["mu=0.9"]
    hp = one.hyperparameters
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    return [Measurement(system=f"{describe(one)}, lag {n}", predicted=1 - math.exp(-n * u / (1 - mu)),
                        wrong=1 - math.exp(-n * u / (1 + mu)), truth=exact_versine(one), **versine(records["mu=0.9"]))]  # fmt: skip


def _every_lag(records: Records, runs: Runs) -> Sequence[Measurement]:
    """One step, within the velocity's memory, and an epoch; the wrong one is the other paper's asymptote."""
    [(name, one)] = runs.items()
    hp, lags = one.hyperparameters, np.array(LAGS)
    u, mu = hp.intrinsic_lr, hp.momentum
    exact = 1 - theory.lag_cosines(max(LAGS), u, mu)
    yun, wan = (-np.expm1(-lags * u / (1 + sign * mu)) for sign in (-1, 1))
    curve = lag_curve(records[name], LAGS, {"c_n": exact[lags], "Yun et al.: 1 - exp(-n u/(1 - mu))": yun,
                                             "Wan et al.: 1 - exp(-n u/(1 + mu))": wan})  # fmt: skip
    return [
        Measurement(system=f"{describe(one)}, lag {lag}", predicted=float(exact[lag]), wrong=float(other[LAGS.index(lag)]),
                    curve=curve if lag == 1 else None, **at_lag(records[name], lag))
        for lag, other in ((1, yun), (8, wan), (35, yun), (400, wan))
    ]  # fmt: skip


CLAIMS = (
    Claim(id="yun-18", source="Yun et al. eq. 18; theory.md 10.4, 10.5", expected=FAILS,
          statement="The cosine over an epoch is one minus the tuning factor.", formula="E cos = 1 - N lr wd/B, that is 1 - E cos = T",
          assumes=f"norm equilibrium, {WITH_REPLACEMENT}, a small tuning factor", tolerance={"first order": 0.05},
          wrong="the deviation is -T^2", broken="one Euler step of an epoch's length: T is not small", corrected="epoch-cosine",
          runs=lambda scale, seed: {"0": sgd_runs(scale, seed)["0"]}, measure=_first_order("0", lambda T: T - T * T)),
    Claim(id="yun-27", source="Yun et al. eq. 27; theory.md 10.5, 10.9", expected=FAILS,
          statement="With momentum, too, if the tuning factor has 1/(1 - mu).", formula="E cos = 1 - N lr wd/(B (1 - mu)), that is 1 - E cos = T",
          assumes=f"norm equilibrium, {WITH_REPLACEMENT}, a small tuning factor", tolerance={"first order": 0.05},
          wrong="exp(-T) explains it", broken="T is small, and the velocity forgets within a fraction of the epoch",
          corrected="epoch-cosine", runs=lambda scale, seed: {"0.9": sgd_runs(scale, seed)["0.9"]},
          measure=_first_order("0.9", lambda T: 1 - math.exp(-T))),
    Claim(id="epoch-cosine", source="Yun et al. eqs. 11, 18, 27, exact form; theory.md 1.8, 9.2, 2.7", expected=HOLDS,
          statement="At equilibrium the cosine over n steps follows the two roots of the velocity's recursion.",
          formula="1 - E cos = 1 - c_n, c_{n+1} = (1 + mu - u) c_n - mu c_{n-1}, c_0 = 1, c_1 = 1 - u/(1 + mu); c_n = (1 - u)^n at mu = 0",
          assumes=f"norm equilibrium, {WITH_REPLACEMENT}", tolerance={MONTE_CARLO: 0.009, FINITE_D: 0.001},
          wrong="1 - T without momentum, exp(-T) with it", runs=sgd_runs, measure=_epoch_cosine),
    Claim(id="epoch-cosine-sde", source="theory.md 2.4, 9.7", expected=HOLDS,
          statement="In the SDE the cosine over an epoch is exp(-T); with momentum the damped oscillator's correlation.",
          formula="1 - E cos = 1 - exp(-N lr wd/B); with momentum 1 - c(t) of theory.md 9.7", assumes=f"norm equilibrium, {WITH_REPLACEMENT}",
          tolerance={MONTE_CARLO: 0.009, "step size and finite d": 0.003}, wrong="1 - T without momentum, exp(-T) with it",
          runs=sde_runs, measure=_epoch_cosine),
    Claim(id="long-lag", source="Yun et al. eq. 27 against Wan et al.; theory.md 9.3", expected=APPROXIMATE,
          statement="Over many steps momentum turns the weights by 1/(1 - mu) more, not by 1/(1 + mu).",
          formula="1 - E cos = 1 - exp(-n u/(1 - mu))", assumes=f"norm equilibrium, {WITH_REPLACEMENT}, n (1 - mu) >> 1",
          tolerance={MONTE_CARLO: 0.012, "2 mu/(n (1 - mu)(1 + mu)) at n = 400": 0.024}, wrong="1 + mu for 1 - mu",
          runs=lag_runs, measure=_long_lag, broken="n (1 - mu) = 40"),
    Claim(id="cosine-against-lag", source="Yun et al. eq. 27; Wan et al.; theory.md 9.2, 9.3", expected=HOLDS,
          statement="Wan's 1/(1 + mu) is the angle of one step and Yun's 1/(1 - mu) that of many: the cosine goes from the "
                    "one to the other as the lag outgrows the velocity's memory.",
          formula="1 - c_n, c_n = (1 + mu - u) c_{n-1} - mu c_{n-2}: u/(1 + mu) at n = 1, 1 - exp(-n u/(1 - mu)) at n (1 - mu) >> 1",
          assumes=f"norm equilibrium, {WITH_REPLACEMENT}", tolerance={MONTE_CARLO: 0.018, FINITE_D: 0.002},
          wrong="the other paper's asymptote", runs=lag_runs, measure=_every_lag),
)  # fmt: skip
