"""The way to equilibrium: where runs of equal tuning factor collapse, where not yet, and phases too short to get there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si.run import Run
from sde_si.theory.predict import predict
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    at_epoch,
    course,
    describe,
    exact_versine,
    run,
    versine,
    versine_course,
)
from sde_si.verify.claims.epochs import _ENDS, _YUN

_VERSINE = "1 - cosine over the epoch"

_COLLAPSE: dict[str, dict[str, Any]] = {
    "base": {},
    "N and wd": {"N": 25_000, "wd": 0.01},
    "B and wd": {"B": 200, "wd": 0.01},
    "lr and wd": {"lr": 0.2, "wd": 0.0025},
    "momentum and wd": {"momentum": 0.9, "wd": 0.0005},
}


def _collapse_runs(scale: float, seed: int) -> dict[str, Run]:
    base = {"N": 50_000, "B": 100, "lr": 0.1, "wd": 0.005, "epochs": 20, "paths": 96, "dim": 128,
            "init_norm": 3.0}  # fmt: skip
    # One length to start from, no multiple of each run's own: before 1/(4T) epochs they differ (S12).
    # Different seeds: runs that the scale symmetry maps on each other would else be one and the same.
    return {
        name: run(scale=scale, seed=seed + 1000 * i, **(base | change))
        for i, (name, change) in enumerate(_COLLAPSE.items())
    }


def _collapse(records: Records, runs: Runs) -> Sequence[Measurement]:
    predicted = exact_versine(runs["base"])
    wrong = 1 - math.exp(-2 * runs["base"].hyperparameters.tuning_factor)
    unchanged = versine_course(runs["base"])
    out = []
    for name in _COLLAPSE:
        if name == "base":
            continue
        one = runs[name]
        lines = {"recursion of the second moments": versine_course(one), "the unchanged run's": unchanged}
        out.append(Measurement(system=f"{describe(one)} ({name} changed)", predicted=predicted, wrong=wrong,
                               truth=exact_versine(one), curve=course(records[name], "versine_epoch", lines, _VERSINE),
                               **versine(records[name])))  # fmt: skip
    return out


def _transient_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        f"{mu} from {start}": run(paths=1024, scale=scale, seed=seed, epochs=4, init_norm=start, **v)
        for mu, v in _YUN.items()
        for start in ("0.3eq", "3eq")
    }


def _transient(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        predicted, stationary = versine_course(one), exact_versine(one)
        lines = {"recursion of the second moments": predicted, "equilibrium": np.full_like(predicted, stationary)}
        curve = course(records[name], "versine_epoch", lines, _VERSINE)
        out += [
            Measurement(system=f"{describe(one)} from {name.split()[-1]}, epoch {epoch}", wrong=stationary,
                        predicted=float(predicted[epoch - 1]), curve=curve if epoch == 1 else None,
                        **at_epoch(records[name], "versine_epoch", epoch))
            for epoch in (1, 2)
        ]  # fmt: skip
    return out


def _not_at_once(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name in ("0 from 0.3eq", "0 from 3eq"):
        one = runs[name]
        stationary, predicted = exact_versine(one), versine_course(one)
        truth = float(predicted[0])
        lines = {"recursion of the second moments": predicted, "equilibrium": np.full_like(predicted, stationary)}
        out.append(Measurement(system=f"{describe(one)} from {name.split()[-1]}, epoch 1", predicted=stationary,
                               truth=truth, wrong=stationary + 2 * (truth - stationary),
                               curve=course(records[name], "versine_epoch", lines, _VERSINE),
                               **at_epoch(records[name], "versine_epoch", 1)))  # fmt: skip
    return out


def _steps_runs(scale: float, seed: int) -> dict[str, Run]:
    """Yun's schedule: tuning factor 10/128, lr/10 after 150 and 225 of 300 epochs (10.8)."""
    lr, n = 0.1, 195  # half of theirs: the tuning factor counts
    return {"300 epochs": run(N=n * 128, B=128, lr=lr, wd=10 / 128 / n / lr, epochs=300, dim=256, paths=48,
                              schedule="multi-step:150,225", scale=scale, seed=seed)}  # fmt: skip


def _last_phase(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        [(name, one)] = runs.items()
        exact = predict(one)["angle_epoch_predicted"].values
        phases = np.arccos(np.exp(-10 / 128 * 10.0 ** -np.searchsorted([150, 225], np.arange(300), side="right")))
        lines = {"recursion of the second moments": exact, "equilibrium of each phase": phases}
        curve = course(records[name], "angle_epoch", lines, "angle over the epoch [rad]", "y")
        for epoch in (225, 300):
            naive, truth = float(phases[epoch - 1]), float(exact[epoch - 1])
            common = {"system": f"{describe(one)}, lr/10 after 150 and 225 epochs, epoch {epoch}",
                      "curve": curve if epoch == 225 else None, **at_epoch(records[name], "angle_epoch", epoch)}  # fmt: skip
            if corrected:
                out.append(Measurement(predicted=truth, wrong=naive, **common))
            else:
                wrong = 0.6 * naive if epoch == 300 else naive / 3
                out.append(Measurement(predicted=naive, truth=truth, wrong=wrong, **common))
        return out

    return measure


CLAIMS = (
    Claim(id="collapse", source="Yun et al. section 4; theory.md S12", expected=APPROXIMATE,
          statement="Runs of equal tuning factor turn equally far per epoch once their norms are in equilibrium.",
          formula="N lr wd/(B (1 - mu)) equal => E cos equal", assumes=f"norm equilibrium, {_ENDS}, n (1 - mu) >> 1",
          tolerance={MONTE_CARLO: 0.015, "2 mu/(n (1 - mu)(1 + mu)) at n = 500": 0.019},
          wrong="the changed quantity changes the angle as if wd had stayed", runs=_collapse_runs, measure=_collapse,
          broken="n (1 - mu) >= 50: T = 0.25 in 250 to 500 steps, momentum 0 and 0.9"),
    Claim(id="collapse-at-once", source="Yun et al. section 4; theory.md 10.7 (i), S12", expected=FAILS,
          statement="Runs of equal tuning factor turn equally far from the first epoch on.",
          formula="E cos of epoch 1 = E cos at equilibrium", assumes=_ENDS, tolerance={"Monte Carlo": 0.05},
          wrong="the deviation is twice what the transient says", broken="norm equilibrium, which takes 1/(4 T) epochs",
          corrected="transient", runs=_transient_runs, measure=_not_at_once),
    Claim(id="transient", source="theory.md 1.8, 2.4, 9.2", expected=HOLDS,
          statement="On the way to equilibrium the cosine is decay times the change of length; with momentum the second "
                    "moments' recursion.",
          formula="E cos = a^n r_0 E[1/r_n]; A', C', D' of 9.2", assumes=f"{_ENDS}, self-averaging norm",
          tolerance={MONTE_CARLO: 0.025, FINITE_D: 0.005}, wrong="the value at equilibrium", runs=_transient_runs,
          measure=_transient),
    Claim(id="last-phase-equilibrium", source="Yun et al. section 5; theory.md 10.7, 10.8", expected=FAILS,
          statement="After each drop of the learning rate the angle per epoch settles at that of the new tuning factor.",
          formula="angle = arccos(exp(-T_phase)) at the end of the phase", assumes=_ENDS, tolerance={"Monte Carlo": 0.05},
          wrong="six tenths of it, and a third after the first drop",
          broken="norm equilibrium: e-folding takes 32 and 320 epochs after the drops, the phases last 75",
          corrected="last-phase", runs=_steps_runs, measure=_last_phase(False)),
    Claim(id="last-phase", source="theory.md 10.8, 9.10, 14.6", expected=HOLDS,
          statement="The angle per epoch of a step schedule follows the norm's recursion and never settles after the drops.",
          formula="E cos = exp(-T_k)(Q_e/Q_{e+1})^(1/4), discrete: 1.1", assumes=_ENDS,
          tolerance={MONTE_CARLO: 0.035, FINITE_D: 0.001}, wrong="the equilibrium of the phase", runs=_steps_runs,
          measure=_last_phase(True)),
)  # fmt: skip
