"""What the kernel draws: increments to the bit, and paths of many weights in parts."""

from __future__ import annotations

import sys
from unittest.mock import patch

import numpy as np
import pytest
from kernel_runs import HP
from kernel_runs import end as _end

from sde_si import METHODS, NOISES, HyperParameters, Problem, streams
from sde_si.engine import Engine
from sde_si.resolve import resolve
from sde_si.segments import SEGMENT, draw, segments
from sde_si.simulate import simulate
from sde_si.streams import NOISE, PART, generator, words
from sde_si.testing import oracle


@pytest.mark.parametrize("method", ["sgd", "em", "splitting", "adam", "adamw", "lion"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_path_of_many_weights_in_parts(method, momentum):
    """More than 65,536 weights: parts with generators of their own, the same for any number of threads."""
    dim = PART + 1000
    hp = HyperParameters(N=12, B=4, lr=0.2, wd=0.05, momentum=momentum, epochs=2)
    run = resolve(Problem("vmf", dim=dim), hp, method=method, paths=2, init_norm=1.3)
    one, results = _end(run, threads=1)
    three, again = _end(run, threads=3)
    assert np.array_equal(one, three)
    assert np.array_equal(results["angle_step"], again["angle_step"])
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), results["weight_norm"][:, -1, 0], rtol=1e-12)
    # and as plain NumPy runs it, given the same numbers
    source = sys.modules["sde_si.testing.oracle"]
    real = source.generator

    def joined(seed, stream, *key):
        return (
            _Joined(real(seed, stream, *key, 0), real(seed, stream, *key, 1))
            if stream == NOISE
            else real(seed, stream, *key)
        )

    with patch.object(source, "generator", joined):
        expected = oracle(run)[0][-1]
    np.testing.assert_allclose(one, expected, rtol=1e-8, atol=1e-10)


class _Joined:
    """The generators of the two parts of a path, as one."""

    def __init__(self, *generators):
        self.generators = generators

    def standard_normal(self, shape):
        first, second = self.generators
        return np.concatenate([first.standard_normal(PART), second.standard_normal(shape[1] - PART)])[None]


@pytest.mark.parametrize(
    ("name", "momentum"), [(n, m) for n, method in METHODS.items() for m in (0.0, 0.9) if method.scheme(m > 0)]
)
def test_a_long_path_has_the_drift_of_a_short_one(name, momentum, monkeypatch):
    """Without noise, both time loops: every draw that contains the mean gradient has it (svag has two)."""
    hp = HyperParameters(N=40, B=4, lr=0.3, wd=0.05, momentum=momentum, epochs=3)
    problem = Problem("vmf", dim=24, noise_scale=0.0)
    short = simulate(problem, hp, method=name, paths=1, init_norm=1.0)
    monkeypatch.setattr(streams, "PART", 8)
    long = simulate(problem, hp, method=name, paths=1, init_norm=1.0)
    for variable in ("angle_epoch", "weight_norm", "angle_step"):
        np.testing.assert_allclose(long[variable].values, short[variable].values, rtol=1e-9)


def test_increments_are_numpys_own_numbers_to_the_bit():
    """A million normals, the tails beyond 3.65 among them, and the state after them; signs are the bits of words."""
    rng = generator(7, NOISE, 3)
    state, xi = words(rng), np.empty((1, 1_000_000))
    NOISES["gaussian"].fill(state, xi)
    expected = rng.standard_normal(xi.size)
    assert np.abs(expected).max() > 4
    assert np.array_equal(xi[0], expected)
    assert np.array_equal(state, words(rng))
    signs = np.empty((2, 60))
    NOISES["rademacher"].fill(state, signs)
    drawn = rng.bit_generator.random_raw(4).astype(np.int64) >> 12
    bits = (drawn.reshape(2, 2, 1) >> np.arange(52)) & 1
    assert np.array_equal(signs, 1.0 - 2.0 * bits.reshape(2, 104)[:, :60])
    assert np.array_equal(state, words(rng))


@pytest.mark.parametrize("name", [name for name, noise in NOISES.items() if noise.fill])
def test_a_filler_is_a_function_of_its_words(name):
    """The same words give the same numbers, other words others; mean 0 and variance 1; a single number works."""
    fill, found = NOISES[name].fill, []
    for seed in (1, 1, 2):
        state, xi = words(generator(seed, NOISE)), np.empty((1, 200_000))
        before = state.copy()
        fill(state, np.empty((1, 1)))
        fill(state, xi)
        assert not np.array_equal(before[:2], state[:2])
        assert np.array_equal(before[2:], state[2:])
        found.append(xi)
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert abs(found[0].mean()) < 5 / np.sqrt(200_000)
    assert abs(found[0].var() - 1) < 5 * np.sqrt(2 / 200_000)


@pytest.mark.parametrize("name", ["gaussian", "rademacher"])
def test_a_coarse_run_of_a_long_path_sums_what_the_finer_one_draws(name):
    """Segment by segment, with borders of groups inside a part, and several parts."""
    dim, fine = PART + 3000, 4
    engine = Engine(resolve(Problem("isotropic", dim=dim), HP, paths=1, noise=name, init_norm=1.0))
    table = segments(np.array([0, 700, 5000, dim]), dim)
    starts = np.searchsorted(table[:, 0], [0, PART, dim])
    bounds = np.stack([starts[:-1], starts[1:]], axis=1).astype(np.int64)
    x, room, out = np.ones((1, dim)), np.empty(SEGMENT), np.empty((1, len(table)))

    def drawn(state, count):
        xi = np.empty((1, 1, dim))
        draw(x, xi, engine.functions, count, state, bounds, table, room, out)
        return xi

    def fresh():
        return np.stack([words(generator(5, NOISE, i)) for i in (0, 1)])

    state = fresh()
    total = sum(drawn(state, 1) for _ in range(fine))
    again = fresh()
    np.testing.assert_allclose(drawn(again, fine), total / np.sqrt(fine), rtol=1e-14, atol=1e-14)
    assert np.array_equal(state, again)
    sums = [total[0, 0, low:high].sum() / np.sqrt(fine) for low, high, _ in table]
    np.testing.assert_allclose(out[0], sums, rtol=1e-9, atol=1e-9)
