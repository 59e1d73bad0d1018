"""A worker is warm before the clock of its first run starts."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

# What a worker does, in a process that has done nothing else: what is still missing when the clock starts is printed.
SCRIPT = """
import sys
from sde_si.sweep import Sweep, worker
from sde_si.record import save

def value(seed):
    return float(seed)

if __name__ == "__main__":
    [job] = Sweep(**WHAT).jobs()
    worker._warm()
    job.ready()
    before = set(sys.modules)
    save(job.make(), sys.argv[1])
    print(sorted(set(sys.modules) - before))
"""
SIMULATION = {"base": {"N": 640, "B": 64, "dim": 6, "paths": 3, "epochs": 2}}
SPHERE = {"kind": "sphere", "base": {"alphas": [1.0, 2.0], "starts": 4, "iterations": 200, "effective_lr": 0.2}}


@pytest.mark.parametrize("what", ["dict(function=value, seeds=1)", repr(SIMULATION), repr(SPHERE)])
def test_nothing_is_imported_on_the_time_of_a_run(what, tmp_path):
    (tmp_path / "study.py").write_text(SCRIPT.replace("WHAT", what))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "study.py"), str(tmp_path / "x.nc")], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_simulation_compiles_before_its_time_is_counted():
    from sde_si.sweep import Sweep
    from sde_si.sweep.kinds import simulations

    [job] = Sweep(**SIMULATION).jobs()
    simulations._warmed.clear()
    calls = []
    with pytest.MonkeyPatch.context() as patch:
        cost = import_module("sde_si.simulate.cost")  # by its name: sde_si.simulate is a function, too
        patch.setattr(cost, "estimate", lambda run, _: calls.append(run.method.name))
        job.ready()
        job.ready()
    simulations._warmed.clear()
    assert calls == ["sgd"], "once in the worker's life"


def test_a_short_limit_stands_a_cold_start(tmp_path):
    from sde_si.sweep import Sweep

    (tmp_path / "nap.py").write_text("import time\ndef nap(seed):\n    time.sleep(0.05)\n    return float(seed)\n")
    study = Sweep(function=f"{tmp_path}/nap.py:nap", seeds=8, out=tmp_path / "o")
    summary = study.run(executor="local:2", timeout=0.9, quiet=True)
    assert summary.done == 8, summary.reasons
