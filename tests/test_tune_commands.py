"""Commands of the user's own under range test and search, the module as a command, the demonstration."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from in_process import InProcess

from sde_si import BadInput
from sde_si.tune import lr_range_command
from sde_si.tune.cli import main
from sde_si.tune.samplers import Grid
from sde_si.tune.trial import pick, run_command

SCRIPT = """
import argparse, json, math
p = argparse.ArgumentParser()
for name in ("N", "B", "lr", "wd", "seed"):
    p.add_argument(f"--{name}", type=float, default=0)
a = p.parse_args()
if a.lr > 20:
    raise SystemExit("blew up")
print("some text")
print(json.dumps({"final": {"loss": [9, 1 + math.log10(a.lr) ** 2]}, "none": None}))
"""


@pytest.fixture
def script(tmp_path, monkeypatch):
    (tmp_path / "script.py").write_text(SCRIPT)
    monkeypatch.chdir(tmp_path)
    return f"{sys.executable} script.py --lr {{lr}}"


def test_range_test_of_a_command(script, capsys):
    words = ["lr-range", "--command", script, "--metric", "final.loss", "--start", "0.01", "--stop", "100", "--points",
             "9", "--quiet", "--executor", "local:1"]  # fmt: skip
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["suggestion"] == pytest.approx(0.1)
    assert found["loss"][-2:] == [None, None]
    assert "2 of 9" in found["notes"][0]
    assert "blew up" in found["notes"][0]
    assert main([*words, "--no-figure"]) == 0  # found again
    assert "suggestion: lr = 0.1" in capsys.readouterr().out
    for bad in (["--command", "echo 1"], ["--command", "echo {lr} {nothing}"], ["--start", "-1"], ["--points", "2"],
                ["--seeds", "2"], ["--metric", "final.nothing", "--points", "6"], ["--stop", "0.001"]):  # fmt: skip
        assert main([*words, *bad, "--out", "bad"]) == 2, bad
        assert not capsys.readouterr().out


def test_search_on_the_command_line(script, capsys):
    command = f"{script} --wd {{wd}} --N {{N}} --seed {{seed}}"
    words = ["search", "--command", command, "--metric", "final.loss", "--minimize", "--N", "512", "--full-N", "4096",
             "--B", "64", "--solve-for", "lr", "--wd", "1e-2", "--tuning-factors", "0.08:8:3", "--seeds", "1",
             "--rounds", "0", "--executor", "local:1", "--quiet"]  # fmt: skip
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"]["lr"] == pytest.approx(1.0)
    assert found["settings"]["options"][0]["hyperparameters"]["N"] == 4096
    assert main(words) == 0
    assert "settings for the whole data set" in capsys.readouterr().out
    for bad in (["--tuning-factors", "1:2"], ["--tuning-factors", "x"], ["--N", "x"], ["--full-N", "1"],
                ["--function", "a.py:b"], ["--sampler", "x"], ["--command", "echo"], ["--lr", "nan"]):  # fmt: skip
        try:
            code = main([*words, *bad])
        except SystemExit as stop:
            code = stop.code
        assert code == 2, bad
        assert not capsys.readouterr().out


def test_a_command_may_write_its_result_to_a_file(tmp_path):
    file = tmp_path / "write.py"
    file.write_text('import sys; print("done"); open(sys.argv[1], "w").write(\'{"loss": [3, \' + sys.argv[2] + "]}")')
    words = f"{sys.executable} {file} {{out}} {{lr}}"
    assert run_command(words, "loss", str(tmp_path), {}, lr=0.25) == 0.25
    for wrong, said in ((f"{sys.executable} -c pass {{out}}", "no file"), (f"{sys.executable} -c pass", "nothing")):
        with pytest.raises(ValueError, match=said):
            run_command(wrong, "loss", str(tmp_path), {})
    with pytest.raises(RuntimeError, match="code 1"):
        run_command("false", "loss", str(tmp_path), {})


def test_why_a_command_failed_is_its_last_line_and_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.py").write_text("print('first', flush=True)\nimport sys\nprint('warned', file=sys.stderr)\n"
                                     "raise RuntimeError('no such data set: cifar11')\n")  # fmt: skip
    with pytest.raises(BadInput, match="succeeds") as caught:
        lr_range_command(f"{sys.executable} bad.py {{lr}}", points=6, quiet=True, executor=InProcess())
    said = str(caught.value)
    assert "code 1: RuntimeError: no such data set: cifar11" in said
    assert "\n" not in said
    file = Path(re.search(r"whole: ([^)]+)\)", said)[1])
    assert "warned" in json.loads(file.read_text())["reason"]
    assert "Traceback" in json.loads(file.read_text())["reason"]


@pytest.mark.parametrize("printed", ["loss is 0.3", "0.3", "[1, 2]"])
def test_a_command_without_json_is_told_its_last_line(printed, tmp_path):
    words = f"{sys.executable} -c \"print('{printed}')\""
    with pytest.raises(ValueError, match="printed no JSON object on its last line") as caught:
        run_command(words, "loss", str(tmp_path), {})
    assert repr(printed) in str(caught.value)


def test_metrics_by_dotted_names():
    assert pick({"a": {"b": [1, 2]}}, "a.b") == 2
    assert math.isnan(pick({"a": None}, "a"))
    for wrong in ({"a": "x"}, {"b": 1}, {"a": True}, [1]):
        with pytest.raises(ValueError, match="'a'"):
            pick(wrong, "a")


def test_lr_range_command_needs_some_success(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="succeeds"):
        lr_range_command("false {lr}", points=8, quiet=True, executor=InProcess())


def test_the_module_is_the_command():
    one, other = (
        subprocess.run([sys.executable, "-m", *words, "transfer", "--help"], capture_output=True, text=True, check=True)
        for words in (["sde_si.tune"], ["sde_si", "tune"])
    )
    assert one.stdout == other.stdout
    assert dataclasses.is_dataclass(Grid)


@pytest.mark.slow
def test_the_demonstration_runs_at_a_tiny_size(tmp_path):
    pytest.importorskip("sklearn")
    root = Path(__file__).parent.parent
    words = ["-m", "validation.tune_transfer", "--tiny", "--executor", "local:1", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, *words], cwd=root, capture_output=True, text=True, check=True)
    rows = re.findall(r"^\((\w)\) .* wd (\S+): accuracy (\S+), cost (\S+) of \(b\)$", done.stdout, re.MULTILINE)
    assert [row[0] for row in rows] == ["a", "b", "c"]
    cost = {name: float(share) for name, _, _, share in rows}
    # three points of 64 samples and one run of 256, of three of 256
    assert cost == {
        "a": pytest.approx((3 * 64 + 256) / (3 * 256), abs=1e-3),
        "b": 1.0,
        "c": pytest.approx(1 / 3, abs=1e-3),
    }
