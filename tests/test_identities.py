"""Exact identities of theory.md section 1, for any loss, noise and hyperparameters."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sde_si import METHODS, HyperParameters, Problem
from sde_si.resolve import resolve
from sde_si.simulate import simulate
from sde_si.testing import check_method, evaluate
from sde_si.testing.strategies import hyperparameters, problems


def _steps(problem, hp, **options):
    """A record whose epochs are single steps, of as many steps as `hp` has in all."""
    total = hp.steps_per_epoch * hp.epochs
    return simulate(problem, hp.replace(N=hp.B, epochs=total), paths=3, **options)


@given(problems(), hyperparameters(), st.integers(0, 99), st.sampled_from([0.5, 1.0, 3.0]))
def test_telescoping_1_3(problem, hp, seed, start):
    """sum ln cos(Delta_k) = n ln a + ln(r_0/r_n), path by path, for every loss, batch and noise."""
    hp = hp.replace(momentum=0.0, wd=min(hp.wd, 0.1 / hp.lr))
    record = _steps(problem, hp, seed=seed, init_norm=start * math.sqrt(hp.lr))
    group = problem.arrays(hp.B, seed).groups > 1
    for name in record["group"].values[:-1] if group else ["all"]:
        cos = np.cos(record["angle_epoch"].sel(group=name).values)
        ratio = (
            record["weight_norm_initial"].sel(group=name).values / record["weight_norm"].sel(group=name).values[:, -1]
        )
        n = cos.shape[1]
        total = n * math.log1p(-hp.intrinsic_lr) + np.log(ratio)
        size = np.abs(np.log(cos)).sum(axis=1) + 1
        # a step of nearly 90 degrees has a cosine of few digits
        np.testing.assert_allclose(np.log(cos).sum(axis=1), total, atol=1e-12 * (size + 1 / cos.min()).max())


@given(problems(), hyperparameters(), st.integers(0, 99))
def test_step_angle_1_2(problem, hp, seed):
    """tan(Delta) = lr |g~|/(a R), cos(Delta) = a r/r' for one step of plain SGD."""
    hp = hp.replace(momentum=0.0)
    record = _steps(problem, hp, seed=seed, init_norm=math.sqrt(hp.lr))
    norms = np.concatenate([record["weight_norm_initial"].values[:, None], record["weight_norm"].values], axis=1)
    cos = np.cos(record["angle_epoch"].values)
    a = 1 - hp.intrinsic_lr
    if record.sizes["group"] == 1:
        np.testing.assert_allclose(cos, (a * norms[:, :-1] / norms[:, 1:]), atol=1e-12)


@pytest.mark.parametrize(
    ("name", "momentum", "loss"),
    [
        (name, momentum, loss)
        for name, method in METHODS.items()
        for momentum in (0.0, 0.9)
        for loss in ("isotropic", "vmf", "pca", "groups")
        if method.scheme(momentum > 0) and not (method.constant_trace and loss == "pca")
    ],
)
def test_scale_symmetry_1_5_is_bit_exact_for_powers_of_two(name, momentum, loss):
    """(x0, lr, wd) -> (c x0, c^2 lr, wd/c^2) gives c x_k: any hidden absolute constant would show."""
    problem = Problem(loss, dim=None if loss == "groups" else 5)
    hp = HyperParameters(N=32, B=4, lr=0.25, wd=0.03, momentum=momentum, epochs=20, schedule="step:7")
    c = 4.0
    hp = hp.replace(**METHODS[name].extras)
    scaled = hp.replace(**{key: getattr(hp, key) * c**power for key, power in METHODS[name].symmetry.items()})
    one = simulate(problem, hp, method=name, paths=3, init_norm=0.7)
    other = simulate(problem, scaled, method=name, paths=3, init_norm=0.7 * c)
    if name == "splitting" and momentum:
        # its coefficients come from a matrix exponential, which is not scale-free to the bit
        np.testing.assert_allclose(c * one["weight_norm"].values, other["weight_norm"].values, rtol=1e-9)
        return
    assert np.array_equal(c * one["weight_norm"].values, other["weight_norm"].values)
    assert np.array_equal(one["angle_epoch"].values, other["angle_epoch"].values)
    assert np.array_equal(one["angle_step"].values, other["angle_step"].values)


def _problem():
    return Problem("pca", dim=5), 40


def _gradient(x):
    problem, N = _problem()
    return evaluate(problem, x[None], N=N)[0][0]


START = np.array([0.3, -1.2, 0.4, 0.9, -0.5])


@given(st.floats(1e-4, 5e-3), st.floats(1e-3, 0.02))  # a larger effective lr is chaotic and amplifies rounding
def test_weight_decay_is_an_exponential_learning_rate_1_6(u, lr):
    """x_k = a^k xt_k, with xt from wd = 0 and lr_k = lr a^(-2k-1)."""
    x, xt, a = START.copy(), START.copy(), 1 - u
    for k in range(100):
        x = a * x - lr * _gradient(x)
        xt = xt - lr * a ** (-2 * k - 1) * _gradient(xt)
    np.testing.assert_allclose(x, a**100 * xt, rtol=1e-9, atol=1e-9 * np.linalg.norm(x))


@pytest.mark.parametrize("form", ["torch", "displacement"])
def test_with_momentum_1_7(form):
    """alpha = larger root of z^2 - (1+mu-u) z + mu = 0; lr_k = lr alpha^(-2k-1), mt = mu/alpha^2."""
    mu, u, lr = 0.9, 1e-3, 0.01
    alpha = max(np.roots([1, -(1 + mu - u), mu]))
    x, before = START.copy(), START.copy()
    xt, xt_before = START.copy(), alpha * START
    buffer = -(xt - xt_before) / (lr * alpha)  # velocity of torch's form: x_{-1} - x_0 over lr alpha
    for k in range(300):
        x, before = (1 + mu - u) * x - mu * before - lr * _gradient(x), x
        rate = lr * alpha ** (-2 * k - 1)
        if form == "torch":
            buffer = mu * buffer + _gradient(xt)
            xt = xt - rate * buffer
        else:
            xt, xt_before = xt + mu / alpha**2 * (xt - xt_before) - rate * _gradient(xt), xt
    np.testing.assert_allclose(x, alpha**300 * xt, rtol=1e-8)


@given(st.floats(1e-4, 0.1), st.sampled_from([0.0, 0.5, 0.9]), st.integers(1, 40))
def test_the_split_of_the_cosine_1_11(u, mu, n):
    """Decay and noise, starting velocity, drift: exact for any gradients."""
    lr = 0.05
    rng = np.random.default_rng(0)
    x, v = START.copy(), 0.1 * rng.standard_normal(5)
    x0, v0, products = x.copy(), v.copy(), []
    H = [0.0, 1.0]  # H_{-1}, H_0
    for _ in range(n):
        H.append((1 + mu - u) * H[-1] - mu * H[-2])
    for _ in range(n):
        g = _gradient(x) + rng.standard_normal(5)
        products.append(x0 @ g)
        v = mu * v - lr * g - u * x
        x = x + v
    impulse = np.array(H[1:])
    drift = lr * sum(impulse[n - 1 - j] * products[j] for j in range(n))
    expected = (impulse[n] - mu * H[n]) * (x0 @ x0) + mu * impulse[n - 1] * (x0 @ v0) - drift
    assert x0 @ x == pytest.approx(expected, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9, 0.99])
@pytest.mark.parametrize(("lr", "wd"), [(0.1, 5e-4), (0.3, 0.4), (2.0, 0.0)])
def test_the_linear_theory_of_every_method_is_that_of_its_step(name, momentum, lr, wd):
    check_method(METHODS[name], lr=lr, wd=wd, momentum=momentum)


def test_the_norm_of_the_splitting_is_2_3_at_every_step():
    from sde_si.theory import quartic_norm

    hp = HyperParameters(N=128, B=128, lr=0.1, wd=0.05, momentum=0.0, epochs=300)
    for start in (0.3, 4.0):
        record = simulate(Problem("vmf", dim=7, signal=0.5), hp, method="splitting", paths=5, init_norm=start)
        t = hp.lr * record["epoch"].values
        expected = quartic_norm(t, hp.lr, hp.wd, noise_trace=6 / 128, start=start**4) ** 0.25
        np.testing.assert_allclose(record["weight_norm"].values[..., 0], np.tile(expected, (5, 1)), rtol=1e-12)


def test_the_norm_recursion_of_fixed_length_noise_is_1_4():
    """Fixed-length noise makes the norm of SGD deterministic (theory.md 1.4, golden 14.1 by simulation)."""
    from sde_si.theory import fixed_length_sgd

    hp = HyperParameters(N=1, B=1, lr=0.1, wd=0.5, momentum=0.0, epochs=40)
    dim = 15
    record = simulate(
        Problem("isotropic", dim=dim, noise_scale=7 / (dim - 1)), hp, noise="fixed-length", paths=3, init_norm=1.0
    )
    expected = fixed_length_sgd(40, 0.1, 0.5, noise_trace=7.0, start=1.0).norm_squared[1:]
    np.testing.assert_allclose(record["weight_norm"].values[..., 0] ** 2, np.tile(expected, (3, 1)), rtol=1e-12)


def test_resolve_is_idempotent():
    run = resolve(Problem("vmf", dim=5), HyperParameters(), method="sgd")
    again = resolve(run.problem, run.hyperparameters, method=run.method, init_norm=run.start_norm)
    assert run.digest() == again.digest()


def test_a_step_that_is_not_elementwise_is_named():
    """A step that needs each path's length but says that it treats every weight by itself."""

    def by_length(x, state, hyper, offsets, g, out):
        out[:] = x - hyper["lr"] * g[0] / np.linalg.norm(x, axis=1, keepdims=True)

    plain = METHODS["sgd"].plain
    for elementwise in (True, False):
        scheme = dataclasses.replace(plain, step=by_length, linear=None, elementwise=elementwise)
        method = dataclasses.replace(METHODS["sgd"], plain=scheme)
        if elementwise:
            with pytest.raises(AssertionError, match="elementwise"):
                check_method(method, lr=0.1, wd=0.05, momentum=0.0)
        else:
            check_method(method, lr=0.1, wd=0.05, momentum=0.0)
