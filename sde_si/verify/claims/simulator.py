"""What the simulated paths themselves must keep to: exact identities, independence, the integrators' own norms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import estimators, theory
from sde_si.run import Run
from sde_si.verify.claim import EXACT, HOLDS, Claim, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    STEP_SIZE,
    Records,
    Runs,
    at_epoch,
    at_equilibrium,
    describe,
    run,
    window,
)
from sde_si.verify.claims.epochs import _sde_runs
from sde_si.verify.claims.steps import _finite_runs

_NOISE = "noise drawn with replacement, no mean gradient"


def _single_steps(scale: float, seed: int) -> dict[str, Run]:
    """Epochs of one step, so that the record holds every step."""
    systems: dict[str, dict[str, Any]] = {
        "isotropic": {"N": 10, "B": 10, "dim": 16},
        "vmf": {"N": 10, "B": 10, "dim": 8},
        "pca": {"N": 100, "B": 100, "dim": 6},
    }
    return {
        loss: run(loss, wd=0.2, epochs=300, paths=8, init_norm=1.0, scale=scale, seed=seed, **options)
        for loss, options in systems.items()
    }


def _telescoping(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        record, u = records[name], one.hyperparameters.intrinsic_lr
        angles = estimators.values(record, "angle_epoch")
        start = record["weight_norm_initial"].sel(group="all").values
        change = np.log(start / estimators.values(record, "weight_norm")[:, -1])
        total, found = angles.shape[1] * math.log1p(-u), np.log(np.cos(angles)).sum(axis=1)
        worst = int(np.argmax(np.abs(found - total - change)))
        out.append(Measurement(system=f"{describe(one)}, the worst path", predicted=total + change[worst],
                               measured=float(found[worst]), wrong=total - change[worst]))  # fmt: skip
    return out


def _independence(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Covariance of |x|^2 between paths, in units of the variance of 2.7, over disjoint pairs of paths."""
    [(name, one)] = runs.items()
    hp, record = one.hyperparameters, records[name]
    law = theory.finite_dimension(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum, one.arrays.dim)
    squares = estimators.values(record, "weight_norm")[:, window(record).epochs] ** 2
    away = squares / squares.mean() - 1
    half = len(away) // 2
    out = []
    for pairs, first, second in (
        ("neighbours", away[: 2 * half : 2], away[1 : 2 * half : 2]),
        ("half of all paths apart", away[:half], away[half : 2 * half]),
    ):
        found = estimators.mean_and_error((first * second).mean(axis=1) / law.variance)
        out.append(Measurement(system=f"{describe(one)}: paths that are {pairs}", predicted=0.0, measured=found.value,
                               stderr=found.stderr, wrong=1.0))  # fmt: skip
    return out


def _sde_norm(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        hp = one.hyperparameters
        trace = one.arrays.noise_variance * (one.arrays.dim - 1) / hp.B
        predicted = math.sqrt(theory.sde_norm_squared(hp.lr, hp.wd, hp.momentum, noise_trace=trace))
        wrong = predicted * (1 - hp.momentum) ** -0.25 if hp.momentum else predicted * 2**-0.25
        out.append(Measurement(system=describe(one), predicted=predicted, wrong=wrong,
                               **at_equilibrium(records[name], "weight_norm")))  # fmt: skip
    return out


def _sde_transient_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        start: run(wd=0.05, epochs=2, dim=128, paths=1024, method="splitting", init_norm=start, scale=scale, seed=seed)
        for start in ("0.3eq", "3eq")
    }


def _sde_transient(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Norm and angle after the first epoch; without the Ito term the norm would only decay."""
    out = []
    for start, one in runs.items():
        hp, variance = one.hyperparameters, one.arrays.noise_variance / one.hyperparameters.B
        t = hp.steps_per_epoch * hp.lr
        law = theory.transient(t, hp.lr, hp.wd, sigma=math.sqrt(variance), dim=one.arrays.dim, start=one.start_norm)
        decay = math.exp(-hp.wd * t)
        out += [
            Measurement(system=f"{describe(one)} from {start}: norm after epoch 1", predicted=law.quartic**0.25,
                        wrong=one.start_norm * decay, **at_epoch(records[start], "weight_norm", 1)),
            Measurement(system=f"{describe(one)} from {start}: 1 - cos of epoch 1", predicted=1 - law.cos,
                        wrong=1 - decay, **at_epoch(records[start], "versine_epoch", 1)),
        ]  # fmt: skip
    return out


def _euler_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        name: run(N=80, B=2, lr=0.4, wd=wd, momentum=mu, epochs=60, dim=32, paths=256, method="em", substeps=4,
                  init_norm="1.2eq", scale=scale, seed=seed)
        for name, mu, wd in (("0", 0.0, 0.5), ("0.8", 0.8, 0.02))
    }  # fmt: skip


def _euler(records: Records, runs: Runs) -> Sequence[Measurement]:
    """A substep is a step of SGDM with noise of trace tau/h; its displacement is h times the velocity."""
    out = []
    for name, one in runs.items():
        hp, h = one.hyperparameters, 1 / one.substeps
        mu = 1 - (1 - hp.momentum) * h if hp.momentum else 0.0
        lr = hp.lr * (h * h if mu else h)
        trace = one.arrays.noise_variance * (one.arrays.dim - 1) / hp.B / h
        law = theory.finite_dimension(1, lr * hp.wd, mu, one.arrays.dim)
        predicted = math.sqrt(theory.sgd_moments(lr, hp.wd, mu, noise_trace=trace).xx * (1 + law.variance / 2))
        out.append(Measurement(system=f"{describe(one)}, h=1/{one.substeps}", predicted=predicted,
                               wrong=predicted * h**0.25, **at_equilibrium(records[name], "weight_norm")))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="telescoping-simulated", source="theory.md 1.3, 3.10", expected=EXACT, tolerance={"rounding": 1e-9},
          statement="The cosines of simulated steps multiply to decay times the change of length, to the last digits.",
          formula="sum ln cos Delta_k = n ln(1 - u) + ln(r_0/r_n)", assumes="the simulator's noise is tangential; float64",
          wrong="r_n/r_0 for r_0/r_n", runs=_single_steps, measure=_telescoping),
    Claim(id="independent-paths", source="theory.md 2.7", expected=HOLDS,
          statement="Paths share no random numbers: their lengths fluctuate independently.",
          formula="Cov(R_p, R_q)/(A^2 V) = 0 for paths p != q, V of 2.7", assumes=f"stationary norm, {_NOISE}",
          tolerance={MONTE_CARLO: 0.06}, wrong="the same noise in both paths", runs=_finite_runs,
          measure=_independence),
    Claim(id="norm-sde", source="theory.md 2.3, 9.7, 3.2", expected=HOLDS,
          statement="The SDE's norm settles where decay balances the growth that the Ito term alone supplies.",
          formula="|x*|^4 = lr tau/(2 wd (1 - mu))", assumes=_NOISE, tolerance={MONTE_CARLO: 0.002, FINITE_D: 0.001},
          wrong="half the Ito term; with momentum (1 - mu)^2", runs=_sde_runs, measure=_sde_norm),
    Claim(id="transient-sde", source="theory.md 2.3, 2.4, 3.2", expected=HOLDS,
          statement="From any start the SDE's norm follows its closed form, which the Ito term alone keeps from decaying.",
          formula="r_t^4 = exp(-4 wd t) r_0^4 + (lr tau/(2 wd))(1 - exp(-4 wd t)); E cos = exp(-wd t) r_0/r_t",
          assumes=_NOISE, tolerance={MONTE_CARLO: 0.025, STEP_SIZE: 0.005},
          wrong="decay alone; the cosine at equilibrium", runs=_sde_transient_runs, measure=_sde_transient),
    Claim(id="norm-euler-maruyama", source="theory.md 3.5, 3.6, 9.2, 2.7", expected=HOLDS,
          statement="Euler-Maruyama with step h has the norm of an optimizer whose batch is h times as large.",
          formula="R*^2 = lr tau/(2 wd - wd^2 h lr) (1 + V/2)^2; with momentum 9.2 at lr h^2, 1 - (1 - mu) h, tau/h",
          assumes=_NOISE, tolerance={MONTE_CARLO: 0.002, "second order in 1/d": 0.0005},
          wrong="increments of size h for sqrt(h)", runs=_euler_runs, measure=_euler),
)  # fmt: skip
