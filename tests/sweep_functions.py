"""Functions that a sweep calls, and how its runs stand, for tests of sweeps."""

from __future__ import annotations

import pytest

BASE = {"N": 640, "B": 64, "dim": 6, "paths": 9, "epochs": 3}

FUNCTIONS = '''
import os, signal, time
import numpy as np
import xarray as xr
from sde_si.sweep import Diverged

def product(a, b):
    return {"product": a * b, "curve": np.arange(b) * a}

def record(a, seed):
    values = np.random.default_rng(seed).standard_normal((a, 2))
    return xr.Dataset({"x": (("path", "epoch"), values)}, {"epoch": [1, 2]})

def treacherous(how, marks):
    """Fails in the way asked for; the first attempts leave marks."""
    mark = os.path.join(marks, how)
    with open(mark, "a") as file:
        file.write(".")
    attempt = os.path.getsize(mark)
    if how == "raise":
        raise ValueError("no such thing")
    if how == "raise once" and attempt == 1:
        raise ValueError("not yet")
    if how == "diverge":
        raise Diverged("at step 3")
    if how == "hang":
        time.sleep(600)
    if how == "die" or (how == "die once" and attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(5)
    if how == "no record":
        return "text"
    return {"attempt": 1.0}
'''


@pytest.fixture
def functions(tmp_path):
    file = tmp_path / "functions.py"
    file.write_text(FUNCTIONS)
    return str(file)


def statuses(study):
    return {name: len(jobs) for name, jobs in study.status().items() if jobs}
