"""Optimizers against theory: five standard errors, and wrong formulas that the same data must reject."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import TOLERANCE, close, hyper, settled

from sde_si import HyperParameters, Problem, simulate, theory
from sde_si.estimators import series
from sde_si.resolve import resolve


def wrong_formulas(hp):
    """1 - cos by formulas that someone really would write (theory.md 9.2, 10.5)."""
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    T = n * u / (1 - mu)
    out = {"1-T": T, "exp(-T)": -math.expm1(-T)}
    if mu:
        c, one = [1.0, 1 - u / (1 - mu)], 1 + mu - u  # 1+mu and 1-mu swapped in the one-step cosine
        for _ in range(n - 1):
            c.append(one * c[-1] - mu * c[-2])
        out["one step by 1-mu"] = 1 - c[n]
        out["n steps by 1+mu"] = -math.expm1(-n * u / (1 + mu))
    return out


@pytest.mark.parametrize(
    ("tuning_factor", "momentum", "ratio", "epochs", "rejected"),
    [
        (0.2, 0.0, 10, 60, {"1-T"}),
        (1.0, 0.0, 10, 60, {"1-T", "exp(-T)"}),
        (0.2, 0.5, 10, 60, {"1-T", "exp(-T)", "one step by 1-mu", "n steps by 1+mu"}),
        (0.2, 0.9, 100, 60, {"1-T", "exp(-T)", "one step by 1-mu", "n steps by 1+mu"}),
        (1.0, 0.9, 100, 60, {"1-T", "one step by 1-mu", "n steps by 1+mu"}),
        (0.05, 0.95, 10, 120, {"1-T", "exp(-T)", "one step by 1-mu", "n steps by 1+mu"}),
    ],
)
def test_equilibrium_of_the_optimizer(tuning_factor, momentum, ratio, epochs, rejected, seed):
    hp = hyper(tuning_factor, momentum, ratio, epochs=epochs)
    run = resolve(Problem("isotropic", dim=256), hp, seed=seed)
    record = simulate(run.problem, hp, paths=256, seed=seed)
    exact = theory.equilibrium(run)
    versine = settled(record, "versine_epoch")
    assert versine.stderr < 0.003 * versine.value
    assert close(versine.value, versine.stderr, 1 - exact["cos_epoch"].value)
    angle = settled(record, "angle_epoch")
    assert close(angle.value, angle.stderr, exact["angle_epoch"].value)
    for name in ("weight_norm", "angle_step"):
        found = settled(record, name)
        assert abs(found.value / exact[name].value - 1) < 0.003
    for name, wrong in wrong_formulas(hp).items():
        differs = abs(wrong / (1 - exact["cos_epoch"].value) - 1) > 3 * TOLERANCE
        assert (name in rejected) <= differs
        if name in rejected:
            assert not close(versine.value, versine.stderr, wrong), name


@pytest.mark.parametrize("method", ["sgd", "sgd-torch", "sgdw", "em", "splitting"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("start", ["0.3eq", "3eq"])
def test_transient(method, momentum, start, seed):
    """Epoch by epoch: the norm, and the cosine between epoch ends."""
    hp = hyper(0.1, momentum, 20, epochs=12)
    record = simulate(Problem("isotropic", dim=256), hp, method=method, paths=200, init_norm=start, seed=seed)
    norm, error = series(record, "weight_norm")
    predicted = record["weight_norm_predicted"].values
    assert all(close(*row) for row in zip(norm, error, predicted, strict=True))
    versine, error = series(record, "versine_epoch")
    predicted = 1 - record["cos_epoch_predicted"].values
    assert all(close(*row) for row in zip(versine, error, predicted, strict=True))
    # Yun's formula knows no transient
    paper = 2 * np.sin(record["angle_epoch_paper"].values / 2) ** 2
    assert not close(versine[0], error[0], paper[0])


SCHEDULES = ("step:6", "cosine", "sgdr:4,2,0.01", "1cycle", "warm-up:4", "batch-growth:5", "trapezoid")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(
    ("method", "momentum"), [("sgd", 0.0), ("sgd", 0.9), ("sgd-torch", 0.9), ("splitting", 0.9), ("em", 0.0)]
)
def test_transient_under_a_schedule(schedule, method, momentum, seed):
    hp = HyperParameters(N=300, B=10, lr=0.5, wd=0.008, momentum=momentum, epochs=14, schedule=schedule)
    record = simulate(Problem("isotropic", dim=256), hp, method=method, paths=128, init_norm="1eq", seed=seed)
    for quantity, predicted in (
        ("weight_norm", record["weight_norm_predicted"].values),
        ("versine_epoch", 1 - record["cos_epoch_predicted"].values),
        ("angle_step", record["angle_step_predicted"].values),
    ):
        value, error = series(record, quantity)
        for row in zip(value, error, predicted, strict=True):
            assert close(*row), (quantity, row)


def test_the_two_momentum_forms_differ_after_a_drop(seed):
    """The displacement form keeps the old velocity: the wrong form is rejected (theory.md 0.8, 9.10)."""
    hp = HyperParameters(N=300, B=10, lr=0.5, wd=0.008, momentum=0.9, epochs=8, schedule="step:4")
    records = {
        m: simulate(Problem("isotropic", dim=256), hp, method=m, paths=128, seed=seed) for m in ("sgd", "sgd-torch")
    }
    value, error = series(records["sgd"], "versine_epoch")
    wrong = 1 - records["sgd-torch"]["cos_epoch_predicted"].values
    assert close(value[3], error[3], wrong[3])
    assert not close(value[4], error[4], wrong[4])


def test_the_one_step_angle_of_sgdm_holds_for_any_loss(seed):
    """sqrt(2u/(1+mu)) with a strong gradient, where the per-epoch law fails by far (theory.md 1.9, 9.2)."""
    hp = HyperParameters(N=400, B=4, lr=0.1, wd=0.005, momentum=0.9, epochs=60)
    record = simulate(Problem("vmf", dim=64, signal=20.0), hp, paths=64, seed=seed)
    step = settled(record, "angle_step")
    assert close(step.value, step.stderr, theory.step_angle(hp.intrinsic_lr, 0.9))
    versine = settled(record, "versine_epoch")
    noise_only = 1 - theory.lag_cosines(100, hp.intrinsic_lr, 0.9)[100]
    assert versine.value < noise_only / 2
