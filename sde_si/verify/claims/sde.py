"""The SDE against SGD: where they agree, where they do not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si import theory
from sde_si.run import Run
from sde_si.verify.claim import FAILS, HOLDS, Claim, Curve, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    SETTLED,
    STEP_SIZE,
    Records,
    Runs,
    at_equilibrium,
    describe,
    run,
    sde_square,
    svag_norm,
)
from sde_si.verify.claims.systems import sde_runs


def _momentum_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"0.9": sde_runs(scale, seed)["0.9"]}


def _course_runs(scale: float, seed: int) -> dict[str, Run]:
    """Other momenta at the same tuning factor, for the course of the angle."""
    others = {
        f"{mu:g}": run(wd=0.05 * (1 - mu), momentum=mu, epochs=30, dim=64, paths=12, method="splitting", scale=scale,
                       seed=seed + 1 + i)
        for i, mu in enumerate((0.0, 0.5, 0.8, 0.95))
    }  # fmt: skip
    return _momentum_runs(scale, seed) | others


def _course(records: Records, runs: Runs) -> Curve:
    """Angle per step against momentum, in units of sqrt(u)."""
    rows = []
    for name, one in runs.items():
        u, mu = one.hyperparameters.intrinsic_lr, one.hyperparameters.momentum
        found, root = at_equilibrium(records[name], "angle_step"), math.sqrt(u)
        laws = theory.sde_step_angle(u, mu), theory.step_angle(u, mu)
        rows.append([mu, found["measured"] / root, found["stderr"] / root, *(law / root for law in laws)])
    mu, measured, stderr, sde, optimizer = np.array(sorted(rows)).T
    return Curve(x=mu, measured=measured, stderr=stderr, lines={"SDE": sde, "optimizer": optimizer},
                 xlabel="momentum", ylabel="rms angle of a step / sqrt(u)")  # fmt: skip


def _sde_step(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        name, one = "0.9", runs["0.9"]
        u, mu = one.hyperparameters.intrinsic_lr, one.hyperparameters.momentum
        optimizer, sde = theory.step_angle(u, mu), float(theory.sde_step_angle(u, mu))
        found = at_equilibrium(records[name], "angle_step")
        if corrected:
            curve = _course(records, runs)
            return [Measurement(system=describe(one), predicted=sde, wrong=optimizer, curve=curve, **found)]
        return [Measurement(system=describe(one), predicted=optimizer, truth=sde, wrong=math.sqrt(u), **found)]

    return measure


def _svag_runs(scale: float, seed: int) -> dict[str, Run]:
    """A signal strong enough that G is a good part of tau."""
    return {
        f"l={k}": run("vmf", N=200, B=1, lr=0.1, wd=0.05, dim=4, epochs=60, paths=256, method="svag", substeps=k,
                      init_norm=1.3, parameters={"signal": 10.0}, scale=scale, seed=seed)
        for k in (1, 4, 16)
    }  # fmt: skip


def _svag(records: Records, runs: Runs) -> Sequence[Measurement]:
    out, folds = [], [one.substeps for one in runs.values()]
    found = {name: at_equilibrium(records[name], "weight_norm") for name in runs}
    right = [svag_norm(records[name], one, l=one.substeps) for name, one in runs.items()]
    wrong = [svag_norm(records[name], one, l=1) for name, one in runs.items()]
    sde = [math.sqrt(sde_square(one)) for one in runs.values()]
    curve = Curve(
        x=np.array(folds), measured=[f["measured"] for f in found.values()], log="x",
        stderr=[r["stderr"] for r in right],
        lines={"G/l": [r["value"] for r in right], "all of G": [w["value"] for w in wrong],
               "the SDE": sde},
        xlabel="l", ylabel="|x| at equilibrium",
    )  # fmt: skip
    for i, (name, one) in enumerate(runs.items()):
        # at l = 1 all of G is right: there none of it is the wrong variant
        other = wrong[i]["value"] if folds[i] > 1 else sde[i]
        out.append(Measurement(quantity=SETTLED["weight_norm"], system=f"{describe(one)}, l = {folds[i]}", predicted=right[i]["value"], wrong=other,
                               measured=found[name]["measured"], curve=None if out else curve,
                               stderr=right[i]["stderr"]))  # fmt: skip
    return out


def _law_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        f"{lr:g}": run("vmf", N=100, B=1, lr=lr, wd=wd, dim=3, epochs=100, paths=96, method="splitting", substeps=8,
                       init_norm="1eq", parameters={"signal": 0.5}, scale=scale, seed=seed + 1000 * i)
        for i, (lr, wd) in enumerate(((0.1, 0.05), (0.4, 0.0125)))
    }  # fmt: skip


def _law(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        hp, d = one.hyperparameters, one.arrays.dim
        temperature = one.noise_deviation / 2 * math.sqrt(2 * hp.intrinsic_lr / (d - 1))
        strength = one.problem.parameters["signal"]
        found = at_equilibrium(records[name], "loss")
        values = [-strength * float(theory.vmf_resultant(strength / t, d)) for t in (temperature, temperature * 2)]
        out.append(Measurement(system=describe(one), predicted=values[0], wrong=values[1], **found))
    return out


CLAIMS = (
    Claim(id="sgdm-sde-step-angle", source="Yun et al. eqs. 19-22; theory.md 9.7, 10.10", expected=FAILS,
          statement="The SDE of SGDM has the optimizer's angle per step.", formula="Delta = arccos(1 - u/(1 + mu))",
          assumes="norm equilibrium", tolerance={STEP_SIZE: 0.005}, wrong="sqrt(u)",
          broken="time scales of one step: the SDE holds on scales far above lr/(1 - mu)", corrected="sde-step-angle",
          runs=_momentum_runs, measure=_sde_step(False)),
    Claim(id="sde-step-angle", source="theory.md 9.7", expected=HOLDS,
          statement="Its angle over one step is that of a velocity correlated over 1/(1 - mu) steps.",
          formula="Delta^2 = 2u (k - 1 + exp(-k))/k^2, k = 1 - mu", where={"k": "1 - mu"}, assumes="norm equilibrium, no mean gradient",
          tolerance={MONTE_CARLO: 0.001, FINITE_D: 0.001, STEP_SIZE: 0.001}, wrong="the optimizer's angle",
          runs=_course_runs, measure=_sde_step(True)),
    Claim(id="svag", source="Li, Malladi and Arora 2021; theory.md 4.3", expected=HOLDS,
          statement="SVAG's norm goes from SGD's to the SDE's as 1/l: it keeps G/l of the signal.",
          formula="|x*|^4 = lr (tau + G/l)/(2 wd)", assumes="stationary norm, measured mean signal G, small u",
          tolerance={MONTE_CARLO: 0.004, "norm fluctuates, finite u": 0.006}, wrong="all of G whatever l; at l = 1 none of it", runs=_svag_runs,
          measure=_svag),
    Claim(id="free-norm-law", source="theory.md 8.4, 8.9", expected=HOLDS,
          statement="The stationary law of the direction depends on lr and wd through their product alone.",
          formula="E L = -|m| I_{d/2}(|m|/H)/I_{d/2-1}(|m|/H), H = (sigma/2) sqrt(2u/(d - 1))",
          where={"H": "temperature of von Mises and Fisher's law", "I_j": "modified Bessel function"},
          assumes="the SDE, isotropic noise; norm at equilibrium", tolerance={MONTE_CARLO: 0.006, STEP_SIZE: 0.01},
          wrong="twice the temperature", runs=_law_runs, measure=_law),
)  # fmt: skip
