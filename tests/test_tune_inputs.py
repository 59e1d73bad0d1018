"""Wrong input to the commands of tune, and light answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tuned import FROM

from sde_si.tune.cli import ACTIONS, main

SOURCES = [
    "", "x", "N=1", "N=50000,B=256,lr=0.1,wd=1e-4", "N=50000,B=256,lr=0.1,wd=0,momentum=0.9",
    "N=50000,B=256,lr=0.1,wd=nan,momentum=0.9", "N=50000,B=256,lr=0.1,wd=20,momentum=0.9",
    "N=50000,B=256,lr=-1,wd=1e-4,momentum=0.9", "N=50000,B=256,lr=0.1,wd=1e-4,momentum=1",
    "N=50000,B=60000,lr=0.1,wd=1e-4,momentum=0.9", "N=5e4,B=256,lr=0.1,wd=1e-4,momentum=0.9",
    "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9,N=3", "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9,epochs=3",
]  # fmt: skip
TARGETS = ["", "x", "N", "N=", "N=x", "N=0", "N=-1", "N=1.5", "N=10", "B=0", "B=60000", "lr=0", "lr=nan", "wd=0",
           "wd=inf", "momentum=1", "momentum=-1", "Q=3", "N=100,N=200", "epochs=3"]  # fmt: skip
WRONG = [
    *(["transfer", "--from", source, "--to", "N=12500"] for source in SOURCES),
    *(["transfer", "--from", FROM, "--to", target] for target in TARGETS),
    *(
        ["transfer", "--from", FROM, "--to", "N=12500", *more]
        for more in (
            ["--optimizer", "adam"], ["--epochs", "0"], ["--schedule", "cosine"],
            ["--epochs", "9", "--schedule", "nothing"], ["--signal", "1"],
            ["--signal", "-1", "--noise-trace", "1"], ["--noise-trace", "0"], ["--beta2", "0.9"],
            ["--record", "missing.nc", "--signal", "1"], ["--unknown"],
        )
    ),
    ["transfer", "--to", "N=12500"],
    ["transfer", "--from", FROM],
    *(
        ["explain", *more]
        for more in (
            ["--lr", "nan"], ["--N", "0"], ["--B", "60000"], ["--epochs", "x"], ["--schedule", "nothing"],
            ["--schedule", "multi-step"], ["--wd", "0"], ["--optimizer", "adam"], ["--init-norm", "x"],
            ["--init-norm", "0"], ["--init-norm", "0.3"], ["--noise-trace", "0"], ["--beta2", "0.9"], ["--unknown"],
        )
    ),
    ["nothing"],
]  # fmt: skip


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_wrong_input_is_refused(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    assert code == 2
    assert not said.out
    assert said.err.strip()
    assert "Traceback" not in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "label", "said"),
    [
        (["lr-range", "--command", "x {lr}", "--points", "3"], "--points", "whole number >= 6"),
        (["transfer", "--from", FROM.replace("1e-4", "0"), "--to", "N=12500"], "--from", "weight decay"),
        (["transfer", "--from", FROM, "--to", "N=1e6"], "--to", "a whole number for N, got '1e6'; try N=1000000"),
        (["transfer", "--from", FROM, "--to", "N=12500", "--record", "missing.nc"], "--record", "exists"),
        (["suggest"], "RECORD", "a record, got none"),
        (["suggest", "missing.nc"], "RECORD", "exists"),
        (["suggest", __file__, "--like", "missing.nc"], "--like", "exists"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_is_wrong_is_called_by_its_own_name(words, label, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {label}: expected ")
    assert said in error


@pytest.mark.parametrize("words", [["suggest"], ["transfer", "--from", FROM, "--to", "N=12500", "--record"]])
def test_a_record_that_cannot_be_read_has_another_code(words, tmp_path):
    record = next((Path(__file__).parent.parent / "validation" / "records" / "networks").glob("*.nc")).read_bytes()
    (tmp_path / "broken.nc").write_bytes(record[: len(record) // 2])
    assert main([*words, str(tmp_path / "broken.nc")]) == 4
    (tmp_path / "notes.nc").write_text("no record")
    assert main([*words, str(tmp_path / "notes.nc")]) == 2


LIGHT = """
import sys
try:
    from sde_si.tune.cli import main
    code = main({argv!r})
except SystemExit as stop:
    code = stop.code
heavy = {{"xarray", "pandas", "scipy", "matplotlib", "torch", "numba", "optuna"}}
loaded = {{name.partition(".")[0] for name in sys.modules}} & heavy
print("CODE", code, sorted(loaded), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "argv",
    [
        *([action, "--help"] for action in ACTIONS),
        ["--help"],
        ["transfer", "--from", FROM, "--to", "N=x"],
        ["explain", "--lr", "nan"],
        ["suggest", "missing.nc"],
        ["search", "--function", "nan.py:x", "--N", "512", "--full-N", "1"],
        ["lr-range", "--command", "nan"],
        ["transfer", "--from", FROM, "--to", "N=12500", "--json"],
    ],
    ids=" ".join,
)
def test_light_answers_load_nothing_heavy(argv):
    done = subprocess.run([sys.executable, "-c", LIGHT.format(argv=argv)], capture_output=True, text=True, check=False)
    refused = not {"--help", "--json"} & set(argv)
    assert f"CODE {2 if refused else 0} []" in done.stderr


def test_importing_the_room_loads_nothing_heavy():
    code = "import sde_si.tune, sys; print([m for m in ('torch', 'matplotlib', 'xarray', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
