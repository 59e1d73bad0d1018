"""The kernel against plain NumPy, and what its numbers must not depend on."""

from __future__ import annotations

import itertools
import sys
import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest

from sde_si import LOSSES, METHODS, NOISES, BadInput, HyperParameters, Problem, streams
from sde_si.engine import Engine
from sde_si.resolve import resolve
from sde_si.segments import SEGMENT, draw, segments
from sde_si.simulate import simulate
from sde_si.streams import NOISE, PART, block_size, generator, words
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


def _end(run, **options):
    engine = Engine(run, **options)
    blocks = engine.blocks()
    results = engine.advance(blocks, run.hyperparameters.epochs)
    return np.concatenate([block.x for block in blocks]), results


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


HP = HyperParameters(N=60, B=4, lr=0.2, wd=0.02, momentum=0.9, epochs=4)


@pytest.mark.parametrize(
    ("dim", "loss", "momentum"), [(3, "vmf", 0.0), (7, "isotropic", 0.9), (300, "vmf", 0.9), (5, "pca", 0.9)]
)
@pytest.mark.parametrize("method", ["sgd", "em"])
def test_the_first_paths_do_not_depend_on_how_many_there_are(dim, loss, momentum, method):
    hp = HP.replace(momentum=momentum)
    few, many = (simulate(Problem(loss, dim=dim), hp, method=method, paths=paths, init_norm=2.0) for paths in (40, 100))
    for name in ("angle_epoch", "weight_norm", "angle_step", "loss"):
        assert np.array_equal(few[name].values, many[name].values[:40])


@pytest.mark.parametrize("dim", [3, 400])
def test_the_numbers_do_not_depend_on_threads(dim):
    one, four = (simulate(Problem("vmf", dim=dim), HP, paths=9, threads=threads, init_norm=1.0) for threads in (1, 4))
    for name in ("angle_epoch", "weight_norm", "angle_step", "loss"):
        assert np.array_equal(one[name].values, four[name].values)


def test_what_is_saved_does_not_change_the_numbers():
    plain = simulate(Problem("isotropic", dim=6), HP, paths=5)
    watched = simulate(
        Problem("isotropic", dim=6), HP, paths=5, lags=(1, 2, 7, 20, 33), observe={"first": lambda x: x[:, 0]}
    )
    for name in ("angle_epoch", "weight_norm", "angle_step"):
        assert np.array_equal(plain[name].values, watched[name].values)


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


def test_a_diverging_path_is_named_and_frozen_and_the_others_go_on():
    """Weights that overflow in one path: NaN from the end of that epoch on, the neighbours untouched."""
    run = resolve(Problem("isotropic", dim=4), HP, paths=5, init_norm=1.0)
    engine = Engine(run)
    block = engine.blocks()[0]
    block.x[2] = 1e200
    results = engine.advance([block], 4)
    assert results["fault"][:, 0].tolist() == [-1, -1, 0, -1, -1]
    assert results["fault"][2, 1] == 1
    assert np.isnan(results["weight_norm"][2]).all()
    alive = [0, 1, 3, 4]
    clean = simulate(Problem("isotropic", dim=4), HP, paths=5, init_norm=1.0)
    assert np.array_equal(results["weight_norm"][alive], clean["weight_norm"].values[alive])


def test_unwatched_paths_are_the_same_paths():
    run = resolve(Problem("vmf", dim=6), HP, paths=5, init_norm=1.0)
    watched, _ = _end(run)
    engine = Engine(run)
    engine.watched = False
    blocks = engine.blocks()
    engine.advance(blocks, 4)
    assert np.array_equal(watched, blocks[0].x)


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


@pytest.mark.parametrize("method", ["sgd", "em", "splitting"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dim", [2, 3, 4, 5, 9, 300])
def test_lags_and_the_number_of_paths_change_nothing(method, momentum, dim):
    """To the bit: a lag cuts the loop into pieces, few paths lie near each other in memory."""
    hp = HyperParameters(N=640, B=64, lr=0.1, wd=5e-3, momentum=momentum, epochs=2)
    run = resolve(Problem("isotropic", dim=dim), hp, method=method, paths=40, noise="rademacher", init_norm=1.0)
    everything, results = _end(run)
    cut, lagged = _end(run.replace(lags=(1, 3, 7)))
    assert np.array_equal(everything, cut)
    for name in ("angle_epoch", "angle_step", "weight_norm"):
        assert np.array_equal(results[name], lagged[name])
    for paths in (1, 2, 3, 7):
        few, _ = _end(run.replace(paths=paths))
        assert np.array_equal(few, everything[:paths])


@pytest.mark.parametrize(("problem", "dim"), [("pca", 7), ("pca", 20), ("regression", 5), ("vmf", 5), ("groups", None)])
def test_the_numbers_do_not_depend_on_where_memory_lies(problem, dim):
    hp = HyperParameters(N=640, B=64, lr=0.1, wd=5e-3, momentum=0.0, epochs=1)
    noise = "gaussian" if problem in ("pca", "regression") else None
    run = resolve(Problem(problem, dim=dim), hp, method="em", paths=3, noise=noise, init_norm=1.0)
    kept, ends = [], set()
    for i in range(25):
        kept.append([np.empty(1 + 3 * i) for _ in range(i)])  # moves what comes next
        ends.add(_end(run)[0].tobytes())
    assert len(ends) == 1


def test_memory_is_flat_in_the_steps_of_an_epoch():
    hp = HyperParameters(N=400_000, B=1, lr=1e-3, wd=1e-3, momentum=0.0, epochs=2)
    engine = Engine(resolve(Problem("isotropic", dim=2), hp, method="sgd", paths=1, init_norm=1.0), threads=1)
    tracemalloc.start()
    engine.advance(engine.blocks(), 2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60e6, "two epochs of 64 bytes a step alone would be as much"
