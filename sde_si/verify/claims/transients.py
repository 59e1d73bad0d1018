"""The way to equilibrium: where runs of equal tuning factor collapse, where not yet, and phases too short to get there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si.run import Run
from sde_si.theory.predict import predict
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Measurement, Quantity
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    at_epoch,
    at_equilibrium,
    course,
    describe,
    exact_versine,
    run,
    versine,
    versine_course,
)
from sde_si.verify.claims.systems import COLLAPSE, QUARTER, WITH_REPLACEMENT, collapse_runs

_VERSINE = "1 - cosine over the epoch"


def _collapse(records: Records, runs: Runs) -> Sequence[Measurement]:
    predicted = exact_versine(runs["base"])
    wrong = 1 - math.exp(-2 * runs["base"].hyperparameters.tuning_factor)
    unchanged = versine_course(runs["base"])
    out = []
    for name in COLLAPSE:
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
        for mu, v in QUARTER.items()
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


def _apart_runs(scale: float, seed: int) -> dict[str, Run]:
    starts = {name: one for name, one in _transient_runs(scale, seed).items() if name.startswith("0 ")}
    return starts | collapse_runs(scale, seed)


def _not_at_once(records: Records, runs: Runs) -> Sequence[Measurement]:
    """The first epoch: beside equilibrium, and beside another run of the same tuning factor and the same start."""
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
    base = versine_course(runs["base"])
    for name in COLLAPSE:
        if name == "base":
            continue
        one, own = runs[name], versine_course(runs[name])
        lines = {"recursion of the second moments": own, "the unchanged run's": base}
        stationary = exact_versine(one)
        out.append(Measurement(system=f"{describe(one)} from |x| = {one.start_norm:g} ({name} changed), epoch 1",
                               predicted=float(base[0]), truth=float(own[0]), wrong=stationary,
                               curve=course(records[name], "versine_epoch", lines, _VERSINE),
                               **at_epoch(records[name], "versine_epoch", 1)))  # fmt: skip
    return out


def _per_epoch(records: Records, runs: Runs) -> Sequence[Measurement]:
    """lr/|x|^2 times the steps of an epoch."""
    out = []
    what = Quantity("effective learning rate per epoch, N lr/(B |x|^2)",
                    "lr over the mean of |x|^2 over paths and equilibrated epochs, times N/B", "1/epoch")  # fmt: skip
    base = runs["base"].hyperparameters
    for name, one in runs.items():
        hp = one.hyperparameters
        n, found = hp.steps_per_epoch, at_equilibrium(records[name], "effective_lr")
        per_sample = one.noise_trace * hp.B
        predicted, same = ((1 - hp.momentum) * math.sqrt(2 * hp.tuning_factor * N / per_sample) for N in (hp.N, base.N))
        # where N is that of the base: sqrt(u) for sqrt(2u), or the factor 1 - mu forgotten
        wrong = same if hp.N != base.N else predicted / ((1 - hp.momentum) if hp.momentum else math.sqrt(2))
        changed = "" if name == "base" else f" ({name} changed)"
        out.append(Measurement(quantity=what, system=f"{describe(one)}{changed}", predicted=predicted, wrong=wrong,
                               measured=n * found["measured"], stderr=n * found["stderr"]))  # fmt: skip
    return out


def _steps_runs(scale: float, seed: int) -> dict[str, Run]:
    """Yun's schedule: tuning factor 10/128, lr/10 after 150 and 225 of 300 epochs (10.8)."""
    lr, n = 0.1, 195  # half of theirs: the tuning factor counts
    return {"300 epochs": run(N=n * 128, B=128, lr=lr, wd=10 / 128 / n / lr, epochs=300, dim=256, paths=48,
                              schedule="multi-step:150,225", scale=scale, seed=seed)}  # fmt: skip


def _slow(one: Run) -> np.ndarray:
    """Angles of the epochs, rad, if |x|^4 relaxed at 2 T an epoch, as |x|^2 does without noise, and not at 4 T."""
    T = one.hyperparameters.tuning_factor
    Q, out = 1.0, []  # in units of the first phase's equilibrium, which goes as lr
    for e in range(300):
        drop = 10.0 ** -np.searchsorted([150, 225], e, side="right")
        after = drop + (Q - drop) * math.exp(-2 * T * drop)
        out.append(math.acos(math.exp(-T * drop) * (Q / after) ** 0.25))
        Q = after
    return np.array(out)


def _last_phase(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        [(name, one)] = runs.items()
        exact = predict(one)["angle_epoch_predicted"].values
        phases = np.arccos(np.exp(-10 / 128 * 10.0 ** -np.searchsorted([150, 225], np.arange(300), side="right")))
        slow = _slow(one)
        lines = {"recursion of the second moments": exact, "equilibrium of each phase": phases,
                 "half the rate": slow}  # fmt: skip
        curve = course(records[name], "angle_epoch", lines, "angle over the epoch [rad]", "y")
        for epoch in (225, 300):
            naive, truth = float(phases[epoch - 1]), float(exact[epoch - 1])
            common = {"system": f"{describe(one)}, lr/10 after 150 and 225 epochs, epoch {epoch}",
                      "curve": curve if epoch == 225 else None, **at_epoch(records[name], "angle_epoch", epoch)}  # fmt: skip
            if corrected:
                out.append(Measurement(predicted=truth, wrong=naive, **common))
            else:
                wrong = float(slow[epoch - 1])
                out.append(Measurement(predicted=naive, truth=truth, wrong=wrong, **common))
        return out

    return measure


CLAIMS = (
    Claim(id="collapse", source="Yun et al. section 4; theory.md S12", expected=APPROXIMATE,
          statement="Runs of equal tuning factor turn equally far per epoch once their norms are in equilibrium.",
          formula="T = N lr wd/(B (1 - mu)) equal: 1 - E cos equal", assumes=f"norm equilibrium, {WITH_REPLACEMENT}, n (1 - mu) >> 1",
          tolerance={MONTE_CARLO: 0.015, "2 mu/(n (1 - mu)(1 + mu)) at n = 500": 0.019},
          wrong="the changed quantity changes the angle as if wd had stayed", runs=collapse_runs, measure=_collapse,
          broken="n (1 - mu) >= 50: T = 0.25 in 250 to 500 steps, momentum 0 and 0.9"),
    Claim(id="collapse-at-once", source="Yun et al. section 4; theory.md 10.7 (i), S12", expected=FAILS,
          statement="Runs of equal tuning factor turn equally far from the first epoch on.",
          formula="1 - E cos of epoch 1 = that at equilibrium = that of another run of equal T", assumes=WITH_REPLACEMENT, tolerance={"Monte Carlo": 0.05},
          wrong="the deviation is twice what the transient says; each run at its own equilibrium", broken="norm equilibrium, which takes 1/(4 T) epochs",
          corrected="transient", runs=_apart_runs, measure=_not_at_once),
    Claim(id="effective-lr-per-epoch", source="Yun et al. eqs. 9, 10 and section 3.2; theory.md 0.3, 6.2, 6.3", expected=HOLDS,
          statement="Runs of equal tuning factor and momentum share the effective learning rate per epoch if N is the same, "
                    "whatever B, lr and wd; it grows as the root of N.",
          formula="N lr/(B |x|^2) = (1 - mu) sqrt(2 T N/c)", assumes=f"norm equilibrium, {WITH_REPLACEMENT}, small u",
          tolerance={MONTE_CARLO: 0.004, FINITE_D: 0.002},
          wrong="the same at another N; sqrt(u) for sqrt(2u); without 1 - mu", runs=collapse_runs, measure=_per_epoch,
          where={"c": "noise trace at B = 1"}),
    Claim(id="transient", source="theory.md 1.8, 2.4, 9.2", expected=HOLDS,
          statement="On the way to equilibrium the cosine is decay times the change of length; with momentum the second "
                    "moments' recursion.",
          formula="1 - E cos = 1 - a^n r_0 E[1/r_n]; with momentum the recursion of E|x|^2, E<x, v>, E|v|^2 of theory.md 9.2", assumes=f"{WITH_REPLACEMENT}, self-averaging norm",
          tolerance={MONTE_CARLO: 0.025, FINITE_D: 0.005}, wrong="the value at equilibrium", runs=_transient_runs,
          measure=_transient),
    Claim(id="last-phase-equilibrium", source="Yun et al. section 5; theory.md 10.7, 10.8", expected=FAILS,
          statement="After each drop of the learning rate the angle per epoch settles at that of the new tuning factor.",
          formula="angle = arccos(exp(-T)) at the end of the phase, T of that phase", assumes=WITH_REPLACEMENT, tolerance={"Monte Carlo": 0.05},
          wrong="|x|^4 relaxes at 2 T an epoch: half the rate",
          broken="norm equilibrium: e-folding takes 32 and 320 epochs after the drops, the phases last 75",
          corrected="last-phase", runs=_steps_runs, measure=_last_phase(False)),
    Claim(id="last-phase", source="theory.md 10.8, 9.10, 14.6", expected=HOLDS,
          statement="The angle per epoch of a step schedule follows the norm's recursion and never settles after the drops.",
          formula="angle = arccos(exp(-T)(Q_e/Q_{e+1})^(1/4)), T of the phase; discrete: theory.md 1.1", assumes=WITH_REPLACEMENT,
          tolerance={MONTE_CARLO: 0.035, FINITE_D: 0.001}, wrong="the equilibrium of the phase", runs=_steps_runs,
          measure=_last_phase(True)),
)  # fmt: skip
