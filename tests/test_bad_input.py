"""One table of wrong inputs: exit code, one clear message, nothing on stdout, nothing left behind."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sde_si import BadInput, HyperParameters, Problem
from sde_si.simulate import simulate
from sde_si.simulate.cli import main
from sde_si.simulate.options import LOSS_FLAGS, OUTPUT_FLAGS, RUN_FLAGS

NUMBERS = {
    "--N": ("nan", "inf", "0", "-1", "x", "1.5"),
    "--B": ("nan", "inf", "0", "-1", "x", "1.5", "60000"),
    "--lr": ("nan", "inf", "0", "-1", "x"),
    "--wd": ("nan", "inf", "-1", "x", "10", "11"),
    "--momentum": ("nan", "inf", "-0.1", "1", "2", "x"),
    "--beta2": ("nan", "inf", "-0.1", "1", "x"),
    "--eps": ("nan", "inf", "-1", "x"),
    "--epochs": ("nan", "0", "-1", "x", "1.5", "1000000000000"),
    "--paths": ("nan", "0", "-1", "x", "1.5", "1000000000000"),
    "--dim": ("nan", "0", "1", "-1", "x", "1.5", "100000000000"),
    "--substeps": ("0", "-1", "x", "1.5"),
    "--seed": ("-1", "x", "1.5"),
    "--threads": ("0", "-1", "x"),
    "--init-norm": ("0", "-1", "nan", "inf", "x", "0eq", "-1eq", "xeq", "eq"),
    "--lags": ("0", "-1", "x", "1,x", "1.5", "99999999"),
    "--noise-from": ("x", "3", "0", "missing.nc"),
    "--target-error": ("x", "0", "-1%", "200%", "nan"),
    "--noise-scale": ("-1", "nan", "inf", "x"),
    "--loss": ("nothing", "missing.py:loss", "notes.txt:loss", "broken.py:loss", "empty.py:loss"),
    "--method": ("nothing", "sgd,nothing", "sgd,sgd", "svag", ""),
    "--noise": ("nothing", "difference"),
    "--sampling": ("nothing",),
    "--schedule": ("nothing", "step", "step:0", "cosine:a", "multi-step"),
    "--config": ("missing.toml", "broken.toml", "unknown.toml", "wrong.toml"),
}
COMBINATIONS = [
    ["--method", "splitting", "--loss", "pca"],
    ["--method", "svag", "--momentum", "0.9"],
    ["--sampling", "reshuffle", "--loss", "vmf"],
    ["--sampling", "reshuffle", "--method", "em"],
    ["--sampling", "reshuffle", "--noise", "rademacher"],
    ["--noise", "fixed-length", "--loss", "pca", "--method", "em"],
    ["--noise", "rademacher", "--loss", "pca", "--method", "em"],
    ["--noise", "gaussian", "--loss", "pca", "--method", "em", "--N", "100000"],
    ["--signal", "1"],
    ["--curvature", "1"],
    ["--loss", "bingham", "--curvature", "nan"],
    ["--loss", "bingham", "--curvature", "x"],
    ["--alphas", "1,2"],
    ["--alphas", "0,1", "--loss", "groups"],
    ["--alphas", "-1", "--loss", "groups"],
    ["--alphas", "x", "--loss", "groups"],
    ["--dim", "5", "--loss", "groups"],
    ["--data", "rows.npy"],
    ["--loss", "pca", "--data", "missing.npy"],
    ["--loss", "pca", "--data", "notes.txt"],
    ["--loss", "pca", "--data", "cube.npy"],
    ["--loss", "pca", "--data", "hole.npy"],
    ["--loss", "pca", "--data", "words.npy"],
    ["--loss", "pca", "--data", "column.npy"],
    ["--loss", "pca", "--data", "cut.npy"],
    ["--loss", "pca", "--data", "pickled.npy"],
    ["--loss", "pca", "--data", "rows.npy", "--N", "21"],
    ["--loss", "pca", "--data", "rows.npy", "--dim", "5"],
    ["--loss", "pca", "--data", "rows.npy", "--target", "target.npy"],
    ["--loss", "regression", "--data", "rows.npy"],
    ["--loss", "regression", "--target", "target.npy"],
    ["--loss", "regression", "--data", "rows.npy", "--target", "rows.npy"],
    ["--loss", "regression", "--data", "rows.npy", "--target", "short.npy"],
    ["--loss", "pca", "--spectrum", "-1"],
    ["--theory", "--dry-run"],
    ["--epochs", "auto", "--wd", "0"],
    ["--epochs", "auto", "--schedule", "cosine"],
    ["--epochs", "auto", "--save-states"],
    ["--check-step", "--method", "sgd"],
    ["--substeps", "4", "--method", "sgd"],
    ["--noise-from", "16", "--method", "splitting"],
    ["--substeps", "4", "--method", "adamw"],
    ["--beta2", "0.99", "--method", "sgd,em"],
    ["--eps", "1e-8", "--method", "lion"],
    ["--epochs", "auto", "--method", "adam", "--loss", "pca"],
    ["--N", "100000000000000000", "--B", "1"],
    ["--loss", "pca", "--N", "10000000000", "--B", "10000000", "--dim", "1000"],
    ["--out", ""],
    ["--unknown"],
    ["--N"],
    ["stray"],
]
CASES = [[flag, value] for flag, values in NUMBERS.items() for value in values] + COMBINATIONS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of malformed files."""
    path = tmp_path_factory.mktemp("bad")
    rows = np.arange(80.0).reshape(20, 4)
    np.save(path / "rows.npy", rows)
    np.save(path / "cube.npy", np.zeros((2, 2, 2)))
    np.save(path / "hole.npy", np.where(rows == 3, np.nan, rows))
    np.save(path / "words.npy", np.array([["a", "b"]]))
    np.save(path / "column.npy", rows[:, :1])
    np.save(path / "target.npy", rows[:, 0])
    np.save(path / "short.npy", rows[:5, 0])
    np.save(path / "pickled.npy", np.array([[{}, {}]], dtype=object))
    (path / "cut.npy").write_bytes((path / "rows.npy").read_bytes()[:200])
    (path / "notes.txt").write_text("hello\n")
    (path / "broken.py").write_text("def (\n")
    (path / "empty.py").write_text("x = 1\n")
    (path / "broken.toml").write_text("N = = 3\n")
    (path / "unknown.toml").write_text("n_samples = 3\n")
    (path / "wrong.toml").write_text('lr = "fast"\n')
    return path


@pytest.mark.parametrize("args", CASES, ids=" ".join)
def test_refused(args, folder, capfd, monkeypatch):
    monkeypatch.chdir(folder)
    before = sorted(folder.rglob("*"))
    try:
        code = main(["--out", "new", *args])
    except SystemExit as stop:
        code = stop.code
    printed = capfd.readouterr()
    assert code == 2
    assert printed.out == ""
    assert "Traceback" not in printed.err
    assert "Warning" not in printed.err
    assert printed.err.strip()
    if printed.err.startswith("error:"):
        assert len(printed.err.strip().splitlines()) == 1
        assert "expected" in printed.err
        assert "got" in printed.err
    assert [path for path in sorted(folder.rglob("*")) if "__pycache__" not in str(path)] == before


def test_every_flag_is_in_the_table():
    harmless = {"out", "theory", "fresh", "no_figure", "json", "quiet", "save_states", "dry_run", "list", "version",
                "check_step", "config", "target", "target_noise", "spectrum", "signal", "curvature",
                "alphas", "data"}  # fmt: skip
    listed = {flag.removeprefix("--").replace("-", "_") for flag in NUMBERS}
    assert (RUN_FLAGS | LOSS_FLAGS | OUTPUT_FLAGS).keys() <= listed | harmless
    used = set(itertools.chain(*COMBINATIONS))
    for flag in (
        "--target",
        "--spectrum",
        "--signal",
        "--curvature",
        "--alphas",
        "--data",
        "--check-step",
        "--save-states",
        "--theory",
    ):
        assert flag in used


@pytest.mark.parametrize("where", ["file", "forbidden", "/proc/nothing/here"])
def test_an_unwritable_folder_is_exit_code_4(where, tmp_path, capfd):
    target = tmp_path / where
    if where == "file":
        target.write_text("in the way")
        target = target / "runs"
    elif where == "forbidden":
        if os.geteuid() == 0:
            target = Path("/sys/kernel/nothing")
        else:
            target.mkdir(mode=0o500)
    else:
        target = Path(where)
    assert main(["--epochs", "1", "--N", "128", "--out", str(target), "--no-figure"]) == 4
    printed = capfd.readouterr()
    assert printed.out == ""
    assert "cannot write" in printed.err
    assert "Traceback" not in printed.err


FULL = """
import errno, os, sys
import sde_si.disk as disk
real = os.fsync
def full(handle):
    raise OSError(errno.ENOSPC, "No space left on device")
disk.os.fsync = full
from sde_si.simulate.cli import main
sys.exit(main({argv!r}))
"""


def test_a_full_disk_is_exit_code_4_and_leaves_nothing(tmp_path):
    """The write fails at its last moment: no half-written record."""
    argv = ["--epochs", "1", "--N", "128", "--dim", "4", "--out", str(tmp_path / "runs"), "--json", "--quiet"]
    done = subprocess.run([sys.executable, "-c", FULL.format(argv=argv)], capture_output=True, text=True, check=False)
    assert done.returncode == 4
    assert done.stdout == ""
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_damaged_record_is_named(tmp_path, capfd):
    args = [
        "--epochs",
        "1",
        "--N",
        "128",
        "--dim",
        "4",
        "--method",
        "sgd",
        "--out",
        str(tmp_path),
        "--no-figure",
        "--quiet",
    ]
    assert main(args) == 0
    record = next(tmp_path.glob("*.nc"))
    record.write_bytes(record.read_bytes()[:1000])
    capfd.readouterr()
    assert main(args) == 4
    printed = capfd.readouterr()
    assert record.name in printed.err
    assert "Traceback" not in printed.err


@pytest.mark.parametrize(("call", "name"), [
    (lambda: HyperParameters(N="many"), "N"),
    (lambda: HyperParameters(lr=True), "lr"),
    (lambda: HyperParameters(B=3.0), "B"),
    (lambda: Problem("vmf", signal=float("nan")), "signal"),
    (lambda: Problem("vmf", sgnal=1.0), "sgnal"),
    (lambda: Problem("isotropic", dim=1), "dim"),
    (lambda: simulate(Problem(), HyperParameters(), paths=0), "paths"),
    (lambda: simulate(Problem(), HyperParameters(), threads=0), "threads"),
    (lambda: simulate(Problem(), HyperParameters(), lags=(0,)), "lags"),
    (lambda: simulate(Problem(), HyperParameters(), target_error=3.0), "target_error"),
    (lambda: simulate(Problem(), HyperParameters(wd=0.0), until_equilibrium=True), "epochs"),
])  # fmt: skip
def test_the_python_interface_refuses_in_the_same_words(call, name):
    with pytest.raises(BadInput) as caught:
        call()
    assert caught.value.name == name
    assert "expected" in str(caught.value)
    assert "got" in str(caught.value)


@pytest.mark.parametrize(
    "words",
    [
        ["--init-norm", "1e160"], ["--wd", "1e-320"], ["--lr", "1e-320"], ["--lr", "1e300", "--wd", "0"],
        ["--schedule", "linear:0,0"], ["--wd", "0", "--target-error", "1%"],
    ],
)  # fmt: skip
def test_numbers_that_no_arithmetic_survives(words, tmp_path, capsys):
    from sde_si.simulate.cli import main

    assert main(["--N", "500", "--B", "50", "--epochs", "3", "--dim", "8", *words, "--out", str(tmp_path / "o")]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: --")
    assert not (tmp_path / "o").exists()
