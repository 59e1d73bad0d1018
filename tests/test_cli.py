"""The command line: output contract, predictions, tables, the figure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import simulate_command
from simulate_command import SMALL, run_json

from sde_si.__main__ import main as entry
from sde_si.quantities import QUANTITIES
from sde_si.simulate.cli import main

out = simulate_command.out


def test_json_contract(capsys, out):
    got = run_json(capsys, out, "--init-norm", "0.3eq")
    assert set(got) == {"hyperparameters", "problem", "figure", "results"}
    assert got["figure"] is None
    block = got["hyperparameters"]
    assert (block["N"], block["B"], block["steps_per_epoch"]) == (64, 4, 16)
    assert block["tuning_factor"] == pytest.approx(16 * 0.1 * 0.05 / 0.1)
    assert block["intrinsic_lr"] == pytest.approx(0.005)
    assert list(got["results"]) == ["sgd", "splitting"]
    for result in got["results"].values():
        assert {
            "record",
            "reused",
            "seconds",
            "equilibrated",
            "notes",
            "equilibrium",
            "epochs",
            "weight_norm_initial",
        } <= set(result)
        assert Path(result["record"]).is_file()
        assert set(result["equilibrium"]) == set(QUANTITIES)
        for row in result["equilibrium"].values():
            assert {"measured", "stderr", "predicted", "paper", "source", "assumes"} <= set(row)
        for name in ("epoch", "cos_epoch", "cos_epoch_stderr", "cos_epoch_predicted", "weight_norm",
                     "weight_norm_predicted", "effective_lr", "angle_step", "loss"):  # fmt: skip
            assert len(result["epochs"][name]) == 12
    rows = got["results"]["sgd"]["equilibrium"]
    # paper: the true N/B; predicted: N // B, the same here
    assert rows["cos_epoch"]["paper"] == pytest.approx(1 - block["tuning_factor"])
    assert rows["angle_step"]["predicted"] == pytest.approx((2 * 0.005 / 1.9) ** 0.5, rel=0.05)


def test_predicted_uses_whole_steps_and_the_paper_the_true_ratio(capsys, out):
    whole = run_json(capsys, out, "--theory")["results"]["sgd"]["equilibrium"]["cos_epoch"]
    assert main([*SMALL, "--N", "67", "--out", str(out), "--json", "--theory"]) == 0
    odd = json.loads(capsys.readouterr().out)["results"]["sgd"]["equilibrium"]["cos_epoch"]
    assert odd["predicted"] == whole["predicted"]
    assert odd["paper"] == pytest.approx(1 - 67 / 4 * 0.005 / 0.1)
    assert odd["paper"] < whole["paper"]


def test_the_table_is_for_people(capsys, out):
    assert main([*SMALL, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    for words in ("weight norm", "angle per epoch", "exact", "paper", "theory.md 9.2", "record:", "Yun et al."):
        assert words in text


def test_one_substep_is_called_what_it_is(capsys, out):
    got = run_json(capsys, out, "--method", "em", "--substeps", "1")
    assert any("this is the discrete optimizer, not the SDE" in note for note in got["results"]["em"]["notes"])


def test_theory_simulates_nothing(capsys, out):
    got = run_json(capsys, out, "--theory")
    assert not out.exists()
    row = got["results"]["sgd"]["equilibrium"]["weight_norm"]
    assert row["measured"] is None
    assert row["predicted"] > 0


def test_dry_run(capsys, out):
    got = run_json(capsys, out, "--dry-run")["dry_run"]["splitting"]
    assert (got["steps"], got["substeps"], got["paths"]) == (192, 768, 9)
    assert 0 < got["memory_bytes"] < 1e7
    assert 0 < got["seconds"] < 60
    assert not out.exists()


def test_check_step_shows_a_bias(capsys, out):
    rows = run_json(capsys, out, "--method", "em", "--check-step", "--epochs", "20")["results"]["em"]["equilibrium"]
    assert rows["cos_epoch"]["bias"] is not None
    # coupled: the difference has far less noise than each run
    assert rows["cos_epoch"]["bias_stderr"] < rows["cos_epoch"]["stderr"] / 3


def test_divergence_is_exit_code_3(capsys, out):
    """A start so short that the first step overflows."""
    got = run_json(capsys, out, "--method", "sgd", "--init-norm", "1e-200", code=3)
    assert {one["path"] for one in got["diverged"]} == set(range(9))
    assert got["diverged"][0]["method"] == "sgd"
    assert got["diverged"][0]["step"] == 0
    assert any("9 of 9 paths diverged" in note for note in got["results"]["sgd"]["notes"])


def test_an_overshooting_first_step_has_an_angle_below_90_degrees(capsys, out):
    got = run_json(capsys, out, "--method", "sgd", "--init-norm", "1e-6")
    assert 0 < got["results"]["sgd"]["epochs"]["angle_step"][0] < np.pi / 2


def test_show_and_diff(capsys, out):
    got = run_json(capsys, out)
    records = [result["record"] for result in got["results"].values()]
    assert entry(["show", *records, "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "weight norm" in text
    picture = next(line.partition(": ")[2] for line in text.splitlines() if line.startswith("figure:"))
    assert Path(picture).read_bytes()[:4] == b"\x89PNG"
    assert entry(["diff", *records]) == 0
    assert capsys.readouterr().out.splitlines() == ["method: sgd | splitting", "substeps: 1 | 4"]
    assert entry(["diff", records[0], records[0]]) == 0
    assert "same configuration" in capsys.readouterr().out


def test_the_figure_is_drawn_where_it_says(capsys, out):
    assert main([a for a in SMALL if a != "--no-figure"] + ["--out", str(out), "--json", "--init-norm", "0.5eq"]) == 0
    figure = json.loads(capsys.readouterr().out)["figure"]
    assert Path(figure).read_bytes()[:4] == b"\x89PNG"


def test_module_and_console_script_are_the_same_command(out):
    args = [*SMALL, "--theory", "--json"]
    one = subprocess.run([sys.executable, "-m", "sde_si.simulate", *args], capture_output=True, text=True, check=True)
    other = subprocess.run(
        [sys.executable, "-m", "sde_si", "simulate", *args], capture_output=True, text=True, check=True
    )
    assert one.stdout == other.stdout


def test_show_leaves_out_what_is_no_course_of_weights(capsys, out):
    """A glob over a folder takes in a sphere's record and a user's function's, too."""
    record = run_json(capsys, out, "--method", "sgd")["results"]["sgd"]["record"]
    words = ["--effective-lr", "0.1", "--iterations", "100", "--starts", "2", "--no-figure", "--quiet"]
    assert entry(["sphere", *words, "--out", str(out)]) == 0
    [other] = [str(path) for path in out.glob("sphere-*.nc")]
    assert entry(["show", record, other, "--out", str(out)]) == 0
    said = capsys.readouterr()
    assert "weight norm" in said.out
    assert f"left out: {other} (of sphere)" in said.err
    assert entry(["show", other]) == 2
    assert capsys.readouterr().err.startswith("error: RECORD: expected")


def test_show_draws_numbers_of_a_users_own_without_predictions(capsys, out):
    from sde_si.record import load, save

    record = load(run_json(capsys, out, "--method", "sgd")["results"]["sgd"]["record"])
    record.attrs = {"configuration": "{}", "source": "call", "provenance": "{}"}
    save(record.drop_vars("angle_epoch_paper"), out / "own.nc")
    assert entry(["show", str(out / "own.nc"), "--out", str(out)]) == 0
    assert "does not tell how long it needs to equilibrate" in capsys.readouterr().out


def test_records_of_one_name_in_two_folders_are_both_shown(capsys, out):
    from sde_si.record import load, save

    record = load(run_json(capsys, out, "--method", "sgd")["results"]["sgd"]["record"])
    files = [str(out / folder / "run.nc") for folder in "ab"]
    for file in files:
        save(record, file)
    assert entry(["show", *files, "--no-figure"]) == 0
    said = capsys.readouterr().out
    assert all(f"{file}: " in said for file in files)
    assert entry(["show", "x" * 300]) == 2
