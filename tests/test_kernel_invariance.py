"""What the numbers of the kernel must not depend on."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from kernel_runs import HP
from kernel_runs import end as _end

from sde_si import HyperParameters, Problem
from sde_si.engine import Engine
from sde_si.resolve import resolve
from sde_si.simulate import simulate


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
    """To rounding: where product and sum are fused is the choice of the compiler in each loop, for each processor."""
    run = resolve(Problem("vmf", dim=6), HP, paths=5, init_norm=1.0)
    watched, _ = _end(run)
    engine = Engine(run)
    engine.watched = False
    blocks = engine.blocks()
    engine.advance(blocks, 4)
    np.testing.assert_allclose(blocks[0].x, watched, rtol=1e-12)


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
