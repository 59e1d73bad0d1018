"""SDEs and their integrators against theory: five standard errors, and wrong formulas rejected."""

from __future__ import annotations

import math

import numpy as np
import pytest
from agreement import TOLERANCE, close, hyper, settled

from sde_si import HyperParameters, Problem, simulate, theory
from sde_si.estimators import window_of
from sde_si.resolve import resolve


@pytest.mark.parametrize(
    ("method", "momentum"),
    [("splitting", 0.0), ("splitting", 0.5), ("splitting", 0.9),
     *(pytest.param("em", mu, marks=pytest.mark.slow) for mu in (0.0, 0.5, 0.9))],
)  # fmt: skip
def test_the_sde(method, momentum, seed):
    """Norm, angle per step and the cosine against the lag reach 2.3, 2.4 and 9.7; em by Richardson from 8 and 16."""
    lags = (1, 2, 4, 8, 16, 32)
    hp = hyper(0.4, momentum, 32, epochs=30)
    options = {"paths": 128, "seed": seed, "lags": lags, "init_norm": "1eq"}

    def measure(**more):
        record = simulate(Problem("isotropic", dim=512), hp, method=method, **options, **more)
        first = window_of(record).first - 1
        versine = 1 - record["cos_lag"].values[:, first:, :, 0]
        means = np.nanmean(versine, axis=1)
        norms = (record["weight_norm"].values[:, first:, 0] ** 2).mean(axis=1)
        steps = (record["angle_step"].values[:, first:, 0] ** 2).mean(axis=1)
        return np.column_stack([means, norms, steps])

    if method == "em":
        coarse, fine = measure(substeps=8, noise_from=16), measure(substeps=16)
        samples = 2 * fine - coarse
    else:
        samples = measure()
    value, error = samples.mean(axis=0), samples.std(axis=0, ddof=1) / math.sqrt(len(samples))
    u = hp.intrinsic_lr
    expected = [1 - theory.sde_lag_cosine(lag, u, momentum) for lag in lags]
    square = theory.sde_norm_squared(hp.lr, hp.wd, momentum, noise_trace=511 / 8)
    expected += [square, theory.sde_step_angle(u, momentum) ** 2]
    for row in zip(value, error, expected, strict=True):
        assert close(*row, relative=2 * TOLERANCE if row[2] in expected[6:] else TOLERANCE), row
    if momentum:  # then the optimizer's one-step angle is another one (9.7)
        assert not close(value[7], error[7], theory.step_angle(u, momentum) ** 2, relative=0.01)


@pytest.mark.parametrize("substeps", [1, 2, 4, pytest.param(16, marks=pytest.mark.slow)])
def test_svag_norm_4_3(substeps, seed):
    """E R^2 = lr (tau + G/l)/(2 wd), with the mean signal that the run itself measures."""
    hp = HyperParameters(N=800, B=4, lr=0.05, wd=0.02, momentum=0.0, epochs=60)
    problem = Problem("vmf", dim=32, signal=40.0, noise_scale=1.0)
    record = simulate(problem, hp, method="svag", substeps=substeps, paths=100, seed=seed)
    norm, signal = settled(record, "weight_norm"), settled(record, "signal")
    trace = 31 / 4
    found = norm.value**4
    assert signal.value > 0.3 * trace  # otherwise the test could not tell l = 1 from l = 16
    expected = theory.svag_norm_squared(hp.lr, hp.wd, noise_trace=trace, signal=signal.value, l=substeps) ** 2
    assert close(found, 4 * norm.value**3 * norm.stderr, expected)
    other = 16 if substeps < 8 else 1
    wrong = theory.svag_norm_squared(hp.lr, hp.wd, noise_trace=trace, signal=signal.value, l=other) ** 2
    assert not close(found, 4 * norm.value**3 * norm.stderr, wrong)


@pytest.mark.parametrize(("lr", "wd"), [(0.1, 0.2), pytest.param(0.4, 0.05, marks=pytest.mark.slow)])
def test_the_stationary_law_depends_on_lr_wd_alone_8_4(lr, wd, seed):
    """Free norm, von Mises-Fisher: E y1 = coth(kappa) - 1/kappa, kappa = 2|m|/(gamma c/B), for equal products."""
    strength, dim = 1.0, 3
    hp = HyperParameters(N=500, B=1, lr=lr, wd=wd, momentum=0.0, epochs=40)
    problem = Problem("vmf", dim=dim, signal=strength, noise_scale=1.0)
    gamma = math.sqrt(2 * hp.intrinsic_lr / (dim - 1))
    kappa = 2 * strength / gamma
    values = []
    for substeps in (1, 2):
        record = simulate(problem, hp, method="splitting", substeps=substeps, paths=2000, seed=seed)
        mean = -record["loss"].values[:, 5:].mean(axis=1)
        values.append((mean.mean(), mean.std(ddof=1) / math.sqrt(mean.size)))
    (coarse, e1), (fine, e2) = values
    value, error = 2 * fine - coarse, math.hypot(2 * e2, e1)
    assert close(value, error, theory.vmf_resultant(kappa, dim))
    assert not close(value, error, theory.vmf_resultant(kappa / 2, dim))


def test_weak_order_one_with_the_exact_slope_3_5(seed):
    """E Q of Euler-Maruyama is off by (lr tau/2 wd)(wd h/2 + 2 wd h/(d-1)) in SDE time h."""
    d, lr, wd = 8, 0.1, 0.5
    for substeps in (1, 2, 4):
        h = lr / substeps
        hp = HyperParameters(N=40, B=1, lr=lr, wd=wd, momentum=0.0, epochs=60)
        record = simulate(Problem("isotropic", dim=d), hp, method="em", substeps=substeps, paths=4000, seed=seed)
        quartic = (record["weight_norm"].values[:, 20:, 0] ** 4).mean(axis=1)
        limit = lr * (d - 1) / (2 * wd)
        bias = wd * h * (0.5 + 2 / (d - 1))
        error = quartic.std(ddof=1) / math.sqrt(quartic.size) / limit
        assert abs(quartic.mean() / limit - 1 - bias) < 5 * error + 2 * bias**2
        assert bias > 5 * error  # a test that sees the bias


def test_rademacher_has_the_same_weak_limit(seed):
    hp = hyper(0.4, 0.9, 32, epochs=40)
    run = resolve(Problem("isotropic", dim=256), hp, noise="rademacher", seed=seed)
    record = simulate(run.problem, hp, noise="rademacher", paths=128, seed=seed)
    versine = settled(record, "versine_epoch")
    assert close(versine.value, versine.stderr, 1 - theory.equilibrium(run)["cos_epoch"].value)


def test_difference_noise_is_the_exact_covariance_in_law(seed):
    """Two minibatches' difference and the exact factor give the same norm and the same loss."""
    hp = HyperParameters(N=200, B=10, lr=0.02, wd=0.5, momentum=0.0, epochs=60)
    found = {}
    for noise in ("difference", "gaussian"):
        record = simulate(Problem("pca", dim=6), hp, method="em", noise=noise, paths=200, init_norm=1.0, seed=seed)
        found[noise] = [settled(record, name) for name in ("weight_norm", "loss")]
    for one, other in zip(*found.values(), strict=True):
        assert abs(one.value - other.value) < 5 * math.hypot(one.stderr, other.stderr)
