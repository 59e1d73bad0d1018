"""The command of the sphere: tables, JSON, records, wrong input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from sde_si import BadInput, Problem
from sde_si.sphere import Setting, courses, sweep
from sde_si.sphere.cli import main, read_rates


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """The command writes its records into ./runs."""
    monkeypatch.chdir(tmp_path)


def test_predictions_that_are_approximate_say_so(capsys):
    args = ["--effective-lr", "0.1,0.2,0.4,1", "--iterations", "4000", "--no-threshold", "--no-figure", "--quiet"]
    assert main([*args, "--json"]) == 0
    below, joint, *above = json.loads(capsys.readouterr().out)["sweep"]
    assert below["loss_predicted_note"] is None
    assert "exact where" in joint["loss_predicted_note"]
    for row in above:
        assert row["loss_predicted_note"].startswith("approximate")
        assert abs(row["loss_mean"] - row["loss_predicted"]) > 5 * row["loss_stderr"]  # as it is said to be
    assert main(args) == 0
    assert "~3 " in capsys.readouterr().out
    assert main([*args, "--json", "--alphas", "1"]) == 0
    assert not any(row["loss_predicted_note"] for row in json.loads(capsys.readouterr().out)["sweep"])


def test_exponents_are_told_for_each_kind_of_motion(capsys):
    """At 0.3 some starts are chaotic and others are not: one mean over both says nothing of either."""
    args = ["--effective-lr", "0.2,0.3", "--no-threshold", "--no-figure", "--quiet"]
    assert main([*args, "--json"]) == 0
    calm, mixed = json.loads(capsys.readouterr().out)["sweep"]
    assert calm["motion"] == {"neutral": 16}
    by = mixed["lyapunov_by_motion"]
    assert {kind: one["starts"] for kind, one in by.items()} == mixed["motion"]
    assert abs(by["neutral"]["exponent"]) < 1e-3 < 0.1 < by["chaotic"]["exponent"]
    assert sum(one["starts"] * one["exponent"] for one in by.values()) == pytest.approx(16 * mixed["lyapunov"][0])
    assert sum(mixed["motion_why"].values()) == mixed["motion"].get("undecided", 0)
    assert main(args) == 0
    out = capsys.readouterr().out
    assert f"{by['chaotic']['exponent']:.3f} ± {by['chaotic']['stderr']:.3f}" in out


def test_numbers_are_whole_and_one_effective_lr_is_no_range(capsys):
    args = ["--effective-lr", "0.1429,0.3", "--no-threshold", "--no-figure", "--quiet", "--iterations", "2000"]
    assert main(args) == 0
    out = capsys.readouterr().out
    assert "~0.00104969" in out or "~0.0010496" not in out
    assert "at 0.3: approximate" in out


def test_a_course_is_a_record():
    [course] = courses(Setting(problem=Problem("groups"), iterations=1000, starts=3), [0.3])
    record = course.record()
    assert dict(record.sizes) == {"path": 3, "epoch": course.iterations.size, "group": 4}
    harmonic = (1 / record["effective_lr"]).sel(group=["1", "2", "3"]).sum("group")
    np.testing.assert_allclose(harmonic, 1 / record["effective_lr"].sel(group="all"), rtol=1e-12)


def test_json_is_one_object(capsys, tmp_path):
    code = main(["--effective-lr", "0.1,0.2,5", "--iterations", "8000", "--json", "--quiet",
                 "--out", str(tmp_path)])  # fmt: skip
    assert code == 0
    content = json.loads(capsys.readouterr().out)
    assert abs(content["threshold_measured"] * 7 - 1) < 1e-6
    assert content["threshold_predicted"] == pytest.approx(1 / 7)
    assert 0 < content["threshold_stderr"] < 1e-7
    assert [row["regime"] for row in content["sweep"]] == ["convergence", "chaotic equilibrium", "divergence"]
    keys = {"effective_lr", "regime", "confidence", "loss_mean", "loss_stderr", "loss_predicted", "individual_lr",
            "harmonic_sum_error", "angle_mean"}  # fmt: skip
    assert all(keys <= row.keys() and row["harmonic_sum_error"] < 1e-12 for row in content["sweep"])


def test_noise_comes_from_its_flags(capsys):
    args = [
        "--loss",
        "vmf",
        "--dim",
        "4",
        "--effective-lr",
        "0.05",
        "--iterations",
        "2000",
        "--json",
        "--quiet",
        "--starts",
        "4",
    ]
    assert main([*args, "--no-figure", "--noise-scale", "1", "--method", "em"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["noise"] == "gaussian"
    assert content["threshold_measured"] is None
    assert content["sweep"][0]["loss_predicted"] is not None
    assert main([*args, "--no-figure"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["noise"] == "none"
    assert content["threshold_measured"] == pytest.approx(2.0, rel=2e-3)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--effective-lr", "0:1:5"], "effective-lr"),
        (["--effective-lr", "1:0.1:5"], "effective-lr"),
        (["--effective-lr", "0.1:1:1"], "effective-lr"),
        (["--effective-lr", "0.1:1:2000"], "at most"),
        (["--effective-lr", "nan"], "effective-lr"),
        (["--effective-lr", "0.1,-2"], "effective-lr"),
        (["--effective-lr", "0.1,0.1"], "once"),
        (["--effective-lr", "a:b:c"], "effective-lr"),
        (["--effective-lr", ""], "effective-lr"),
        (["--constraint", "free"], "total"),
        (["--method", "splitting"], "method"),
        (["--loss", "nothing"], "loss"),
        (["--starts", "0"], "starts"),
        (["--iterations", "10"], "iterations"),
        (["--alphas", "1,-1"], "alphas"),
        (["--alphas", "1,2", "--dim", "5"], "dim"),
        (["--noise", "minibatch"], "noise"),
        (["--noise", "pink"], "noise"),
        (["--noise", "none", "--noise-scale", "1"], "noise"),
        (["--B", "10"], "--B"),
        (["--B", "0", "--loss", "pca"], "--B"),
        (["--substeps", "3"], "substeps"),
        (["--threads", "0"], "threads"),
        (["--seed", "-1"], "seed"),
        (["--loss", "pca", "--signal", "2"], "signal"),
        (["--loss", "pca", "--spectrum", "4,2,1", "--dim", "2"], "spectrum"),
        (["--starts", "1000000000", "--effective-lr", "0.3"], "--starts: "),
        (["--iterations", "100000000000000"], "--iterations: "),
        (["--loss", "pca", "--iterations", "100000000000000"], "--iterations: "),
        (["--loss", "vmf", "--dim", "10000000000"], "--dim: "),
        (["--alphas", "0"], "try 1,2,4"),
        (["--loss", "vmf", "--alphas", "1,2"], "try leaving it out"),
        (["--noise-scale", "-1"], "; try "),
        (["--loss", "pca", "--spectrum", "1,-1"], "; try "),
        (["--spectrum", "1,-1"], "; try "),
        (["--alphas", "1e-300,1e300", "--effective-lr", "0.001"], "--alphas: "),
        (["--alphas", "1,1e20", "--effective-lr", "0.001"], "try 1e-14"),
        (["--noise", "gauss"], "none, minibatch, gaussian"),
        (["--loss", "vmf", "--dim", "1"], "try 16"),
    ],
)
def test_bad_input_is_refused_in_one_line(args, word, capsys):
    assert main([*args, "--no-figure", "--quiet"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_the_noise_of_a_named_law_is_one_as_the_help_says(capsys):
    args = ["--loss", "vmf", "--dim", "4", "--effective-lr", "0.05", "--iterations", "200", "--json", "--quiet",
            "--no-figure", "--noise", "gaussian", "--starts", "2"]  # fmt: skip
    assert main(args) == 0
    assert json.loads(capsys.readouterr().out)["parameters"]["noise_scale"] == 1
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "default 0; 1 with --noise" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_what_takes_hours_is_said_before_it_begins(capsys, monkeypatch):
    monkeypatch.setattr("sde_si.sphere.survey.sweep", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    args = ["--loss", "vmf", "--dim", "1000000", "--starts", "8", "--effective-lr", "0.3", "--no-figure"]
    assert main(args) == 130
    assert "h of processor time" in capsys.readouterr().err
    assert main([*args, "--iterations", "100"]) == 130
    assert "h of processor time" not in capsys.readouterr().err


def test_effective_lrs_from_python():
    problem = Problem("groups", alphas=(1.0, 3.0))
    [point] = sweep(problem, 0.2, starts=2, iterations=200, threshold=False).points
    assert point.effective_lr == 0.2
    for wrong in ("a", [], None, ["a"]):
        with pytest.raises(BadInput, match="effective_lr"):
            sweep(problem, wrong, starts=2, iterations=200, threshold=False)  # pyright: ignore[reportArgumentType]


def test_rates():
    np.testing.assert_allclose(read_rates("0.1:10:3"), [0.1, 1, 10])
    assert read_rates("3,1, 2") == (1.0, 2.0, 3.0)


def test_setting_refuses_what_is_no_field():
    with pytest.raises(BadInput, match="constraint"):
        Setting(problem=Problem("groups"), constraint="free")
    with pytest.raises(TypeError):
        sweep(effective_lr=(0.1,), colour="red")
