"""The command of a small simulation, for tests of the command line."""

from __future__ import annotations

import json

import pytest

from sde_si.simulate.cli import main

SMALL = [
    "--N",
    "64",
    "--B",
    "4",
    "--dim",
    "6",
    "--paths",
    "9",
    "--epochs",
    "12",
    "--wd",
    "0.05",
    "--no-figure",
    "--quiet",
]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "runs"


def run_json(capsys, out, *args, code=0):
    assert main([*SMALL, "--out", str(out), "--json", *args]) == code
    captured = capsys.readouterr()
    lines = captured.out.strip().splitlines()
    assert len(lines) == 1
    return json.loads(lines[0], parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
