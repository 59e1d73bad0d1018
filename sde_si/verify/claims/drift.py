"""A mean gradient beside the noise: how far the direction turns.

The solvable model of theory.md 1.10 is no gradient of a loss, but scale-invariant and tangential, with a signal G that is
the same everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import estimators, theory
from sde_si.run import Run
from sde_si.verify.claim import FAILS, HOLDS, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import (
    AT_LAG,
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    describe,
    lag_versines,
    run,
    window,
)
from sde_si.verify.claims.systems import ROTATING, rotating, signal_of

_LAGS = (1, 2, 5, 10, 20, 40, 80, 160)


def _turning_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"G = 0.75 tau": rotating(0.75, N=40, lr=0.05, wd=0.05, dim=64, epochs=60, lags=_LAGS, paths=48, scale=scale,
                                     seed=seed)}  # fmt: skip


def _turning(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        [(name, one)] = runs.items()
        u, share = one.hyperparameters.intrinsic_lr, signal_of(one) / (signal_of(one) + one.noise_trace)
        lags = np.array(_LAGS)
        found, stderr = lag_versines(records[name])
        truth = 1 - np.asarray(theory.drift_cosine(lags, u, share))
        noise = 1 - (1 - u) ** lags
        # with the SDE's shorter weights: G/tau for G/(G + tau)
        ratio = share / (1 - share)
        short = 1 - np.exp(-lags * u) * np.cos(lags * math.sqrt(2 * u * ratio))
        curve = Curve(x=lags, measured=found, stderr=stderr, xlabel="lag, steps", ylabel="1 - E cos", log="x",
                      lines={"drift and noise": truth, "noise alone": noise, "with the SDE's norm": short})  # fmt: skip
        out = []
        for lag in (10, 40, 160) if corrected else (10, 40):
            i = _LAGS.index(lag)
            common = {"quantity": AT_LAG, "system": f"{describe(one)}, {name}, lag {lag}", "measured": float(found[i]),
                      "stderr": float(stderr[i]), "curve": None if out else curve}  # fmt: skip
            if corrected:
                out.append(Measurement(predicted=float(truth[i]), wrong=float(short[i]), **common))
            else:
                out.append(
                    Measurement(predicted=float(noise[i]), truth=float(truth[i]), wrong=float(short[i]), **common)
                )
        return out

    return measure


def _log_runs(scale: float, seed: int) -> dict[str, Run]:
    """Epochs of one step, so that every step's cosine is recorded; large steps, so that they vary."""
    common: dict[str, Any] = {"lr": 0.5, "wd": 0.2, "epochs": 500, "paths": 64, "init_norm": 1.0, "scale": scale,
                              "seed": seed}  # fmt: skip
    return {
        "vmf": run("vmf", N=1, B=1, dim=4, parameters={"signal": 1.0}, **common),
        "pca": run("pca", N=20, B=20, dim=6, **common),
    }


def _log(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    what = Quantity(
        "E ln cos of a step", "mean of ln cos over paths and equilibrated epochs of one step; error from the paths"
    )
    for name, one in runs.items():
        u = one.hyperparameters.intrinsic_lr
        angles = estimators.values(records[name], "angle_epoch")[:, window(records[name]).epochs]
        found = estimators.mean_and_error(np.log(np.cos(angles)).mean(axis=1))
        out.append(Measurement(quantity=what, system=describe(one), predicted=math.log1p(-u), measured=found.value, stderr=found.stderr,
                               wrong=-u))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="cosine-with-signal", source="Yun et al. eq. 18; theory.md 1.9, 1.10", expected=FAILS,
          statement="The cosine over n steps is that of the noise, also with a mean gradient.", formula="1 - E cos = 1 - (1 - u)^n",
          assumes=ROTATING, tolerance={"Monte Carlo": 0.05}, wrong="the SDE's norm explains it",
          broken="noise domination: here G = 0.75 tau", corrected="drift-cosine", runs=_turning_runs,
          measure=_turning(False)),
    Claim(id="drift-cosine", source="theory.md 1.10, 8.8", expected=HOLDS,
          statement="Drift turns the weights ballistically, noise diffusively, and the norm feels both.",
          formula="1 - E cos = 1 - cos(n sqrt(2u G/(G + tau))) exp(-n u tau/(G + tau)) to first order in u", assumes=ROTATING,
          tolerance={MONTE_CARLO: 0.012, FINITE_D: 0.004}, wrong="with the SDE's norm: G/tau for G/(G + tau)",
          runs=_turning_runs, measure=_turning(True)),
    Claim(id="mean-log-cosine", source="theory.md 1.3, 4.7", expected=HOLDS,
          statement="At a stationary norm the mean logarithm of a step's cosine is that of 1 - u, whatever the loss and noise.",
          formula="E ln cos Delta = ln(1 - lr wd), that is E ln((1 - u)^2 + lr^2 |g|^2/R) = 0",
          assumes="no momentum, a stationary norm; nothing else", tolerance={MONTE_CARLO: 0.015},
          wrong="minus u, as if every step were small", runs=_log_runs, measure=_log),
)  # fmt: skip
