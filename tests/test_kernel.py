"""The kernel against plain NumPy, and its methods against each other."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from kernel_runs import HP
from kernel_runs import end as _end

from sde_si import LOSSES, METHODS, NOISES, BadInput, HyperParameters, Problem
from sde_si.engine import Engine
from sde_si.resolve import resolve
from sde_si.simulate import simulate
from sde_si.streams import NOISE, block_size, generator
from sde_si.testing import oracle


def _possible():
    """Every combination of the registries that can be run."""
    hp = HyperParameters(N=24, B=4, lr=0.2, wd=0.05, momentum=0.0, epochs=3, schedule="step:2")
    noises, count = (None, *NOISES), 0
    for loss, method, momentum, noise, sampling in itertools.product(
        LOSSES, METHODS, (0.0, 0.9), noises, ("replacement", "reshuffle")
    ):
        problem = Problem(loss, dim=None if loss == "groups" else 5)
        try:
            run = resolve(
                problem,
                hp.replace(momentum=momentum),
                method=method,
                noise=noise,
                sampling=sampling,
                paths=7,
                init_norm=1.3,
            )
        except BadInput:
            continue
        count += 1
        # Every third by default, in an order in which each loss, method and noise has its turn; all with test-full.
        marks = [pytest.mark.slow] if count % 3 else []
        yield pytest.param(run, id=f"{loss}-{method}-{momentum}-{noise}-{sampling}", marks=marks)


@pytest.mark.parametrize("run", list(_possible()))
def test_kernel_agrees_with_numpy(run):
    weights, squares = oracle(run)
    x, results = _end(run)
    np.testing.assert_allclose(x, weights[-1], rtol=1e-9, atol=1e-11 * np.abs(weights).max())
    np.testing.assert_allclose(results["angle_step"][:, :, -1].T ** 2, squares, rtol=1e-7)
    np.testing.assert_allclose(results["weight_norm"][:, :, -1].T, np.linalg.norm(weights[1:], axis=2), rtol=1e-9)
    dots = np.sum(weights[1:] * weights[:-1], axis=2)
    cosines = dots / np.linalg.norm(weights[1:], axis=2) / np.linalg.norm(weights[:-1], axis=2)
    np.testing.assert_allclose(np.cos(results["angle_epoch"][:, :, -1].T), cosines, atol=1e-9)


@pytest.mark.parametrize("lags", [(1, 3, 15, 16, 40)])
def test_cos_lag_is_the_cosine_of_the_weights_a_lag_apart(lags):
    run = resolve(Problem("isotropic", dim=6), HP, paths=5, lags=lags, init_norm=1.0)
    engine = Engine(run)
    block = engine.blocks()[0]
    found = np.cos(engine.advance([block], 4)["angle_lag"])
    # one step an epoch shows every step's weights
    fine = HP.replace(N=4, epochs=60)
    walk = oracle(resolve(Problem("isotropic", dim=6), fine, paths=5, init_norm=1.0))[0]
    unit = walk / np.linalg.norm(walk, axis=2, keepdims=True)
    for e, (i, lag) in itertools.product(range(4), enumerate(lags)):
        end = 15 * e + lag
        if end > 60:
            assert np.isnan(found[:, e, i]).all()
        else:
            np.testing.assert_allclose(found[:, e, i, 0], np.sum(unit[15 * e] * unit[end], axis=1), atol=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_one_substep_of_euler_maruyama_is_sgd_draw_for_draw(momentum):
    hp = HP.replace(momentum=momentum)
    a, b = (
        simulate(Problem("vmf", dim=6), hp, method=m, substeps=s, paths=5, init_norm=2.0)
        for m, s in (("sgd", None), ("em", 1))
    )
    for name in ("angle_epoch", "weight_norm", "angle_step", "loss"):
        assert np.array_equal(a[name].values, b[name].values)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rescaled_time_eq_12_and_eq_15(momentum):
    """Yun et al. eq. 15 is eq. 12 (with momentum 21 is 19) on another clock: same increments, same path.

    Eq. 15 with t = (B/N) k lr: drift times N/B over dt = (B/N) lr h, noise sqrt(lr) S with the increment of
    W_{(N/B) t}, whose variance is (N/B) dt (theory.md 10.2).
    """
    hp = HP.replace(momentum=momentum, epochs=1)
    run = resolve(Problem("isotropic", dim=6), hp, method="em", substeps=8, paths=5, init_norm=2.0)
    expected, _ = _end(run)
    rng, size, h = generator(0, NOISE, 0), block_size(6), 1 / 8
    ratio, lr, wd = hp.N / hp.B, hp.lr, hp.wd
    x = oracle(run.replace(hyperparameters=hp.replace(N=4)))[0][0].copy()
    v = np.zeros_like(x)
    dt = lr * h / ratio
    for _ in range(15 * 8):
        dW = np.sqrt(ratio * dt) * rng.standard_normal((size, 6))[:5]
        R = np.sum(x**2, axis=1, keepdims=True)
        noise = np.sqrt(lr / hp.B / R) * (dW - x * np.sum(x * dW, axis=1, keepdims=True) / R)
        if momentum:
            v = v - ratio * ((1 - momentum) / lr * v + wd * x) * dt - noise
            x = x + ratio / lr * v * dt
        else:
            x = x - ratio * wd * x * dt - noise
    np.testing.assert_allclose(x, expected, rtol=1e-9)


def test_a_coarse_run_is_driven_by_the_summed_increments_of_a_finer_one():
    """`noise_from`: the coarse path stays close to the fine one, a path with its own noise does not."""
    hp = HyperParameters(N=400, B=4, lr=0.1, wd=0.02, momentum=0.0, epochs=1)

    def end(**options):
        return _end(resolve(Problem("isotropic", dim=20), hp, method="em", paths=6, init_norm=2.0, **options))[0]

    fine, coarse, own = end(substeps=64), end(substeps=8, noise_from=64), end(substeps=8)
    assert np.linalg.norm(coarse - fine) < 0.1 * np.linalg.norm(own - fine)


def test_strong_order_one_half():
    """Coupled paths: the error falls like sqrt(h) (multiplicative noise), and the limit is the right one (2.3)."""
    hp = HyperParameters(N=100, B=1, lr=0.5, wd=0.02, momentum=0.0, epochs=1)
    errors, reference = [], None
    for substeps in (256, 16, 4, 1):
        run = resolve(
            Problem("isotropic", dim=8), hp, method="em", substeps=substeps, noise_from=256, paths=100, init_norm=3.0
        )
        x, _ = _end(run)
        if reference is None:
            reference = x
            continue
        errors.append(np.sqrt(np.mean(np.sum((x - reference) ** 2, axis=1))))
    slope = np.polyfit(np.log([1 / 16, 1 / 4, 1]), np.log(errors), 1)[0]
    assert 0.4 < slope < 0.65


def test_the_oracle_refuses_what_it_has_no_textbook_for():
    """It fell through to plain SGD, and a new method's test failed by a wrong number."""
    run = resolve(Problem("isotropic", dim=3), HyperParameters(epochs=1), method="sgd", paths=2)
    method = dataclasses.replace(run.method, name="nesterov")
    with pytest.raises(BadInput, match="textbook"):
        oracle(dataclasses.replace(run, method=method))
