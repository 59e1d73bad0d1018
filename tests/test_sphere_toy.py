"""The toy on the sphere against the general kernel and an independent program."""

from __future__ import annotations

import numpy as np
import pytest

from sde_si import HyperParameters, Problem
from sde_si.resolve import resolve
from sde_si.simulate.session import Session
from sde_si.sphere import Setting, courses
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.verify import CLAIMS, Result


def gradient(x, alphas):
    """Gradient of sum alpha_i x_i^2/(x_i^2 + y_i^2), weights (2n,) as x1, y1, x2, ... by the quotient rule."""
    out = np.empty_like(x)
    for i, alpha in enumerate(alphas):
        a, b = x[2 * i], x[2 * i + 1]
        r = a * a + b * b
        out[2 * i] = alpha * (2 * a * r - a * a * 2 * a) / r**2
        out[2 * i + 1] = -alpha * a * a * 2 * b / r**2
    return out


def descend(x, eta, alphas, steps):
    """Projected gradient descent in plain NumPy, an independent program."""
    x = x / np.linalg.norm(x)
    for _ in range(steps):
        x = x - eta * gradient(x, alphas)
        x /= np.linalg.norm(x)
    return x


@pytest.mark.parametrize("n", [1, 3, 10])
def test_an_independent_program_finds_the_same_border(n):
    """Angles and logarithms of lengths instead of weights: 20 starts converge at 0.95, none at 1.01."""
    alphas, rng = np.arange(1.0, n + 1), np.random.default_rng(5)
    angle = np.repeat(rng.uniform(0, np.pi, (20, n)), 2, axis=0)
    log_share = np.repeat(np.log(rng.dirichlet(np.ones(n), 20)), 2, axis=0)
    eta = np.tile([0.95, 1.01], 20)[:, None] / alphas.sum()
    for _ in range(15_000):
        # x = cos(angle): a step turns a group by the arctangent of its effective step, towards x = 0
        step = eta * alphas * np.exp(-log_share) * np.sin(2 * angle)
        angle = angle + np.arctan(step)
        log_share = log_share + np.log1p(step**2)
        log_share -= np.logaddexp.reduce(log_share, axis=1, keepdims=True)
    loss = (alphas * np.cos(angle) ** 2).sum(axis=1) / alphas.sum()
    assert (loss[0::2] < 1e-6).all()
    assert (loss[1::2] > 1e-3).all()
    pairs = Pairs(random_squares(n, 20, rng), 0.95 / alphas.sum(), alphas)
    pairs.advance(15_000)
    assert (pairs.loss < 1e-6 * alphas.sum()).all()


def squares_of(x):
    """Weights (start, 2n) as the toy's squares (2, n, start)."""
    return np.stack([x[:, 0::2].T ** 2, x[:, 1::2].T ** 2])


@pytest.mark.parametrize("alphas", [(1.0,), (1.0, 2.0, 4.0), (3.0, 0.5, 1.0, 1.0, 2.0)])
@pytest.mark.parametrize("eta", [0.05, 0.2, 2.0])
def test_pairs_agree_with_an_independent_program(alphas, eta):
    x = np.random.default_rng(1).standard_normal((5, 2 * len(alphas)))
    pairs = Pairs(squares_of(x), eta, np.array(alphas))
    pairs.advance(12)
    expected = squares_of(np.array([descend(row, eta, alphas, 12) for row in x]))
    np.testing.assert_allclose(pairs.squares, expected, rtol=1e-9, atol=1e-13)


def test_pairs_agree_with_the_general_kernel_to_rounding():
    eta, alphas = 0.11, (1.0, 2.0, 4.0)
    hp = HyperParameters(N=1, B=1, lr=eta, wd=0.0, momentum=0.0, epochs=40)
    run = resolve(Problem("groups", alphas=alphas), hp, method="sgd", paths=7, seed=3, init_norm=1.0)
    session = Session(run.replace(constraint="total", noise="none"))
    pairs = Pairs(squares_of(session.blocks[0].x), eta, np.array(alphas))
    session.advance()
    for epoch in range(40):
        before = pairs.angle
        pairs.advance(1)
        norm = session.results["weight_norm"][:, epoch]
        np.testing.assert_allclose(session.results["loss"][:, epoch], pairs.loss, rtol=1e-11, atol=1e-15)
        np.testing.assert_allclose(norm[:, :3] ** 2, pairs.shares.T, rtol=1e-11)
        np.testing.assert_allclose(session.results["angle_step"][:, epoch, -1], before, rtol=1e-7, atol=1e-12)
        np.testing.assert_allclose(np.sqrt(session.results["signal"][:, epoch, -1]), pairs.gradient_norm, rtol=1e-10)


def test_the_time_means_are_those_of_every_iterate():
    rng = np.random.default_rng(0)
    alphas = np.array([1.0, 2.0])
    squares = random_squares(2, 70, rng)
    whole, single = Pairs(squares, 0.5, alphas, 2), Pairs(squares, 0.5, alphas, 1)
    whole.advance(37)
    loss, growth = [], []
    for _ in range(37):
        loss.append(single.loss)
        growth.append(np.log1p(single.effective_steps**2))
        single.advance(1)
    np.testing.assert_allclose(whole.mean_loss, np.mean(loss, axis=0), rtol=1e-6)
    np.testing.assert_allclose(whole.mean_growth, np.mean(growth, axis=0), rtol=1e-6)
    assert (np.abs(whole.shares.sum(axis=0) - 1) < 1e-12).all()


@pytest.mark.parametrize("a", [3.0, 100.0, 1000.0, 1e8])
def test_bursts_are_those_of_single_steps(a):
    """Far above the threshold shares fall to nothing and come back at once: nothing may over- or underflow."""
    alphas = np.arange(1.0, 11)
    squares = random_squares(10, 64, np.random.default_rng(0))
    many, single = (Pairs(squares, a / alphas.sum(), alphas, 1) for _ in range(2))
    many.advance(2000)
    for _ in range(2000):
        single.advance(1)
    assert np.isfinite(many.sums).all()
    np.testing.assert_allclose(many.shares.sum(axis=0), 1, rtol=1e-12)
    # the same distribution: rounding alone parts chaotic paths
    np.testing.assert_allclose(many.mean_growth.mean(), single.mean_growth.mean(), rtol=0.03)
    np.testing.assert_allclose(many.mean_loss.mean(), single.mean_loss.mean(), rtol=0.01)
    assert many.shares.min() > 1e-6 * single.shares.min()


def test_numbers_depend_neither_on_threads_nor_on_other_starts():
    squares = random_squares(3, 200, np.random.default_rng(2))
    some, all_ = Pairs(squares[:, :, :40], 0.3, np.ones(3), 1), Pairs(squares, 0.3, np.ones(3), 2)
    some.advance(500)
    all_.advance(500)
    np.testing.assert_array_equal(some.squares, all_.squares[:, :, :40])


def test_groups_constraint_holds_every_length():
    [course] = courses(Setting(problem=Problem("groups"), constraint="groups", iterations=200, starts=4), [0.2])
    np.testing.assert_allclose(course.weight_norm[:, :, :3], 1 / np.sqrt(3), rtol=1e-13)
    np.testing.assert_allclose(course.individual_lr, 0.6, rtol=1e-12)


def test_a_long_path_is_held_as_a_short_one_is():
    hp = HyperParameters(N=3, B=1, lr=0.1, wd=0.0, momentum=0.0, epochs=2)
    for constraint in ("total", "groups"):
        run = resolve(Problem("vmf", dim=70_000), hp, method="em", substeps=2, paths=1, init_norm=1.0)
        session = Session(run.replace(constraint=constraint))
        session.advance()
        np.testing.assert_allclose(session.results["weight_norm"], 1.0, rtol=1e-12)
        # a tangent step of mean square eta^2 c (d - 1) h, retracted: each substep turns by its arctangent
        steps = session.results["angle_step"][0, :, 0]
        turn = np.arctan(np.sqrt(0.1**2 * 69_999 / 2))
        np.testing.assert_allclose(steps, np.arccos(np.cos(turn) ** 2), rtol=0.02)


@pytest.mark.parametrize(
    "name",
    ["equal-growth", "convergence", "no-convergence", "one-group-no-chaos", "chaos-onset", "neutral-modes", "mean-loss",
     "saturation", "divergence"],
)  # fmt: skip
@pytest.mark.parametrize("seed", [1, 2])
def test_claims_hold_from_any_seed(name, seed):
    claim = CLAIMS[f"sphere-{name}"]
    result = Result(claim, claim.check(np.random.default_rng(seed)), 0.0)
    assert result.as_expected
    assert result.controls
