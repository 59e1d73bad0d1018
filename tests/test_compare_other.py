"""Trainings that are not SGD at constant lr: shown, without laws that are not theirs."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from small_training import TRAINED  # noqa: E402

from sde_si.record import load  # noqa: E402
from validation import compare  # noqa: E402
from validation.compare.overlay import course  # noqa: E402
from validation.train.cli import main as train  # noqa: E402


@pytest.mark.parametrize(
    "words",
    [
        ["--schedule", "cosine", "--wd", "0.01", "--momentum", "0"],  # ends at lr 0; identity 1.3 sums every step's
        ["--effective-lr", "0.01", "--wd", "0", "--momentum", "0"],  # no decay, no split
        ["--optimizer", "adamw", "--lr", "1e-2", "--wd", "0.1"],  # no law of SGD beside it
        ["--schedule", "batch-growth:2,2", "--wd", "0.01", "--momentum", "0"],
    ],
)
def test_other_trainings_are_shown_without_laws_that_are_not_theirs(words, tmp_path, capsys):
    short = [*TRAINED, "--epochs", "6", "--out", str(tmp_path)]
    short[short.index("--sampling") + 1] = "reshuffle"
    assert train([*short, *words]) == 0
    [file] = map(str, tmp_path.glob("*.nc"))
    capsys.readouterr()
    assert compare.main([file, "--json"]) == 0, capsys.readouterr().err
    [found] = json.loads(capsys.readouterr().out)["records"]
    assert found["identities"]
    assert all(check["holds"] for check in found["identities"])
    if "adamw" in words or "--effective-lr" in words:
        assert not found["laws"]


def test_noise_beside_a_growing_batch_is_that_of_a_sample(tmp_path, monkeypatch):
    """The simulation divides it by each epoch's own batch: what goes in is trace times batch."""
    from validation.compare import overlay

    words = [*TRAINED, "--epochs", "6", "--schedule", "batch-growth:2,2", "--wd", "0.01", "--momentum", "0"]
    assert train([*words, "--out", str(tmp_path)]) == 0
    [file] = tmp_path.glob("*.nc")
    record, seen = load(file), []
    simulation = importlib.import_module("sde_si.simulate")  # the package's attribute of that name is the function
    monkeypatch.setattr(simulation, "simulate", lambda problem, hp, **_: seen.append((problem, hp)) or record)
    overlay.overlays(record)
    tau, _ = course(record)
    problem, hp = seen[0]
    factors = [float(part) for part in hp.schedule.partition("noise:")[2].split(",")]
    batch = record["batch"].values
    assert batch[-1] > batch[0]
    scale = problem.parameters["noise_scale"] * (overlay.DIM - 1)
    np.testing.assert_allclose(scale * np.array(factors) / batch, tau, rtol=1e-5)


def test_a_record_of_nothing_but_divergence_is_shown(tmp_path, capsys):
    words = [*TRAINED[:-2], "--network", "resnet18", "--width", "4", "--blocks", "1", "--lr", "1e20", "--wd", "0"]
    assert train([*words, "--precision", "fp32", "--epochs", "3", "--out", str(tmp_path)]) == 3
    [file] = map(str, tmp_path.glob("*.nc"))
    capsys.readouterr()
    assert compare.main([file, "--json"]) in (0, 1)
    [found] = json.loads(capsys.readouterr().out)["records"]
    assert found["record"] == file
    assert compare.main([file]) in (0, 1)
