"""Thresholds on the sphere by line and bisection, and the regimes about them."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from sde_si import Problem
from sde_si.sphere import Setting, bisect, line, sweep
from sde_si.sphere.report import to_json
from sde_si.sphere.threshold import Bracket, Line, doubt, falls
from sde_si.sphere.toy import Pairs, random_squares


@pytest.mark.parametrize("guess", [pytest.param(0.02, marks=pytest.mark.slow), 0.7])
def test_the_threshold_is_found_from_any_guess(guess):
    setting = Setting(problem=Problem("groups", alphas=(1.0, 3.0)), starts=16)
    bracket = bisect(setting, guess)
    assert bracket.converges <= 0.25 <= bracket.fails
    assert bracket.fails - bracket.converges <= 1.01e-4 * 0.25
    zero = line(setting, bracket.value)
    assert abs(zero.value - 0.25) < 1e-6 * 0.25
    assert zero.slope == pytest.approx(-0.5, rel=1e-4)
    # the line is not drawn through the answer: a threshold 1 % off is told apart by its own error
    assert abs(zero.value - 0.2525) > 1000 * zero.stderr


@pytest.mark.parametrize(
    ("problem", "given", "threshold"),
    [(Problem("vmf", dim=6, noise_scale=0.0), {}, 2.0), (Problem("groups"), {"constraint": "groups"}, 1 / 12)],
)
def test_outside_the_toy_the_bracket_is_as_narrow(problem, given, threshold):
    found = sweep(problem, (0.6 * threshold, 1.9 * threshold), starts=4, iterations=1000, exponents=False, **given)
    assert found.bracket is not None
    assert found.bracket.converges <= threshold <= found.bracket.fails
    assert found.bracket.fails - found.bracket.converges <= 1.01e-4 * threshold
    assert not found.threshold_why


def test_a_rate_at_the_threshold_itself_is_run_once_only():
    """Halves of a bracket fall on round thresholds again and again."""
    setting = Setting(problem=Problem("vmf", dim=4, noise_scale=0.0), starts=2)
    bracket = bisect(setting, 1.6, tolerance=1e-3, longest=20_000)
    assert bracket.converges < 2 < bracket.fails
    assert bracket.runs < 25


def test_a_bracket_that_stays_wide_says_so():
    found = sweep(Problem("vmf", dim=70, noise_scale=0.0), (1.0, 3.0), starts=4, iterations=500)
    assert found.bracket is not None
    assert found.bracket.fails - found.bracket.converges <= 1.01e-3 * 2
    assert "not 0.0001" in found.threshold_why
    assert to_json(found)["threshold_why"] == found.threshold_why


def test_the_threshold_of_another_loss_by_bisection_alone():
    found = sweep(Problem("pca", dim=6), (0.1, 1.0), starts=8, iterations=2000)
    assert found.line is None
    assert found.bracket is not None
    assert found.threshold_predicted is not None
    assert found.bracket.converges * 0.999 <= found.threshold_predicted <= found.bracket.fails * 1.001
    assert [point.regime.name for point in found.points] == ["convergence", "chaotic equilibrium"]


def test_a_regression_has_all_three_regimes():
    """Its teacher fits: minibatch noise vanishes at the minimum, and far from it SGD walks at random."""
    problem = Problem("regression", dim=128, spectrum=(1.0,), target_noise=0.0)
    found = sweep(problem, (0.02, 0.1, 3.0), noise="minibatch", N=512, B=4, starts=8, iterations=6000)
    assert [point.regime.name for point in found.points] == ["convergence", "chaotic equilibrium", "divergence"]
    assert found.bracket is None


@pytest.mark.parametrize(("name", "dim", "rates"), [("pca", 16, (0.107, 0.247)), ("vmf", 16, (0.462, 1.6)),
                                                    ("pca", 6, (0.05, 0.2))])  # fmt: skip
def test_a_run_that_collapsed_before_its_first_sample_has_converged(name, dim, rates):
    found = sweep(Problem(name, dim=dim), rates, threshold=False, starts=8, iterations=20_000, noise="none")
    for point in found.points:
        assert point.gradient_norm < 1e-13
        assert (point.regime.name, point.regime.confidence) == ("convergence", 1.0)


@pytest.mark.parametrize("guess", [0.02, 0.1, 0.3])
def test_a_collapse_before_the_first_sample_does_not_mislead_the_bisection(guess):
    """A threshold far above: samples come 201 iterations apart at the end, the collapse takes a dozen."""
    setting = Setting(problem=Problem("pca", dim=6), starts=8)
    assert (falls(setting, guess, 100_000) > 5).all()


def test_a_slow_system_gets_its_threshold_or_none():
    """One stiff pair and one slow one: what has not begun to fall is not said not to converge."""
    problem = Problem("groups", alphas=(1000.0, 0.001))
    found = sweep(problem, (0.01, 0.02), starts=4, iterations=1000, exponents=False)
    assert found.bracket is not None
    assert found.bracket.value * 1000.001 == pytest.approx(1, rel=1e-3)
    assert found.threshold_measured is not None
    assert abs(found.threshold_measured - 1 / 1000.001) < 5 * found.threshold_stderr
    nan = float("nan")
    none = dataclasses.replace(found, line=Line(nan, nan, nan, np.ones(1), np.ones(1), np.ones(1)))
    assert none.threshold_measured is None
    assert none.disagree
    assert json.loads(json.dumps(to_json(none), allow_nan=False))["threshold_line"]["zero"] is None


@pytest.mark.filterwarnings("error")
def test_a_group_that_has_fallen_below_all_numbers_comes_back():
    """A stiff group falls by hundreds of orders before the other's share lets it grow: above the threshold it must."""
    setting = Setting(problem=Problem("groups", alphas=(1.0, 1000.0)), starts=16)
    bracket = bisect(setting, 0.001)
    assert bracket.converges <= 1 / 1001 <= bracket.fails
    assert bracket.fails - bracket.converges <= 1.01e-4 / 1001
    above = Pairs(random_squares(2, 16, np.random.default_rng(0)), 0.0009993, np.array([1.0, 1000.0]))
    above.advance(2_000_000)
    above.forget()
    above.advance(100_000)
    assert (above.losses.sum(axis=0) <= above.loss).all()
    np.testing.assert_allclose(above.mean_loss, (1001 - 1 / 0.0009993) / 2, rtol=0.05)


def test_two_measurements_that_differ_are_none():
    zeros = Line(0.25, 1e-6, -0.5, np.ones(1), np.ones(1), np.ones(1))
    assert not doubt(Bracket(0.2499, 0.2501, 1), zeros)
    assert "bisection" in doubt(Bracket(0.2503, 0.2504, 1), zeros)


def test_the_curvature_of_the_mean_loss_is_in_the_error_of_the_line():
    """Six systems: none of them more than three of its own standard errors off, nor all of them far within."""
    off = []
    for alphas in ((1.0, 2.0, 4.0), (1.0, 3.0), (2.0, 2.0, 5.0)):
        for seed in (0, 1):
            found = line(Setting(problem=Problem("groups", alphas=alphas), seed=seed, starts=8), 1 / sum(alphas))
            off.append((found.value - 1 / sum(alphas)) / found.stderr)
    assert max(map(abs, off)) < 3
    assert max(map(abs, off)) > 0.01
