"""Compiled code on disk is that of the function that asks for it, whoever else compiles at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sde_si import HyperParameters, Problem, kernel, simulate
from sde_si.angles import angles
from sde_si.compiled import CodeFiles
from sde_si.jit import dispatcher
from sde_si.losses import LOSSES
from sde_si.rows import _moments2, _moments3, make_tangential

CHILD = """
from tests.test_compiled import numbers
print(numbers())
"""


def numbers():
    """Of the specialised dimensions, and of one that is not."""
    hp = HyperParameters(N=320, B=32, lr=0.1, wd=1e-2, epochs=2)
    found = [simulate(Problem("isotropic", dim=d), hp, paths=3, seed=1, init_norm=1.0) for d in (2, 3, 4, 5)]
    return [float(one["angle_epoch"].sum()).hex() for one in found]


def test_two_that_know_nothing_of_each_other_do_not_share_a_file(tmp_path, monkeypatch):
    # What numba's own files make of it: each sees no index and takes number 1.
    monkeypatch.setattr(CodeFiles, "_load_index", lambda _: {})
    one, other = (CodeFiles(str(tmp_path), "rows.moments-76.py311", (1.5, 10)) for _ in range(2))
    assert one.load(("sig", "width 2")) is None
    one.save(("sig", "width 2"), "code of 2")
    other.save(("sig", "width 3"), "code of 3")
    for files in (one, other):
        assert files.load(("sig", "width 2")) == "code of 2"
        assert files.load(("sig", "width 3")) == "code of 3"


def test_an_older_version_is_neither_read_nor_kept(tmp_path):
    old, new = (CodeFiles(str(tmp_path), "rows.moments-76.py311", stamp) for stamp in ((1.5, 10), (2.5, 10)))
    neighbour = CodeFiles(str(tmp_path), "rows.moments-7.py311", (1.5, 10))
    old.save("key", "old")
    neighbour.save("key", "beside")
    assert new.load("key") is None
    new.save("key", "new")
    assert old.load("key") is None
    assert (new.load("key"), neighbour.load("key")) == ("new", "beside")


@pytest.mark.parametrize(
    "function", [kernel.kernel, angles, make_tangential, _moments2, _moments3, dispatcher(LOSSES["vmf"].gradient)]
)
def test_all_that_is_kept_is_kept_in_such_files(function):
    assert isinstance(function._cache._cache_file, CodeFiles)


def test_specialisations_have_files_of_their_own(tmp_path):
    found = [function._cache._cache_file for function in (_moments2, _moments3)]
    assert found[0]._stamped == found[1]._stamped  # one function's file and line
    row, norms = np.ones(12), np.ones((3, 4, 1))
    for function in (_moments2, _moments3):  # compiled, or read from the disk: inside the kernel they may not be
        function(row, row, np.array([0, 3]), norms)
    keys = [f._cache._index_key(f.signatures[0], f.targetctx.codegen()) for f in (_moments2, _moments3)]
    assert found[0]._file(keys[0]) != found[1]._file(keys[1])


@pytest.mark.slow
def test_processes_that_begin_together_compile_the_same(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", CHILD]
    root = Path(__file__).parents[1]
    running = [
        subprocess.Popen(command, env=environment, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    said = [one.communicate()[0].strip() for one in running]
    assert said == [str(numbers())] * 3
    assert np.isfinite([float.fromhex(one) for one in numbers()]).all()


FACTORY = """
from sde_si.compiled import njit
from sde_si.jit import OPTIONS

EXACT = OPTIONS | {"fastmath": False}  # a set of flags is part of the name, in the order of this process

def make(k):
    @njit(**EXACT)
    def times(x):
        return k * x
    return times

two, three = make(2), make(3)

@njit(**EXACT)
def one(x):
    return two(x)

@njit(**EXACT)
def both(x):
    return 10 * two(x) + three(x)
"""


def test_code_from_the_disk_is_not_taken_for_that_of_its_sister(tmp_path):
    # In the first process `two` is the second function to be compiled, as `three` is in the next one.
    (tmp_path / "factory.py").write_text(FACTORY)
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    said = [
        subprocess.run(
            [sys.executable, "-c", f"from factory import *; print({calls})"],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout.strip()
        for calls in ("one(1)", "both(1)")
    ]  # fmt: skip
    assert said == ["2", "23"]
