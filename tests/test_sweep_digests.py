"""Digests of a sweep: which runs are the same run."""

from __future__ import annotations

import numpy as np
import pytest
import sweep_functions
from sweep_functions import BASE, FUNCTIONS

from sde_si import BadInput, HyperParameters, Problem, simulate
from sde_si.record import load
from sde_si.sweep import Sweep

functions = sweep_functions.functions


def test_a_simulation_has_the_file_that_the_simulator_gives_it(tmp_path, capsys):
    from sde_si.simulate.cli import main as simulate_main

    study = Sweep(base=BASE | {"wd": 5e-3}, grid={"method": ["sgd", "em"]}, seeds=1, out=tmp_path)
    flags = [word for name, value in BASE.items() for word in (f"--{name}", str(value))]
    flags += ["--wd", "5e-3", "--method", "sgd", "--out", str(tmp_path), "--no-figure", "--quiet"]
    assert simulate_main(flags) == 0
    assert study.run(executor="local:1", quiet=True).reused == 1
    record = load(tmp_path / next(study.jobs()).name)
    same = simulate(Problem("isotropic", dim=6), HyperParameters(N=640, B=64, epochs=3, wd=5e-3), paths=9, method="sgd")
    assert np.array_equal(record["cos_epoch"], same["cos_epoch"])


@pytest.mark.parametrize("loss", ["isotropic", "regression", "vmf"])
def test_each_seed_has_the_name_that_it_has_alone(loss):
    from sde_si.sweep.kinds import simulations

    together = [job.name for job in Sweep(base=BASE | {"loss": loss}, grid={"lr": [0.1, 0.2]}, seeds=3).jobs()]
    alone = []
    for lr in (0.1, 0.2):
        for seed in range(3):
            simulations._lengths.clear()
            alone.append(next(Sweep(base=BASE | {"loss": loss, "lr": lr, "seed": seed}).jobs()).name)
    assert together == alone


def test_whole_and_real_numbers_are_the_same_setting():
    [one], [other] = (list(Sweep(base=BASE | {"lr": lr}).jobs()) for lr in (1, 1.0))
    assert one.digest == other.digest


def test_a_function_that_changes_is_another_run(functions):
    from pathlib import Path

    from sde_si.run import file_digest

    study = Sweep(function=f"{functions}:product", base={"a": 1, "b": 2})
    [before] = study.jobs()
    Path(functions).write_text(FUNCTIONS + "\n# more\n")
    file_digest.cache_clear()
    [after] = study.jobs()
    assert before.name != after.name


def test_functions_whose_variables_no_digest_sees_are_refused():
    hidden = 3
    with pytest.raises(BadInput, match="captures no variables"):
        list(Sweep(function=lambda a: a * hidden, grid={"a": [1]}).jobs())
