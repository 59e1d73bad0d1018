"""Simulation against theory: five standard errors, and wrong formulas that must be rejected on the same data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sde_si import HyperParameters, Problem, estimators, simulate, theory
from sde_si.estimators import equilibrium, series, window_of
from sde_si.resolve import resolve

TOLERANCE = 0.005


def close(value, stderr, predicted, relative=TOLERANCE):
    """Whether a measured value agrees: five standard errors, or the stated tolerance."""
    return abs(value - predicted) <= max(5 * stderr, relative * abs(predicted))


def settled(record, quantity):
    window = window_of(record)
    assert window, window.why
    return equilibrium(record, window, quantity)


def hyper(tuning_factor, momentum, ratio, **more):
    """Hyperparameters of a given tuning factor, momentum and N/B."""
    u = tuning_factor * (1 - momentum) / ratio
    return HyperParameters(N=ratio * 8, B=8, lr=0.1, wd=u / 0.1, momentum=momentum, **more)


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


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("method", ["splitting", "em"])
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


@pytest.mark.parametrize("substeps", [1, 2, 4, 16])
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


@pytest.mark.parametrize(("lr", "wd"), [(0.1, 0.2), (0.4, 0.05)])
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


@pytest.mark.parametrize(
    ("start", "golden"),
    [
        (1.0, {1: (3.5377694569, 0.6935901132, 0.4920273111), 6: (10.7832810332, 0.4088122722, 0.2015664330)}),
        (4.0, {1: (212.3141114918, 0.9967828383, 0.9935774050), 6: (87.5878050708, 0.9686362902, 0.9383858556)}),
    ],
)
@pytest.mark.parametrize("method", ["splitting", "em"])
def test_golden_14_2_by_simulation(method, start, golden, seed):
    """Norm, first and second harmonic of the SDE; the second tells Brownian motion on the sphere from other laws."""
    hp = HyperParameters(N=10, B=1, lr=0.1, wd=0.05, momentum=0.0, epochs=6)
    record = simulate(
        Problem("isotropic", dim=16),
        hp,
        method=method,
        substeps=16,
        paths=2000,
        init_norm=start,
        lags=(10, 60),
        seed=seed,
    )
    for i, (t, (Q, cos, square)) in enumerate(golden.items()):
        c = record["cos_lag"].values[:, 0, i, 0]
        q = record["weight_norm"].values[:, t - 1, 0] ** 4
        for sample, expected in ((c, cos), (c**2, square), (q, Q)):
            bias = 0.004 if method == "em" and expected > 1 else 0.0  # 3.5: lambda h (1/2 + 2/(d-1)) at h = 1/160
            assert close(sample.mean(), sample.std(ddof=1) / math.sqrt(sample.size), expected, relative=1e-9 + bias)
        wrong = math.exp(-0.05 * t)  # forgetting that the norm changes
        assert not close(c.mean(), c.std(ddof=1) / math.sqrt(c.size), wrong, relative=0)


@pytest.mark.parametrize(
    ("mu", "u", "golden"),
    [
        (0.9, 4e-4, {200: 0.4533910365, 391: 0.2046465166}),
        (0.5, 5e-3, {200: 0.1330497898, 391: 0.0191291698}),
        (0.9, 1e-5, {200: 0.9811112608, 391: 0.9625323628}),
    ],
)
def test_golden_14_5_by_simulation(mu, u, golden, seed):
    hp = HyperParameters(N=391, B=1, lr=0.1, wd=u / 0.1, momentum=mu, epochs=12 if u > 1e-4 else 60)
    record = simulate(Problem("isotropic", dim=256), hp, paths=64, lags=tuple(golden), seed=seed)
    first = 4 if u > 1e-4 else 40
    for i, expected in enumerate(golden.values()):
        sample = record["cos_lag"].values[:, first:, i, 0].mean(axis=1)
        assert close(sample.mean(), sample.std(ddof=1) / 8, expected, relative=1e-3)


def test_golden_14_11_by_simulation(seed):
    """Brownian motion on S^2: three harmonics at clock s = 0.5."""
    # constant norm: s = 2uk/(d-1) = u k
    hp = HyperParameters(N=50, B=1, lr=0.1, wd=0.1, momentum=0.0, epochs=1)
    record = simulate(Problem("isotropic", dim=3), hp, method="splitting", substeps=8, paths=20_000, seed=seed)
    c = record["cos_epoch"].values[:, 0, 0]
    for poly, expected in ((c, 0.60653066), ((3 * c**2 - 1) / 2, 0.22313016), ((5 * c**3 - 3 * c) / 2, 0.04978707)):
        assert close(poly.mean(), poly.std(ddof=1) / math.sqrt(c.size), expected, relative=1e-9)


@pytest.mark.parametrize(("dim", "mu", "u", "n", "paths"), [(64, 0.95, 0.005, 10, 512), (16, 0.9, 4e-4, 50, 1024)])
def test_golden_14_12_finite_dimension(dim, mu, u, n, paths, seed):
    """The 1/d corrections: E R and the rms one-step angle; without them the prediction is rejected."""
    hp = HyperParameters(N=n, B=1, lr=0.1, wd=u / 0.1, momentum=mu, epochs=400)
    run = resolve(Problem("isotropic", dim=dim), hp, seed=seed)
    record = simulate(run.problem, hp, paths=paths, seed=seed)
    exact = theory.equilibrium(run)
    for quantity in ("weight_norm", "angle_step"):
        found = settled(record, quantity)
        assert abs(found.value - exact[quantity].value) < 5 * found.stderr + 2e-4 * found.value
    if dim == 64:
        bare = math.sqrt(2 * u / (1 + mu))
        step = settled(record, "angle_step")
        assert abs(step.value - bare) > 5 * step.stderr


@pytest.mark.parametrize(("n", "mu", "u"), [(44, 0.9, 1.6e-4), (20, 0.5, 1e-3)])
def test_golden_14_13_reshuffled(n, mu, u, seed):
    hp = HyperParameters(N=n, B=1, lr=0.1, wd=u / 0.1, momentum=mu, epochs=400)
    run = resolve(Problem("isotropic", dim=256), hp, sampling="reshuffle", seed=seed)
    record = simulate(run.problem, hp, sampling="reshuffle", paths=64, seed=seed)
    versine, norm = settled(record, "versine_epoch"), settled(record, "weight_norm")
    law = theory.reshuffled(n, u, mu)
    # the law is of first order in rho/(1 - mu): .07 and .04 here (1.13 measures 1.5 % at .07)
    assert close(versine.value, versine.stderr, 1 - law.cos_epoch, relative=0.025)
    plain = theory.sgd_moments(hp.lr, hp.wd, mu, noise_trace=255.0).xx
    assert close(norm.value**2, 0, law.norm_factor * plain, relative=0.006)
    with_replacement = 1 - theory.lag_cosines(n, u, mu)[n]
    assert not close(versine.value, versine.stderr, with_replacement, relative=0.5)


def test_golden_14_14_by_simulation(seed):
    """The schedule recursion from v = 0: an lr drop after 10 steps, both momentum forms."""
    for method, at15, at30 in (("sgd", 6.1660090940, 9.1842930446), ("sgd-torch", 3.9555972637, 3.4259759490)):
        # noise trace 4 at B = 1; epochs of five steps, lr .1 for two epochs, .01 after
        hp = HyperParameters(N=5, B=1, lr=0.1, wd=0.1, momentum=0.9, epochs=6, schedule="multi-step:2")
        record = simulate(
            Problem("isotropic", dim=401, noise_scale=0.01),
            hp,
            method=method,
            paths=200,
            init_norm=math.sqrt(2),
            seed=seed,
        )
        for epoch, expected in ((3, at15), (6, at30)):
            squares = record["weight_norm"].values[:, epoch - 1, 0] ** 2
            assert close(squares.mean(), squares.std(ddof=1) / math.sqrt(200), expected)


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


def test_the_one_step_angle_of_sgdm_holds_for_any_loss(seed):
    """sqrt(2u/(1+mu)) with a strong gradient, where the per-epoch law fails by far (theory.md 1.9, 9.2)."""
    hp = HyperParameters(N=400, B=4, lr=0.1, wd=0.005, momentum=0.9, epochs=60)
    record = simulate(Problem("vmf", dim=64, signal=20.0), hp, paths=64, seed=seed)
    step = settled(record, "angle_step")
    assert close(step.value, step.stderr, theory.step_angle(hp.intrinsic_lr, 0.9))
    versine = settled(record, "versine_epoch")
    noise_only = 1 - theory.lag_cosines(100, hp.intrinsic_lr, 0.9)[100]
    assert versine.value < noise_only / 2


def test_errors_of_means_ratios_and_left_out_paths():
    """Against the spread of a thousand repetitions."""
    rng = np.random.default_rng(7)
    x, y = rng.standard_normal((2, 1000, 200))
    top, bottom = 2 + x, 4 + x + 0.1 * y
    found = [estimators.ratio(a, b) for a, b in zip(top, bottom, strict=True)]
    spread = np.std([one.value for one in found])
    assert np.mean([one.value for one in found]) == pytest.approx(0.5, abs=0.002)
    assert np.mean([one.stderr for one in found]) == pytest.approx(spread, rel=0.1)
    roots = [estimators.rms(row) for row in x]
    assert np.mean([one.stderr for one in roots]) == pytest.approx(np.std([one.value for one in roots]), rel=0.1)
    folds = [estimators.jackknife(lambda kept, row=row: row[kept].mean() ** 2, 200, 20) for row in top]
    assert np.mean([error for _, error in folds]) == pytest.approx(np.std([value for value, _ in folds]), rel=0.15)


def test_small_angles_keep_their_digits():
    x = np.array([3.0, 0.0])
    for angle in (1e-9, 1e-4, 1.0, 3.0):
        y = 0.2 * np.array([np.cos(angle), np.sin(angle)])
        exact = 2 * np.sin(angle / 2) ** 2
        assert estimators.versine(np.array(angle)) == pytest.approx(exact, rel=1e-15)
        assert estimators.chord_versine(x, y) == pytest.approx(exact, rel=1e-7)
