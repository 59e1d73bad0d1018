"""Norm and angle of one step at equilibrium, and how they get there: Wan et al. and what is exact."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si import theory
from sde_si.run import Run
from sde_si.theory.predict import predict
from sde_si.verify.claim import HOLDS, Claim, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    at_epoch,
    at_equilibrium,
    course,
    describe,
    displacement_ratio,
    run,
)
from sde_si.verify.claims.systems import WITH_REPLACEMENT, drop_runs, finite_runs, lag_runs, sgd_runs

_ANGLE = "rms angle of a step [rad]"


def _moments(one: Run) -> theory.discrete.Moments:  # pyright: ignore[reportAttributeAccessIssue]
    hp = one.hyperparameters
    law = theory.sgdw_moments if one.method.decoupled else theory.sgd_moments
    return law(hp.lr, hp.wd, hp.momentum, noise_trace=one.noise_trace)


def _norm(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        predicted, mu = math.sqrt(_moments(one).xx), one.hyperparameters.momentum
        wrong = predicted * ((1 - mu) / (1 + mu)) ** 0.25 if mu else predicted * 2**0.25
        out.append(Measurement(system=describe(one), predicted=predicted, wrong=wrong,
                               **at_equilibrium(records[name], "weight_norm")))  # fmt: skip
    return out


def _angle(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        u, mu = one.hyperparameters.intrinsic_lr, one.hyperparameters.momentum
        wrong = math.sqrt(2 * u / (1 - mu)) if mu else math.sqrt(u)
        out.append(Measurement(system=describe(one), predicted=theory.step_angle(u, mu), wrong=wrong,
                               **at_equilibrium(records[name], "angle_step")))  # fmt: skip
    return out


def _angle_runs(scale: float, seed: int) -> dict[str, Run]:
    return sgd_runs(scale, seed) | lag_runs(scale, seed)


def _rate_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        name: run(N=20_000, B=100, wd=wd, momentum=mu, epochs=90, init_norm="0.8eq", paths=64, scale=scale, seed=seed)
        for name, mu, wd in (("0", 0.0, 2e-3), ("0.9", 0.9, 2e-4))
    }


def _rate(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        predicted = theory.equilibrium(one)["time_to_equilibrium"].value
        assert predicted is not None
        exact = predict(one)["weight_norm_predicted"].values
        epoch, end = np.arange(1, exact.size + 1), exact[-1]
        slow = end * (1 + ((one.start_norm / end) ** 4 - 1) * np.exp(-epoch / (2 * predicted))) ** 0.25
        lines = {"recursion of the second moments": exact, "half the rate": slow}
        out.append(Measurement(system=describe(one), predicted=predicted, wrong=2 * predicted,
                               curve=course(records[name], "weight_norm", lines, "length of the weights"),
                               **at_equilibrium(records[name], "time_to_equilibrium")))  # fmt: skip
    return out


def _drop(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        exact = predict(one)["angle_step_predicted"].values
        u, mu = one.hyperparameters.intrinsic_lr, one.hyperparameters.momentum
        at_once = np.repeat([theory.step_angle(u, mu), theory.step_angle(u / 10, mu)], 30)
        lines = {"recursion of the second moments": exact, "equilibrium at once": at_once}
        curve = course(records[name], "angle_step", lines, _ANGLE, "y")
        for epoch in (32, 60):
            out.append(Measurement(system=f"{describe(one)}, lr/10 after 30 epochs, epoch {epoch}",
                                   predicted=float(exact[epoch - 1]), wrong=float(at_once[-1]),
                                   curve=curve if epoch == 32 else None,
                                   **at_epoch(records[name], "angle_step", epoch)))  # fmt: skip
    return out


def _batch_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"0": run(N=20_000, B=50, wd=0.02, epochs=40, schedule="batch-growth:15", paths=64, scale=scale, seed=seed)}


def _batch(records: Records, runs: Runs) -> Sequence[Measurement]:
    """At the end of each phase of 15 epochs; the first has B = 50, the second 100."""
    [(name, one)] = runs.items()
    predicted = theory.step_angle(one.hyperparameters.intrinsic_lr)
    lines = {"recursion of the second moments": predict(one)["angle_step_predicted"].values,
             "1/sqrt 2 at twice the batch": predicted * np.sqrt(50 / one.timetable.batch)}  # fmt: skip
    curve = course(records[name], "angle_step", lines, _ANGLE)
    return [
        Measurement(system=f"{describe(one)}, B={B}, epoch {epoch}", predicted=predicted,
                    wrong=predicted / math.sqrt(2), curve=curve if B == 50 else None, **at_epoch(records[name], "angle_step", epoch))
        for B, epoch in ((50, 15), (100, 30))
    ]  # fmt: skip


def _balance_runs(scale: float, seed: int) -> dict[str, Run]:
    systems = {"vmf": {"dim": 32, "parameters": {"signal": 0.3}}, "pca": {"dim": 16, "N": 2000, "B": 20},
               "regression": {"dim": 16, "N": 2000, "B": 20}}  # fmt: skip
    return {
        f"{loss} {mu}": run(loss, momentum=mu, wd=0.02 * (1 - mu), epochs=60, paths=48, init_norm=1.0, scale=scale,
                            seed=seed, **options)
        for loss, options in systems.items() for mu in (0.0, 0.9)
    }  # fmt: skip


def _balance(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        u, mu = one.hyperparameters.intrinsic_lr, one.hyperparameters.momentum
        out.append(Measurement(system=describe(one), predicted=2 * u / (1 + mu), wrong=u,
                               **displacement_ratio(records[name])))  # fmt: skip
    return out


def _decoupled_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"0.9": run(wd=0.05, momentum=0.9, epochs=50, paths=128, method="sgdw", scale=scale, seed=seed)}


def _decoupled(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    hp = one.hyperparameters
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    coupled = math.sqrt(theory.sgd_moments(hp.lr, hp.wd, mu, noise_trace=one.noise_trace).xx)
    cosines = theory.decoupled_lag_cosines(n, u, mu)
    return [
        Measurement(system=describe(one), predicted=math.sqrt(_moments(one).xx), wrong=coupled,
                    **at_equilibrium(records[name], "weight_norm")),
        Measurement(system=describe(one), predicted=1 - float(cosines[-1]),
                    wrong=1 - float(theory.lag_cosines(n, u, mu)[-1]), **at_equilibrium(records[name], "versine_epoch")),
    ]  # fmt: skip


def _finite(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    bare, exact = math.sqrt(_moments(one).xx), theory.equilibrium(one)["weight_norm"].value
    assert exact is not None
    return [
        Measurement(system=describe(one), predicted=exact, wrong=bare, **at_equilibrium(records[name], "weight_norm"))
    ]


CLAIMS = (
    Claim(id="norm", source="Wan et al.; Yun et al. eq. 9; theory.md 6.2, 6.3, 9.2", expected=HOLDS,
          statement="The weights' length settles where decay and noise balance, and with it the effective learning rate.",
          formula="|x*|^4 = lr tau/(wd (1 - mu)(2 - u/(1 + mu)))", assumes=WITH_REPLACEMENT,
          tolerance={MONTE_CARLO: 0.002, FINITE_D: 0.001}, wrong="1 + mu for 1 - mu; without momentum u for 2 u",
          runs=sgd_runs, measure=_norm),
    Claim(id="step-angle", source="Wan et al.; van Laarhoven; theory.md 1.3, 6.2, 6.3, 9.2", expected=HOLDS,
          statement="At equilibrium one step turns the weights by an angle of lr, wd and momentum alone.",
          formula="Delta* = arccos(1 - u/(1 + mu)) ~ sqrt(2 u/(1 + mu))", assumes="stationary norm",
          tolerance={MONTE_CARLO: 0.002, FINITE_D: 0.001}, wrong="1 - mu for 1 + mu; without momentum sqrt(u)",
          runs=_angle_runs, measure=_angle),
    Claim(id="linear-rate", source="Wan et al.; theory.md 2.3, 6.4, 9.4", expected=HOLDS,
          statement="The norm approaches equilibrium exponentially, at the rate 4 u/(1 - mu) a step to first order.",
          formula="1/(n ln(1/z)) epochs, z the larger root of z^2 - (1 + mu - 4u + 2u^2/(1 + mu)) z + mu = 0",
          where={"z": "factor of a small deviation of |x|^4 in a step"}, assumes="small deviation, " + WITH_REPLACEMENT,
          tolerance={MONTE_CARLO: 0.06, "deviation not infinitesimal": 0.02}, wrong="half the rate", runs=_rate_runs,
          measure=_rate),
    Claim(id="lr-drop", source="Wan et al.; theory.md 6.5, 9.10", expected=HOLDS,
          statement="When lr drops, the step's angle drops by as much at once and then recovers to the root of it.",
          formula="Delta_k = sqrt(2u')/sqrt(1 + (kappa - 1) exp(-4u'k)); with momentum the recursion 9.10",
          assumes=WITH_REPLACEMENT, tolerance={MONTE_CARLO: 0.003, FINITE_D: 0.002}, wrong="the new equilibrium at once",
          runs=drop_runs, measure=_drop),
    Claim(id="batch-jump", source="theory.md 6.5", expected=HOLDS,
          statement="The batch size does not change the step's angle at equilibrium.", formula="Delta* = arccos(1 - u)",
          assumes="stationary norm", tolerance={MONTE_CARLO: 0.003, "what is left of the transient": 0.001},
          wrong="twice the batch turns by 1/sqrt 2", runs=_batch_runs, measure=_batch),
    Claim(id="balance", source="theory.md 4.7, 9.2", expected=HOLDS,
          statement="At a stationary norm the squared displacement of a step is 2u/(1 + mu) of the squared length, "
                    "whatever the loss.",
          formula="E|x' - x|^2 = (2u/(1 + mu)) E|x|^2", assumes="<x, g> = 0 and a stationary norm; nothing else",
          tolerance={MONTE_CARLO: 0.02, "what is left of the transient": 0.002}, wrong="u, the SDE's value",
          runs=_balance_runs, measure=_balance),
    Claim(id="decoupled", source="theory.md 9.5", expected=HOLDS,
          statement="Decoupled decay knows no 1/(1 - mu): the tuning factor is N lr wd/B.",
          formula="A^2 = lr^2 tau (1 + b mu)/((1 - b^2)(1 - mu^2)(1 - b mu)), |x*| = sqrt(A); 1 - c_n by the roots b and mu", assumes=WITH_REPLACEMENT,
          tolerance={MONTE_CARLO: 0.01, FINITE_D: 0.001}, wrong="the coupled law", runs=_decoupled_runs, measure=_decoupled),
    Claim(id="finite-d", source="theory.md 2.7, 14.12", expected=HOLDS,
          statement="In finite dimension the norm fluctuates, and its mean square is larger by half its variance.",
          formula="|x*|^2 = E R = A (1 + V/2)", assumes="isotropic Gaussian noise; first order in 1/d",
          tolerance={MONTE_CARLO: 0.0006, "second order in 1/d": 0.0004}, wrong="E R = A", runs=finite_runs,
          measure=_finite),
)  # fmt: skip
