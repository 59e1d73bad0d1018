"""Axes of a sweep: points, spacing, the tuning factor, what contradicts itself."""

from __future__ import annotations

import numpy as np
import pytest
import sweep_functions
from sweep_functions import BASE

from sde_si import BadInput, HyperParameters
from sde_si.sweep import Sweep
from sde_si.sweep.axes import SOLVABLE, solve_tuning_factor

functions = sweep_functions.functions

AXES = [
    ({"grid": {"a": [1, 2], "b": [3, 4, 5]}}, {"a": 2, "b": 3}),
    ({"zipped": {"a": [1, 2], "b": [3, 4]}}, {"a_b": 2}),
    ({"runs": [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "seeds": 3}, {"run": 2, "seed": 3}),
    ({"grid": {"b": {"range": [4]}}, "base": {"a": 1}}, {"b": 4}),
    ({"base": {"a": 1, "b": 2}}, {}),
]


@pytest.mark.parametrize(("what", "dims"), AXES)
def test_points_are_the_product_of_the_axes(functions, what, dims):
    study = Sweep(function=f"{functions}:product", **what)
    jobs = list(study.jobs())
    assert study.dims == dims
    assert len(jobs) == len(study) == np.prod(list(dims.values()), dtype=int)
    assert len({job.name for job in jobs}) == len(jobs)


def test_spaced_axes_have_their_ends_exactly():
    study = Sweep(base=BASE, grid={"lr": {"log": [0.01, 1, 5]}, "wd": {"linear": [1e-3, 5e-3, 3]}})
    lr, wd = ([v for (v,) in axis.values] for axis in study.axes)
    assert (lr[0], lr[-1]) == (0.01, 1)
    assert np.allclose(np.diff(np.log(lr)), np.log(100) / 4)
    assert np.allclose(wd, [1e-3, 3e-3, 5e-3])


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("target", SOLVABLE)
def test_the_tuning_factor_fixes_one_of_the_others(target, decoupled):
    hp = HyperParameters(N=5120, B=64, lr=0.2, wd=3e-3, momentum=0.8)
    factor = hp.decoupled_tuning_factor if decoupled else hp.tuning_factor
    others = {name: getattr(hp, name) for name in SOLVABLE if name != target}
    if decoupled and target == "momentum":
        with pytest.raises(BadInput, match="decoupled"):
            solve_tuning_factor({**others, "tuning_factor": factor}, target, decoupled=True)
        return
    solved = solve_tuning_factor({**others, "tuning_factor": factor}, target, decoupled=decoupled)
    assert solved[target] == pytest.approx(getattr(hp, target), rel=1e-12)
    assert "tuning_factor" not in solved


BAD = [
    ({"grid": {"lr": []}}, "at least one value"),
    ({"grid": {"lr": 0.1}}, "a list of values"),
    ({"grid": {"lr": [0.1, 0.1]}}, "each value once"),
    ({"grid": {"lr": {"log": [0, 1, 3]}}}, "positive ends"),
    ({"grid": {"lr": {"cubic": [0, 1, 3]}}}, "linear, log, range"),
    ({"zipped": {"lr": [0.1], "wd": [1e-3, 2e-3]}}, "one length"),
    ({"grid": {"seed": [1]}, "seeds": 2}, "on two"),
    ({"grid": {"lr": [0.1]}, "base": {"lr": 0.2}}, "in both"),
    ({"runs": [{"lr": 0.1}, {"wd": 1e-3}]}, "same settings"),
    ({"seeds": -1}, "whole number >= 1"),
    ({"seeds": 0}, "whole number >= 1"),
    ({"kind": "dream"}, "one of"),
    ({"kind": "call"}, "function"),
    ({"function": len, "command": "ls"}, "both"),
    ({"solve_for": "wd"}, "tuning_factor"),
    ({"grid": {"lr": [object()]}}, "number, text"),
]


@pytest.mark.parametrize(("what", "message"), BAD)
def test_contradictory_sweeps_are_refused(what, message):
    with pytest.raises(BadInput, match=message):
        Sweep(**what).dims  # noqa: B018


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"grid": {"learning_rate": [0.1]}}, "settings of a simulation"),
        ({"grid": {"tuning_factor": [0.1]}}, "what tuning_factor fixes"),
        ({"grid": {"method": ["sgd", "nosuch"]}}, "method"),
        ({"base": {"epochs": "auto"}}, "a number of epochs"),
        ({"base": {"B": 1000}, "grid": {"N": [2000, 500]}}, "batch of at most"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(what, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        Sweep(**what, out=tmp_path / "out").run(quiet=True)
    assert not (tmp_path / "out").exists()
