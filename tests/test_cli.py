"""The command line: output contract, reuse, searches, states, start-up time."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sde_si
from sde_si.__main__ import COMMANDS
from sde_si.__main__ import main as entry
from sde_si.provenance import version
from sde_si.quantities import QUANTITIES
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


def test_check_step_shows_a_bias(capsys, out):
    rows = run_json(capsys, out, "--method", "em", "--check-step", "--epochs", "20")["results"]["em"]["equilibrium"]
    assert rows["cos_epoch"]["bias"] is not None
    # coupled: the difference has far less noise than each run
    assert rows["cos_epoch"]["bias_stderr"] < rows["cos_epoch"]["stderr"] / 3


def test_noise_from_a_record(capsys, out):
    fine = run_json(capsys, out, "--method", "em", "--substeps", "16")["results"]["em"]["record"]
    by_record = run_json(capsys, out, "--method", "em", "--noise-from", fine)["results"]["em"]
    by_number = run_json(capsys, out, "--method", "em", "--noise-from", "16")["results"]["em"]
    assert by_number["reused"]
    assert by_number["epochs"] == by_record["epochs"]


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


def test_list_and_version(capsys):
    assert main(["--list"]) == 0
    text = capsys.readouterr().out
    for registry in (sde_si.LOSSES, sde_si.METHODS, sde_si.NOISES, sde_si.SCHEDULES):
        assert all(name in text for name in registry)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == version()
    assert entry([]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in COMMANDS)
    assert entry(["nonsense"]) == 2


LIGHT = """
import sys
sys.argv = {argv!r}
try:
    from sde_si.simulate.cli import main
    code = main()
except SystemExit as stop:
    code = stop.code
heavy = {{"xarray", "pandas", "scipy", "matplotlib", "torch", "numba"}}
loaded = {{name.partition(".")[0] for name in sys.modules}} & heavy
print("CODE", code, sorted(loaded), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "argv",
    [
        ["sde-si", "--help"],
        ["sde-si", "--list"],
        ["sde-si", "--version"],
        ["sde-si", "--lr", "nan"],
        ["sde-si", "--foo"],
        ["sde-si", "--method", "svag"],
        ["sde-si", "--init-norm", "x"],
        ["sde-si", "--lags", "0"],
        ["sde-si", "--loss", "nothing"],
    ],
)
def test_light_answers_load_nothing_heavy(argv):
    done = subprocess.run([sys.executable, "-c", LIGHT.format(argv=argv)], capture_output=True, text=True, check=False)
    code = "0" if argv[1] in ("--help", "--list", "--version") else "2"
    assert f"CODE {code} []" in done.stderr


def test_importing_the_package_loads_nothing_heavy():
    code = "import sde_si, sys; print([m for m in ('torch', 'matplotlib', 'numba', 'xarray') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_module_and_console_script_are_the_same_command(out):
    args = [*SMALL, "--theory", "--json"]
    one = subprocess.run([sys.executable, "-m", "sde_si.simulate", *args], capture_output=True, text=True, check=True)
    other = subprocess.run(
        [sys.executable, "-m", "sde_si", "simulate", *args], capture_output=True, text=True, check=True
    )
    assert one.stdout == other.stdout


def test_the_module_is_callable_and_so_is_the_function():
    import sde_si.simulate as module

    assert callable(module)
    assert callable(sde_si.simulate)
    hp = sde_si.HyperParameters(N=8, B=4, epochs=1)
    assert module(sde_si.Problem("isotropic", dim=4), hp, paths=2).sizes["path"] == 2
