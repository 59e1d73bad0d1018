"""The command line of sweeps: from dry run to collected table, exit codes."""

from __future__ import annotations

import json

import pytest
import sweep_functions
import xarray as xr

from sde_si.sweep.cli import main

functions = sweep_functions.functions


@pytest.fixture
def toml(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        f'out = "{tmp_path}/runs"\nsolve_for = "wd"\nseeds = 2\nexecutor = "local:1"\n'
        '[base]\nN = 640\nB = 64\ndim = 6\npaths = 3\nepochs = 2\n[grid]\ntuning_factor = [0.1, 0.2]\n'
    )  # fmt: skip
    return str(file)


def test_command_line_from_dry_run_to_parquet(toml, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def said(*words, code=0):
        assert main([*words, "--json", "--quiet"]) == code
        out = capsys.readouterr().out
        assert len(out.strip().splitlines()) == 1
        return json.loads(out, parse_constant=pytest.fail)

    plan = said(toml, "--dry-run")
    assert plan["counts"]["missing"] == 4
    assert plan["seconds"] > 0
    assert [run["point"] for run in plan["runs"]][1] == {"tuning_factor": 0.1, "seed": 1}
    assert not (tmp_path / "runs").exists()
    assert said("status", toml)["counts"]["missing"] == 4
    result = said(toml)
    assert (result["done"], result["missing"], result["stopped"]) == (4, 0, None)
    assert said(toml)["reused"] == 4
    assert said("status", toml)["counts"] == {"done": 4, "running": 0, "failed": 0, "missing": 0, "unreadable": 0}
    assert said("collect", toml)["dims"]["tuning_factor"] == 2
    assert xr.open_dataset(tmp_path / "study.nc", engine="scipy").sizes["seed"] == 2
    said("collect", toml, "--to", "all.parquet")
    import pandas as pd

    assert len(pd.read_parquet(tmp_path / "all.parquet")) == 4 * 2


def test_exit_codes(functions, tmp_path, capsys):
    file = tmp_path / "bad.toml"
    file.write_text(
        f'function = "{functions}:treacherous"\n[base]\nmarks = "{tmp_path}"\n[grid]\nhow = ["raise", "fine"]\n'
    )
    out = ["--out", str(tmp_path / "o")]
    assert main([str(file), *out, "--quiet"]) == 3
    text = capsys.readouterr().out
    assert "1 failed" in text
    assert "ValueError: no such thing" in text
    assert main(["status", str(file), *out]) == 0
    assert "1 done, 1 failed" in capsys.readouterr().out
    (tmp_path / "o" / "call-notes.nc").write_text("nothing of ours")
    assert main(["status", str(file), *out]) == 0
    assert "no run of this sweep, but in its folder: 1 of *.nc (call-notes.nc)" in capsys.readouterr().out
    assert main(["status", str(file), *out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["others"] == ["call-notes.nc"]
    for content in ("grod = 1", "[base]\nx = 1979-05-27", "kind = 3", "grid = 3", "not toml"):
        file.write_text(content)
        assert main([str(file)]) == 2, content
        captured = capsys.readouterr()
        assert not captured.out
        assert captured.err.startswith("error: ")
    assert main([str(tmp_path / "none.toml")]) == 2
    assert main(["collect", str(file), "--to", "x.csv"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--executor", "local:0"),
        ("--executor", "foo"),
        ("--timeout", "-1"),
        ("--max-minutes", "0"),
        ("--retries", "-1"),
    ],
)
def test_a_dry_run_refuses_what_the_sweep_would(toml, words, capsys):
    assert main([toml, "--dry-run", "--quiet", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"error: {words[0]}")
    assert err.count("\n") == 1
