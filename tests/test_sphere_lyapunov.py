"""Lyapunov exponents on the sphere: chaos told from a slow approach."""

from __future__ import annotations

import numpy as np
import pytest

from sde_si.sphere.lyapunov import BLOCKS, lyapunov, tell


def test_one_pair_is_periodic_however_weakly_its_orbit_attracts():
    found = lyapunov(np.ones(1), 100.0, starts=4, approach=20_000, iterations=5000)
    assert -1e-3 < found.exponents[0] < 0
    assert set(found.kinds) == {"periodic"}


def test_where_chaos_sets_in():
    """Three pairs: neutral modes at the joint orbit, chaos above (theory.md 5.4); two zeros for each neutral pair."""
    alphas = np.array([1.0, 2.0, 4.0])
    calm, wild = (lyapunov(alphas, a / 7, starts=6, approach=30_000, iterations=10_000) for a in (1.5, 3.0))
    assert set(calm.kinds) == {"neutral"}
    np.testing.assert_allclose(calm.exponents[:4], 0, atol=1e-3)
    assert calm.exponents[4] == pytest.approx(np.log(1 - 2 / 1.5**2), rel=1e-2)
    assert set(wild.kinds) == {"chaotic"}
    assert wild.exponents[0] > 0.3
    assert wild.exponents[0] > 20 * wild.stderr[0]


@pytest.mark.parametrize(
    ("alphas", "a", "steps", "kind", "exponent"),
    [((1, 2, 4), 2.0, 10_000, "chaotic", 0.353), ((1, 1, 1), 1.5, 10_000, "chaotic", 0.0387),
     ((1, 1), 3.0, 50_000, "chaotic", 0.343), ((1,), 10.0, 10_000, "periodic", -0.0202),
     ((1, 2, 4), 1.001, 10_000, "neutral", 0.0), ((1, 2, 4), 1.015, 10_000, "neutral", 0.0),
     ((1, 1000), 1.001, 1000, "undecided", None)],
)  # fmt: skip
def test_a_slow_approach_is_not_chaos(alphas, a, steps, kind, exponent):
    """Both signs, and exponents that are positive only because zero is approached from above."""
    alphas = np.array(alphas, dtype=float)
    found = lyapunov(alphas, a / alphas.sum(), approach=steps, iterations=steps)
    assert set(found.kinds) == {kind}
    if exponent is not None:
        assert found.largest[kind][1] == pytest.approx(exponent, rel=0.02, abs=3e-4)
    assert all(bool(why) == (kind == "undecided") for why in found.why)


def test_nothing_is_chaotic_just_above_the_threshold():
    found = lyapunov(np.array([1.0, 2.0, 4.0]), 0.1429, approach=10_000, iterations=10_000)
    assert found.exponents[0] > 3 * found.stderr[0]  # as positive as it looks
    assert set(found.kinds) == {"neutral", "undecided"}


@pytest.mark.parametrize("power", [1, 3, 5])
def test_growth_by_a_power_of_time_is_never_chaotic(power):
    """Three pairs: the largest power that their tangent vectors can grow by, from any time on."""
    for begin in (1, 100, 10_000):
        times = begin + np.linspace(0, 10_000, BLOCKS + 1)
        blocks = power * np.diff(np.log(times)) / (10_000 / BLOCKS)
        assert tell(blocks, 3, begin + 10_000, 10_000)[0] != "chaotic"


def test_growth_that_begins_ends_or_falls_is_undecided():
    wild, calm = np.full(BLOCKS // 2, 0.3), np.zeros(BLOCKS // 2)
    noise = np.random.default_rng(0).normal(0, 0.01, BLOCKS)
    assert tell(np.append(wild, wild) + noise, 3, 20_000, 10_000) == ("chaotic", "")
    assert tell(np.append(-wild, -wild) + noise, 3, 20_000, 10_000) == ("periodic", "")
    for blocks in (np.append(wild, calm), np.append(calm, wild), np.append(wild, wild / 2) + noise):
        kind, why = tell(blocks, 3, 20_000, 10_000)
        assert kind == "undecided"
        assert why
