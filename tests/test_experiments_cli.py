"""The command line of the experiments: what is left to do, and what is refused before any work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from sde_si.errors import BAD_INPUT, DISK, DONE  # noqa: E402
from validation.experiments import EXPERIMENTS  # noqa: E402
from validation.experiments.cli import main  # noqa: E402
from validation.experiments.run import Plan, estimate  # noqa: E402
from validation.experiments.work import name_of  # noqa: E402

ROOT = Path(__file__).parent.parent


def run(tmp_path, *words):
    return main([*words, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--quiet"])


def test_pending_lists_what_is_left_with_hours(tmp_path, capsys):
    assert run(tmp_path, "--pending", "--device", "cuda", "--dry-run", "--json") == DONE
    told = json.loads(capsys.readouterr().out)
    assert {row["scale"] for row in told["experiments"]} == {"gpu"}
    assert {row["name"] for row in told["experiments"]} == set(EXPERIMENTS)
    assert 0 < told["hours"] < 20
    assert not (tmp_path / "work").exists()


def test_a_finished_run_is_not_counted_as_left(tmp_path):
    plan = Plan(EXPERIMENTS["wan-lr-drop"], "tiny", 1, tmp_path)
    before = sum(estimate([plan]).values())
    (tmp_path / name_of(*plan.runs[0])).write_bytes(b"")
    assert sum(estimate([plan]).values()) < before
    twice = estimate([plan, Plan(EXPERIMENTS["wan-lr-drop"], "tiny", 1, tmp_path, tmp_path)])
    assert min(twice.values()) >= 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "NAME: expected at least one experiment"),
        (["nonsense"], "NAME: expected one of"),
        (["tricks", "--scale", "huge"], "scale: expected one of tiny, cpu, gpu, full"),
        (["tricks", "--device", "tpu"], "device: expected one of auto, cpu, cuda"),
        (["tricks", "--seeds", "0"], "seeds: expected a whole number >= 1"),
        (["tricks", "--workers", "0"], "workers: expected a whole number >= 1"),
        (["tricks", "--max-minutes", "-1"], "max-minutes: expected a number in (0, inf)"),
        (["tricks", "--pending", "--list"], "pending: expected either --pending or --list, got both"),
        ([","], "NAME: expected names with commas between them"),
        (["yun-table1", "--scale", "full"], "data-dir: expected the folder of cifar10"),
    ],
)
def test_wrong_input_is_refused_before_any_work(words, said, tmp_path, capsys):
    assert main([*words, "--work", str(tmp_path / "work"), "--out", str(tmp_path)]) == BAD_INPUT
    out, err = capsys.readouterr()
    assert said in err
    assert not out
    assert not list(tmp_path.rglob("*.nc"))


def test_without_torch_training_is_refused_and_what_is_there_is_not(tmp_path):
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('not here', name='torch')")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}

    def run(scale, *words):
        command = [sys.executable, "-m", "validation.experiments", "yun-table5", "--scale", scale, *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    refused = run("tiny", "--work", "w", "--out", "o")
    assert refused.returncode == BAD_INPUT
    assert refused.stderr.startswith("error: expected torch to be installed, got no such package; try pip install")
    assert not (tmp_path / "o").exists()
    there = run("cpu")
    assert (there.returncode, there.stdout) == (DONE, "yun-table5 cpu: recorded\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_no_accelerator_is_said(tmp_path, capsys):
    assert run(tmp_path, "tricks", "--device", "cuda") == BAD_INPUT
    assert "a CUDA device, got none here" in capsys.readouterr().err


@pytest.mark.parametrize("folder", ["work", "out"])
def test_a_folder_that_cannot_be_written_is_said(folder, tmp_path, capsys):
    """Before any work: also that of the summaries, which are written last."""
    (tmp_path / folder).write_text("a file")
    assert run(tmp_path, "wan-lr-drop", "--scale", "tiny") == DISK
    assert f"--{folder}: cannot write into {tmp_path / folder}" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.nc"))
