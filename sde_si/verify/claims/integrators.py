"""The norm of the integrators of the SDE: of the splitting, which has it by its formula, and of Euler-Maruyama."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sde_si import estimators, theory
from sde_si.run import Run
from sde_si.verify.claim import HOLDS, Claim, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    IN_EPOCH,
    MONTE_CARLO,
    SETTLED,
    STEP_SIZE,
    Records,
    Runs,
    at_epoch,
    at_equilibrium,
    describe,
    extrapolated,
    run,
    window,
)
from sde_si.verify.claims.systems import QUARTER, WITH_REPLACEMENT, sde_runs


def _norm_runs(scale: float, seed: int) -> dict[str, Run]:
    """Euler-Maruyama at two substeps on the same increments, beside the splitting, whose step contains the formula."""
    common: dict[str, Any] = {"method": "em", "epochs": 40, "paths": 16, "scale": scale, "seed": seed + 1000}
    em = {
        f"em {mu} {k}": run(substeps=k, noise_from=_FINE, **v, **common)
        for mu, v in QUARTER.items()
        for k in (2, _FINE)
    }
    return sde_runs(scale, seed) | em


_FINE = 4  # substeps of the finer run


def _sde_norm(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for mu in QUARTER:
        one, fine = runs[mu], f"em {mu} {_FINE}"
        hp = one.hyperparameters
        predicted = math.sqrt(theory.sde_norm_squared(hp.lr, hp.wd, hp.momentum, noise_trace=one.noise_trace))
        wrong = predicted * (1 - hp.momentum) ** -0.25 if hp.momentum else predicted * 2**-0.25
        epochs = window(records[fine]).epochs
        square = extrapolated(
            records, f"em {mu} 2", fine, "weight_norm", lambda v, at=epochs: (v[:, at] ** 2).mean(axis=1)
        )
        root = math.sqrt(square.value)
        out += [
            Measurement(system=describe(one), predicted=predicted, wrong=wrong,
                        **at_equilibrium(records[mu], "weight_norm")),
            Measurement(system=f"{describe(runs[fine])}, and 2, extrapolated", predicted=predicted, wrong=wrong,
                        quantity=SETTLED["weight_norm"], measured=root, stderr=square.stderr / (2 * root)),
        ]  # fmt: skip
    return out


_STARTS = ("0.3eq", "3eq")


def _sde_transient_runs(scale: float, seed: int) -> dict[str, Run]:
    """The splitting, whose step contains the formula for the norm, and Euler-Maruyama, whose step does not."""
    common: dict[str, Any] = {"wd": 0.05, "epochs": 2, "dim": 128, "scale": scale}
    out = {start: run(method="splitting", paths=1024, init_norm=start, seed=seed, **common) for start in _STARTS}
    for i, start in enumerate(_STARTS):
        out |= {f"em {start} {k}": run(method="em", substeps=k, noise_from=16, paths=512, init_norm=start,
                                       seed=seed + 1000 * (i + 1), **common) for k in (8, 16)}  # fmt: skip
    return out


def _sde_transient(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Norm and angle after the first epoch; without the Ito term the norm would only decay."""
    out = []
    for start in _STARTS:
        one, coarse, fine = runs[start], f"em {start} 8", f"em {start} 16"
        hp = one.hyperparameters
        t = hp.steps_per_epoch * hp.lr
        law = theory.transient(t, hp.lr, hp.wd, sigma=one.noise_deviation, dim=one.arrays.dim, start=one.start_norm)
        decay, norm = math.exp(-hp.wd * t), law.quartic**0.25
        turned = extrapolated(records, coarse, fine, "angle_epoch", lambda v: estimators.versine(v[:, 0]))
        length = extrapolated(records, coarse, fine, "weight_norm", lambda v: v[:, 0])
        both = f"{describe(runs[fine])}, and 8, extrapolated, from {start}, epoch 1"
        out += [
            Measurement(system=f"{describe(one)} from {start}, epoch 1", predicted=1 - law.cos, wrong=1 - decay,
                        **at_epoch(records[start], "versine_epoch", 1)),
            Measurement(system=both, predicted=1 - law.cos, wrong=1 - decay, quantity=IN_EPOCH["versine_epoch"],
                        measured=turned.value, stderr=turned.stderr),
        ]  # fmt: skip
        if one.start_norm < norm:  # from above, decay alone is nearly right
            out += [
                Measurement(system=f"{describe(one)} from {start}, epoch 1", predicted=norm,
                            wrong=one.start_norm * decay, **at_epoch(records[start], "weight_norm", 1)),
                Measurement(system=both, predicted=norm, wrong=one.start_norm * decay,
                            quantity=IN_EPOCH["weight_norm"], measured=length.value, stderr=length.stderr),
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
        trace = one.noise_trace / h
        law = theory.finite_dimension(1, lr * hp.wd, mu, one.arrays.dim)
        predicted = math.sqrt(theory.sgd_moments(lr, hp.wd, mu, noise_trace=trace).xx * (1 + law.variance / 2))
        out.append(Measurement(system=describe(one), predicted=predicted,
                               wrong=predicted * h**0.25, **at_equilibrium(records[name], "weight_norm")))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="norm-sde", source="theory.md 2.3, 9.7, 3.2", expected=HOLDS,
          statement="The SDE's norm settles where decay balances the growth that the Ito term alone supplies.",
          formula="|x*|^4 = lr tau/(2 wd (1 - mu))", assumes=WITH_REPLACEMENT, tolerance={MONTE_CARLO: 0.002, FINITE_D: 0.001},
          wrong="half the Ito term; with momentum (1 - mu)^2", runs=_norm_runs, measure=_sde_norm),
    Claim(id="transient-sde", source="theory.md 2.3, 2.4, 3.2", expected=HOLDS,
          statement="From any start the SDE's norm follows its closed form, which the Ito term alone keeps from decaying.",
          formula="r_t^4 = exp(-4 wd t) r_0^4 + (lr tau/(2 wd))(1 - exp(-4 wd t)); 1 - E cos = 1 - exp(-wd t) r_0/r_t",
          assumes=WITH_REPLACEMENT, tolerance={MONTE_CARLO: 0.025, STEP_SIZE: 0.005},
          wrong="decay alone; the cosine at equilibrium", runs=_sde_transient_runs, measure=_sde_transient),
    Claim(id="norm-euler-maruyama", source="theory.md 3.5, 3.6, 9.2, 2.7", expected=HOLDS,
          statement="Euler-Maruyama with step h has the norm of an optimizer whose batch is h times as large.",
          formula="R*^2 = lr tau/(2 wd - wd^2 h lr) (1 + V/2)^2; with momentum 9.2 at lr h^2, 1 - (1 - mu) h, tau/h",
          assumes=WITH_REPLACEMENT, tolerance={MONTE_CARLO: 0.002, "second order in 1/d": 0.0005},
          wrong="increments of size h for sqrt(h)", runs=_euler_runs, measure=_euler),
)  # fmt: skip
