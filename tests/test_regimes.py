"""The classifier: every regime from series made by hand, and what it must not be sure of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sde_si import BadInput
from sde_si.regimes import CONVERGENCE, DIVERGENCE, EQUILIBRIUM, UNDECIDED, classify

T = np.arange(1, 2001)


def noise(seed, shape=T.shape, size=0.1):
    return np.exp(size * np.random.default_rng(seed).standard_normal(shape))


def fall(loss):
    """Series of a quadratic minimum: gradient norm and angle go as the root of the loss."""
    return loss, np.sqrt(loss), 0.1 * np.sqrt(loss)


@pytest.mark.parametrize("rate", [0.002, 0.01, 1.0])
def test_exponential_fall_converges(rate):
    found = classify(*fall(3 * np.exp(-rate * T) * noise(0)))
    assert found.name == CONVERGENCE
    assert found.confidence > 0.99


@pytest.mark.parametrize(
    ("power", "name"), [(2.0, CONVERGENCE), (0.2, UNDECIDED), (0.7, UNDECIDED), (0.0, EQUILIBRIUM)]
)
def test_the_border_is_the_critical_law(power, name):
    """F ~ 1/t is the law at the threshold: faster converges, not at all is an equilibrium, between is undecided."""
    loss = np.concatenate([[4.0], T[1:] ** -power * noise(1)[1:]])
    assert classify(*fall(loss), random_loss=4.0).name == name


def test_the_critical_law_itself_is_undecided():
    assert classify(*fall(noise(2) / T), random_loss=4.0).name == UNDECIDED


def test_a_stationary_loss_is_told_by_its_level():
    for level, name in (
        (1.0, EQUILIBRIUM),
        (2.0, EQUILIBRIUM),
        (2.2, DIVERGENCE),
        (2.3, DIVERGENCE),
        (2.5, DIVERGENCE),
    ):
        loss = level * noise(3, (8, 500), 0.05)
        angle = np.full(loss.shape, 0.5)
        found = classify(loss, np.ones(loss.shape) * noise(4, loss.shape), angle, random_loss=2.303, lowest_loss=0.0)
        assert found.name == name, level
        assert found.confidence > 0.99


def test_a_run_that_has_not_moved_has_not_diverged():
    """A start sits at the level of random directions: with tiny steps it says nothing."""
    loss = 2.3 * noise(5, (8, 500), 0.01)
    steps = np.full(loss.shape, 1e-3)
    assert classify(loss, np.ones(loss.shape), steps, random_loss=2.3).name == UNDECIDED
    assert classify(loss, np.ones(loss.shape), 100 * steps, random_loss=2.3).name == DIVERGENCE


def test_a_slow_drift_is_undecided():
    loss = np.linspace(2.3, 2.0, 400)[None] * noise(6, (8, 400), 1e-3)
    assert classify(loss, np.ones(loss.shape), np.full(loss.shape, 0.5), random_loss=2.3).name == UNDECIDED


def test_short_runs_are_undecided_and_what_is_not_finite_has_diverged():
    assert classify(*fall(np.exp(-T[:10]))).name == UNDECIDED
    loss = np.ones(100)
    loss[50] = np.nan
    assert classify(loss, np.ones(100), np.ones(100)).name == DIVERGENCE


def test_confidence_falls_with_noise_and_with_dissent():
    """Half of the paths converge: the verdict counts by its share."""
    both = np.concatenate([np.exp(-0.05 * T)[None].repeat(6, 0), np.ones((2, T.size))])
    assert classify(*fall(both)).confidence <= 0.75
    rng = np.random.default_rng(7)
    for size in (0.3, 3.0):
        found = classify(*fall(np.exp(size * rng.standard_normal((4, 200)))), random_loss=1e3)
        assert found.name in (EQUILIBRIUM, UNDECIDED)


def test_iterations_may_be_uneven_and_must_increase():
    uneven = np.unique(np.geomspace(1, 2000, 300).astype(int))
    found = classify(*fall(np.exp(-0.01 * uneven)), iterations=uneven)
    assert found.name == CONVERGENCE
    with pytest.raises(BadInput, match="iterations"):
        classify(*fall(np.ones(100)), iterations=np.zeros(100))
    with pytest.raises(BadInput, match="shape"):
        classify(np.ones(100), np.ones(50), np.ones(100))


def test_scale_of_loss_and_gradient_does_not_matter():
    loss = noise(8, (8, 500), 0.05)
    for scale in (1e-6, 1.0, 1e6):
        found = classify(scale * loss, 3 * scale * loss, np.full(loss.shape, 0.5), random_loss=2 * scale)
        assert found.name == EQUILIBRIUM


def test_a_random_walk_without_any_gradient_has_not_converged():
    nothing = np.zeros((4, 200))
    assert classify(nothing, nothing, nothing + 0.5, random_loss=0.0).name == DIVERGENCE
    assert classify(nothing, nothing, nothing + 0.5).name == UNDECIDED


def counted(make, runs=60, **given):
    """How often each verdict falls with a confidence above 0.9."""
    found = [classify(*make(np.random.default_rng(seed)), **given) for seed in range(runs)]
    sure = [one.name for one in found if one.confidence > 0.9]
    return {name: sure.count(name) for name in set(sure)}


@pytest.mark.parametrize("paths", [1, 4, 16])
def test_random_walks_are_not_told_with_confidence(paths):
    """Neither a loss nor a gradient norm that walks at random is a regime; independent noise of the same size is."""
    shape = (paths, 1000)
    steady = np.ones(shape)

    def walk(rng):
        return np.cumsum(rng.standard_normal(shape), axis=1)

    def loss_walks(rng):
        return 2 + 0.02 * walk(rng), np.exp(0.1 * rng.standard_normal(shape)), 0.5 * steady

    def norm_walks(rng):
        return 0.5 * steady, np.exp(0.1 * walk(rng)), 0.5 * steady

    def noise_alone(rng):
        return 2 + 0.3 * rng.standard_normal(shape), np.exp(0.1 * rng.standard_normal(shape)), 0.5 * steady

    # measured: 0 and 1.3 % of 300 single paths, 0 and 1 % of 300 of four; 6.5 % of losses without the share of blocks
    assert sum(counted(loss_walks, random_loss=2.3, lowest_loss=0.0).values()) <= 1
    assert sum(counted(norm_walks, random_loss=2.3, lowest_loss=0.0).values()) <= 3
    assert counted(noise_alone, random_loss=2.5, lowest_loss=0.0)[EQUILIBRIUM] >= 55


def test_without_the_level_of_random_directions_a_steady_series_is_undecided():
    def steady(rng):
        return 1 + 0.1 * rng.standard_normal((4, 500)), noise(9, (4, 500)), np.full((4, 500), 0.5)

    assert sum(counted(steady).values()) <= 2
    loss = np.random.default_rng(0).normal(1, 0.1, (4, 500))
    loss[:, :3] = 2.3
    assert classify(loss, noise(9, (4, 500)), np.full((4, 500), 0.5)).name == EQUILIBRIUM


def test_what_has_fallen_to_rounding():
    """In single precision it may be an equilibrium; before the first sample only the loss says how high it was."""
    norm = np.maximum(np.exp(-0.1 * T), 1e-7) * noise(3)
    assert classify(1e-13 + norm**2, norm, 0.1 * norm, random_loss=1.0, lowest_loss=0.0).name == UNDECIDED
    rest = 4e-15 * noise(4)
    loss = np.full(T.size, -4.15)
    found = classify(loss, rest, 0.1 * rest, random_loss=-2.4, lowest_loss=-4.15)
    assert found.name == CONVERGENCE
    assert found.confidence == 1.0
    assert classify(loss, 1e-3 * noise(4), np.full(T.size, 0.1), random_loss=-2.4).name == EQUILIBRIUM


def test_input_that_makes_no_sense_is_refused():
    fine = np.ones(100)
    cases: tuple[tuple[Any, dict[str, Any], str], ...] = (
        ((fine, -fine, fine), {}, "gradient_norm"),
        ((fine, fine, -fine), {}, "angle"),
        ((fine, fine, fine), {"random_loss": np.nan}, "random_loss"),
        ((fine, fine, fine), {"lowest_loss": np.inf}, "lowest_loss"),
        ((fine, fine, fine), {"random_loss": "a"}, "random_loss"),
        ((fine, fine, fine), {"iterations": "a"}, "iterations"),
        (([], [], []), {"random_loss": 2.3}, "loss"),
        (("a", fine, fine), {}, "loss"),
        ((fine, fine, fine), {"random_loss": 0.0, "lowest_loss": 1.0}, "lowest_loss"),
    )
    for series, given, word in cases:
        with pytest.raises(BadInput, match=word):
            classify(*series, **given)


def test_a_loss_above_that_of_random_directions_is_told_as_such():
    found = classify(6.9 * noise(1), noise(2), np.full(T.size, 0.5), random_loss=2.3, lowest_loss=0.0)
    assert found.name == DIVERGENCE
    assert "at or above the level of random directions, 2.3" in found.why


def test_one_lost_path_of_many_is_no_divergence():
    loss = np.ones((4, 100))
    loss[0, 50] = np.inf
    assert classify(loss, np.ones((4, 100)), np.ones((4, 100)), random_loss=2.0).name == UNDECIDED
