"""The command line and its records: reuse, searches, states that go on."""

from __future__ import annotations

import json
import shutil

import simulate_command
from simulate_command import SMALL, run_json

import sde_si
from sde_si.simulate.cli import main

out = simulate_command.out


def test_a_finished_record_is_reused_and_fresh_computes_it_again(capsys, out, tmp_path):
    first = run_json(capsys, out)["results"]["sgd"]
    kept = tmp_path / "kept.nc"
    shutil.copy(first["record"], kept)
    again = run_json(capsys, out)["results"]["sgd"]
    assert (first["reused"], again["reused"]) == (False, True)
    assert first["equilibrium"] == again["equilibrium"]
    assert first["epochs"] == again["epochs"]
    fresh = run_json(capsys, out, "--fresh")["results"]["sgd"]
    assert not fresh["reused"]
    old, new = sde_si.load(kept), sde_si.load(first["record"])
    old.attrs.pop("provenance"), new.attrs.pop("provenance")
    assert old.identical(new)


def test_the_hyperparameters_block_as_toml_repeats_the_run(capsys, out, tmp_path):
    got = run_json(
        capsys, out, "--schedule", "step:6", "--lags", "1,4", "--method", "sgd,em", "--loss", "vmf", "--signal", "0.5"
    )
    config = tmp_path / "run.toml"
    config.write_text("\n".join(f"{key} = {json.dumps(value)}" for key, value in got["hyperparameters"].items()))
    assert main(["--config", str(config), "--out", str(out), "--json", "--quiet", "--no-figure"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["hyperparameters"] == got["hyperparameters"]
    assert all(result["reused"] for result in again["results"].values())
    assert main(["--config", str(config), "--epochs", "3", "--out", str(out), "--json", "--quiet", "--no-figure"]) == 0
    assert json.loads(capsys.readouterr().out)["hyperparameters"]["epochs"] == 3


def test_epochs_auto_ends_with_twenty_equilibrated_epochs(capsys, out):
    args = ["--epochs", "auto", "--paths", "64", "--method", "sgd"]
    got = run_json(capsys, out, *args)["results"]["sgd"]
    first, last = got["equilibrated_epochs"]
    assert last - first + 1 >= 20
    assert len(got["epochs"]["epoch"]) == last
    assert run_json(capsys, out, *args)["results"]["sgd"]["reused"]
    # and is what a run of that length gives
    whole = run_json(capsys, out, "--epochs", str(last), "--paths", "64", "--method", "sgd")["results"]["sgd"]
    assert whole["reused"]
    assert whole["epochs"] == got["epochs"]


def test_target_error_adds_paths(capsys, out):
    args = ["--method", "sgd", "--epochs", "30", "--target-error", "2%"]
    got = run_json(capsys, out, *args)["results"]["sgd"]
    row = got["equilibrium"]["cos_epoch"]
    assert row["stderr"] / (1 - row["measured"]) <= 0.02
    assert got["paths"] > 9
    assert run_json(capsys, out, *args)["results"]["sgd"]["reused"]
    whole = run_json(capsys, out, "--method", "sgd", "--epochs", "30", "--paths", str(got["paths"]))["results"]["sgd"]
    assert whole["reused"]


def test_saved_states_go_on_bit_identically(capsys, out, tmp_path):
    options = ["--loss", "vmf", "--method", "sgd,em", "--lags", "3,40", "--schedule", "step:5"]
    run_json(capsys, out, *options, "--epochs", "7", "--save-states")
    states = sorted(path.name for path in out.glob("states-*.npz"))
    assert len(states) == 2
    assert main([*SMALL, "--out", str(out), "--json", *options, "--epochs", "12"]) == 0
    continued = json.loads(capsys.readouterr().out)
    whole = run_json(capsys, tmp_path / "other", *options, "--epochs", "12")
    for name in ("sgd", "em"):
        one, other = (sde_si.load(got["results"][name]["record"]) for got in (continued, whole))
        one.attrs.pop("provenance"), other.attrs.pop("provenance")
        assert one.identical(other)


def test_a_schedule_that_depends_on_the_length_does_not_go_on_from_a_shorter_run(capsys, out):
    run_json(capsys, out, "--method", "sgd", "--schedule", "cosine", "--epochs", "7", "--save-states")
    run_json(capsys, out, "--method", "sgd", "--schedule", "cosine", "--epochs", "12")
    assert (
        main(
            [
                *[a for a in SMALL if a != "--quiet"],
                "--out",
                str(out),
                "--method",
                "sgd",
                "--schedule",
                "cosine",
                "--epochs",
                "14",
            ]
        )
        == 0
    )
    assert "goes on" not in capsys.readouterr().err


def test_noise_from_a_record(capsys, out):
    fine = run_json(capsys, out, "--method", "em", "--substeps", "16")["results"]["em"]["record"]
    by_record = run_json(capsys, out, "--method", "em", "--noise-from", fine)["results"]["em"]
    by_number = run_json(capsys, out, "--method", "em", "--noise-from", "16")["results"]["em"]
    assert by_number["reused"]
    assert by_number["epochs"] == by_record["epochs"]
