"""What the simulated paths themselves must keep to: exact identities, independence, schedules on time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import estimators, theory
from sde_si.run import Run
from sde_si.verify.claim import EXACT, HOLDS, Claim, Measurement, Quantity
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
from sde_si.verify.claims.systems import WITH_REPLACEMENT, drop_runs, finite_runs


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
    what = Quantity(
        "sum of ln cos over the steps", "from the angle of every recorded step of the path that is farthest off"
    )
    for name, one in runs.items():
        record, u = records[name], one.hyperparameters.intrinsic_lr
        angles = estimators.values(record, "angle_epoch")
        start = record["weight_norm_initial"].sel(group="all").values
        change = np.log(start / estimators.values(record, "weight_norm")[:, -1])
        total, found = angles.shape[1] * math.log1p(-u), np.log(np.cos(angles)).sum(axis=1)
        worst = int(np.argmax(np.abs(found - total - change)))
        out.append(Measurement(quantity=what, system=f"{describe(one)}, the worst path", predicted=total + change[worst],
                               measured=float(found[worst]), wrong=total - change[worst]))  # fmt: skip
    return out


def _balanced_runs(scale: float, seed: int) -> dict[str, Run]:
    systems: dict[str, dict[str, Any]] = {
        "isotropic": {"N": 200, "B": 10, "dim": 16},
        "vmf": {"N": 200, "B": 10, "dim": 8},
        "pca": {"N": 400, "B": 20, "dim": 6},
    }
    return {
        loss: run(loss, wd=0.2, epochs=20, paths=8, init_norm=1.0, scale=scale, seed=seed, **options)
        for loss, options in systems.items()
    }


def _balanced(records: Records, runs: Runs) -> Sequence[Measurement]:
    """The sums that the time loop itself keeps: all else follows from <x, g> = 0 step by step."""
    out = []
    what = Quantity(
        "sum of |x' - x|^2 over an epoch", "mean squared displacement of the record times the steps, farthest off"
    )
    for name, one in runs.items():
        record, u, n = records[name], one.hyperparameters.intrinsic_lr, one.hyperparameters.steps_per_epoch
        moved, size = (estimators.values(record, f"mean_squared_{what}") * n for what in ("displacement", "norm"))
        start = record["weight_norm_initial"].sel(group="all").values[:, None] ** 2
        ends = np.concatenate([start, estimators.values(record, "weight_norm") ** 2], axis=1)
        expected = np.diff(ends, axis=1) + 2 * u * size
        worst = np.unravel_index(np.argmax(np.abs(moved / expected - 1)), moved.shape)
        out.append(Measurement(quantity=what, system=f"{describe(one)}, the worst epoch of the worst path",
                               predicted=float(expected[worst]), measured=float(moved[worst]),
                               wrong=float(expected[worst] - u * u * size[worst])))  # fmt: skip
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
    what = Quantity(
        "correlation of |x|^2 between paths", "mean over pairs of paths and equilibrated epochs, over A^2 V"
    )
    for pairs, first, second in (
        ("neighbours", away[: 2 * half : 2], away[1 : 2 * half : 2]),
        ("half of all paths apart", away[:half], away[half : 2 * half]),
    ):
        found = estimators.mean_and_error((first * second).mean(axis=1) / law.variance)
        out.append(Measurement(quantity=what, system=f"{describe(one)}: paths that are {pairs}", predicted=0.0, measured=found.value,
                               stderr=found.stderr, wrong=1.0))  # fmt: skip
    return out


def _brownian_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        "8": run(N=2000, B=10, wd=0.05, epochs=30, dim=8, paths=1024, method="splitting", scale=scale, seed=seed)
    }  # fmt: skip


def _brownian(records: Records, runs: Runs) -> Sequence[Measurement]:
    """The mean square of the cosine over an epoch tells in how many dimensions the direction moves."""
    [(name, one)] = runs.items()
    d, T = one.arrays.dim, one.hyperparameters.tuning_factor
    cosines = np.cos(estimators.values(records[name], "angle_epoch")[:, window(records[name]).epochs])
    found = estimators.mean_and_error((cosines**2).mean(axis=1))
    predicted = 1 / d + (1 - 1 / d) * math.exp(-2 * T * d / (d - 1))
    what = Quantity(
        "E cos^2 over an epoch at equilibrium", "mean over paths and equilibrated epochs; error from the paths"
    )
    return [Measurement(quantity=what, system=describe(one), predicted=predicted, measured=found.value, stderr=found.stderr,
                        wrong=2 / d + (1 - 2 / d) * math.exp(-2 * T * d / (d - 2)))]  # fmt: skip


def _large_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"0.9": run(N=200, B=10, lr=0.2, wd=0.5, momentum=0.9, epochs=40, paths=192, scale=scale, seed=seed)}


def _large(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    hp = one.hyperparameters
    law = theory.finite_dimension(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum, one.arrays.dim)
    square = theory.sgd_moments(hp.lr, hp.wd, hp.momentum, noise_trace=one.noise_trace).xx
    first = math.sqrt(hp.lr * one.noise_trace / (2 * hp.wd * (1 - hp.momentum)))
    return [Measurement(system=describe(one), predicted=math.sqrt(square * (1 + law.variance / 2)),
                        wrong=math.sqrt(first * (1 + law.variance / 2)),
                        **at_equilibrium(records[name], "weight_norm"))]  # fmt: skip


def _dropped(records: Records, runs: Runs) -> Sequence[Measurement]:
    """By the closed form and the epoch named in the schedule, not by the simulator's own table of learning rates."""
    one, record = runs["0"], records["0"]
    hp = one.hyperparameters
    u, n = hp.intrinsic_lr / 10, hp.steps_per_epoch
    out = []
    for epoch in (30, 31, 40):
        steps = np.arange((epoch - 31) * n, (epoch - 30) * n)
        before, after = math.sqrt(20 * u), math.sqrt(float(np.mean(theory.lr_drop_angle(steps, u, 10) ** 2)))
        late = np.mean(theory.lr_drop_angle(steps - n, u, 10) ** 2) if epoch > 31 else 20 * u
        predicted, wrong = (before, math.sqrt(2 * u)) if epoch == 30 else (after, math.sqrt(float(late)))
        out.append(Measurement(system=f"{describe(one)}, lr/10 after 30 epochs, epoch {epoch}", predicted=predicted,
                               wrong=wrong, **at_epoch(record, "angle_step", epoch)))  # fmt: skip
    return out


CLAIMS = (
    Claim(id="telescoping-simulated", source="theory.md 1.3, 3.10", expected=EXACT, tolerance={"rounding": 1e-9},
          statement="The cosines of simulated steps multiply to decay times the change of length, to the last digits.",
          formula="sum ln cos Delta_k = n ln(1 - u) + ln(r_0/r_n)", assumes="the simulator's noise is tangential; float64",
          wrong="r_n/r_0 for r_0/r_n", runs=_single_steps, measure=_telescoping),
    Claim(id="balance-simulated", source="theory.md 4.7, 1.1", expected=EXACT, tolerance={"rounding": 1e-10},
          statement="In every simulated epoch displacement, decay and change of length balance, to the last digits.",
          formula="sum |x' - x|^2 = R_n - R_0 + 2 u sum R", assumes="<x, g> = 0 at every step; momentum 0; float64",
          wrong="(2 u - u^2) for 2 u", runs=_balanced_runs, measure=_balanced),
    Claim(id="brownian-direction", source="theory.md 2.5, 3.8", expected=HOLDS,
          statement="The direction is Brownian motion on the whole sphere: in d dimensions, not in a part of them.",
          formula="E cos^2 = 1/d + (1 - 1/d) exp(-2 T d/(d - 1))", assumes=f"norm equilibrium, {WITH_REPLACEMENT}",
          tolerance={MONTE_CARLO: 0.03, STEP_SIZE: 0.005}, wrong="d/2 dimensions", runs=_brownian_runs,
          measure=_brownian),
    Claim(id="norm-large-steps", source="theory.md 9.2, 2.7", expected=HOLDS,
          statement="The norm's law is exact in u, far from the small steps that the paper's first order needs.",
          formula="|x*|^4 = lr tau/(wd (1 - mu)(2 - u/(1 + mu))) (1 + V/2)^2", assumes=WITH_REPLACEMENT,
          tolerance={MONTE_CARLO: 0.002, "second order in 1/d": 0.0005}, wrong="first order in u: 2 for 2 - u/(1 + mu)",
          runs=_large_runs, measure=_large),
    Claim(id="drop-on-time", source="theory.md 6.5", expected=HOLDS,
          statement="A drop of the learning rate after epoch 30 acts from the first step of epoch 31 on.",
          formula="Delta_k = sqrt(2u')/sqrt(1 + 9 exp(-4u'k)), k from the start of epoch 31", assumes=WITH_REPLACEMENT,
          tolerance={MONTE_CARLO: 0.003, FINITE_D: 0.002}, wrong="an epoch late; the new equilibrium before the drop",
          runs=drop_runs, measure=_dropped),
    Claim(id="independent-paths", source="theory.md 2.7", expected=HOLDS,
          statement="Paths share no random numbers: their lengths fluctuate independently.",
          formula="Cov(R_p, R_q)/(A^2 V) = 0 for any two paths", where={"R_p": "squared length of path p"}, assumes=f"stationary norm, {WITH_REPLACEMENT}",
          tolerance={MONTE_CARLO: 0.06}, wrong="the same noise in both paths", runs=finite_runs,
          measure=_independence),
)  # fmt: skip
