"""How far the weights turn in an epoch: Yun et al.'s law, where it fails, and what holds instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.run import Run
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
    run,
    versine,
)

_YUN: dict[str, dict[str, Any]] = {
    "0": {"wd": 0.05, "momentum": 0.0},
    "0.9": {"wd": 0.005, "momentum": 0.9},
}  # T = 0.25 in 50 steps
_ENDS = "noise drawn with replacement, no mean gradient"


def _yun_runs(scale: float, seed: int) -> dict[str, Run]:
    return {mu: run(paths=192, scale=scale, seed=seed, epochs=60, **v) for mu, v in _YUN.items()}


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


def _sde_runs(scale: float, seed: int) -> dict[str, Run]:
    return {mu: run(paths=128, scale=scale, seed=seed, epochs=50, method="splitting", **v) for mu, v in _YUN.items()}


_LAGS = (1, 2, 3, 5, 8, 13, 20, 35, 60, 100, 200, 400)  # from within the velocity's memory of 10 steps to far beyond


def _two_lags_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"mu=0.9": run(N=40_000, B=100, wd=1e-3, momentum=0.9, epochs=20, paths=128, lags=_LAGS, scale=scale,
                          seed=seed)}  # fmt: skip


def _long_lag(records: Records, runs: Runs) -> Sequence[Measurement]:
    one = runs["mu=0.9"]
    hp = one.hyperparameters
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    return [Measurement(system=f"{describe(one)}, lag {n}", predicted=1 - math.exp(-n * u / (1 - mu)),
                        wrong=1 - math.exp(-n * u / (1 + mu)), truth=exact_versine(one), **versine(records["mu=0.9"]))]  # fmt: skip


def _every_lag(records: Records, runs: Runs) -> Sequence[Measurement]:
    """One step, within the velocity's memory, and an epoch; the wrong one is the other paper's asymptote."""
    [(name, one)] = runs.items()
    hp, lags = one.hyperparameters, np.array(_LAGS)
    u, mu = hp.intrinsic_lr, hp.momentum
    exact = 1 - theory.lag_cosines(max(_LAGS), u, mu)
    yun, wan = (-np.expm1(-lags * u / (1 + sign * mu)) for sign in (-1, 1))
    curve = lag_curve(records[name], _LAGS, {"c_n": exact[lags], "Yun et al.: 1 - exp(-n u/(1 - mu))": yun,
                                             "Wan et al.: 1 - exp(-n u/(1 + mu))": wan})  # fmt: skip
    return [
        Measurement(system=f"{describe(one)}, lag {lag}", predicted=float(exact[lag]), wrong=float(other[_LAGS.index(lag)]),
                    curve=curve if lag == 1 else None, **at_lag(records[name], lag))
        for lag, other in ((1, yun), (8, wan), (35, yun), (400, wan))
    ]  # fmt: skip


CLAIMS = (
    Claim(id="yun-18", source="Yun et al. eq. 18; theory.md 10.4, 10.5", expected=FAILS,
          statement="The cosine over an epoch is one minus the tuning factor.", formula="E cos = 1 - N lr wd/B",
          assumes=f"norm equilibrium, {_ENDS}, a small tuning factor", tolerance={"first order": 0.05},
          wrong="the deviation is -T^2", broken="one Euler step of an epoch's length: T is not small", corrected="epoch-cosine",
          runs=lambda scale, seed: {"0": _yun_runs(scale, seed)["0"]}, measure=_first_order("0", lambda T: T - T * T)),
    Claim(id="yun-27", source="Yun et al. eq. 27; theory.md 10.5, 10.9", expected=FAILS,
          statement="With momentum, too, if the tuning factor has 1/(1 - mu).", formula="E cos = 1 - N lr wd/(B (1 - mu))",
          assumes=f"norm equilibrium, {_ENDS}, a small tuning factor", tolerance={"first order": 0.05},
          wrong="exp(-T) explains it", broken="T is small, and the velocity forgets within a fraction of the epoch",
          corrected="epoch-cosine", runs=lambda scale, seed: {"0.9": _yun_runs(scale, seed)["0.9"]},
          measure=_first_order("0.9", lambda T: 1 - math.exp(-T))),
    Claim(id="epoch-cosine", source="theory.md 1.8, 9.2, 2.7", expected=HOLDS,
          statement="At equilibrium the cosine over n steps follows the two roots of the velocity's recursion.",
          formula="c_{n+1} = (1 + mu - u) c_n - mu c_{n-1}, c_0 = 1, c_1 = 1 - u/(1 + mu); (1 - u)^n at mu = 0",
          assumes=f"norm equilibrium, {_ENDS}", tolerance={MONTE_CARLO: 0.009, FINITE_D: 0.001},
          wrong="1 - T without momentum, exp(-T) with it", runs=_yun_runs, measure=_epoch_cosine),
    Claim(id="epoch-cosine-sde", source="theory.md 2.4, 9.7", expected=HOLDS,
          statement="In the SDE the cosine over an epoch is exp(-T); with momentum the damped oscillator's correlation.",
          formula="E cos = exp(-N lr wd/B); c(t) of 9.7 with momentum", assumes=f"norm equilibrium, {_ENDS}",
          tolerance={MONTE_CARLO: 0.009, "step size and finite d": 0.003}, wrong="1 - T without momentum, exp(-T) with it",
          runs=_sde_runs, measure=_epoch_cosine),
    Claim(id="long-lag", source="Yun et al. eq. 27 against Wan et al.; theory.md 9.3", expected=APPROXIMATE,
          statement="Over many steps momentum turns the weights by 1/(1 - mu) more, not by 1/(1 + mu).",
          formula="E cos = exp(-n u/(1 - mu))", assumes=f"norm equilibrium, {_ENDS}, n (1 - mu) >> 1",
          tolerance={MONTE_CARLO: 0.012, "2 mu/(n (1 - mu)(1 + mu)) at n = 400": 0.024}, wrong="1 + mu for 1 - mu",
          runs=_two_lags_runs, measure=_long_lag, broken="n (1 - mu) = 40"),
    Claim(id="cosine-against-lag", source="Yun et al. eq. 27; Wan et al.; theory.md 9.2, 9.3", expected=HOLDS,
          statement="Wan's 1/(1 + mu) is the angle of one step and Yun's 1/(1 - mu) that of many: the cosine goes from the "
                    "one to the other as the lag outgrows the velocity's memory.",
          formula="c_n = (1 + mu - u) c_{n-1} - mu c_{n-2}: 1 - u/(1 + mu) at n = 1, ~ exp(-n u/(1 - mu)) at n (1 - mu) >> 1",
          assumes=f"norm equilibrium, {_ENDS}", tolerance={MONTE_CARLO: 0.018, FINITE_D: 0.002},
          wrong="the other paper's asymptote", runs=_two_lags_runs, measure=_every_lag),
)  # fmt: skip
