"""Trainings that are not SGD at constant lr: shown, without laws that are not theirs."""

from __future__ import annotations

import importlib
import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

from committed import FILES  # noqa: E402
from small_training import HP, TRAINED, small_job  # noqa: E402

from sde_si.record import load, save  # noqa: E402
from validation import compare  # noqa: E402
from validation.compare import keep  # noqa: E402
from validation.compare.identities import TELESCOPED, identities  # noqa: E402
from validation.compare.overlay import course  # noqa: E402
from validation.train.cli import main as train  # noqa: E402
from validation.train.optimizers import OPTIMIZERS  # noqa: E402


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


@pytest.mark.parametrize("damage", [1.0, 1.1])
def test_eps_takes_no_more_from_the_telescoping_than_it_leaks(damage, tmp_path):
    """Far more than double precision holds to; also at an lr that turns little. What is no leak is seen."""
    words = [*TRAINED, "--norm-eps", "1e-5", "--epochs", "4", "--schedule", "multi-step:2", "--momentum", "0"]
    assert train([*words, "--wd", "0.01", "--out", str(tmp_path)]) == 0
    [file] = tmp_path.glob("*.nc")
    record = load(file)
    record["log_cos_step"] = record["log_cos_step"] * damage
    first = compare.identities(record)[0]
    assert first.left > 100 * TELESCOPED[False]
    assert first.leak < 10 * first.left
    assert (first.left <= first.allowed) == (damage == 1)


@pytest.fixture(scope="module")
def sgd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sgd")
    words = [*TRAINED, "--epochs", "6", "--wd", "0.3", "--momentum", "0", "--lags", "1,5,10"]
    assert train([*words, "--out", str(folder)]) == 0
    [file] = folder.glob("*.nc")
    return load(file)


def _no_number(variable):
    return variable * np.nan if variable.dtype.kind == "f" and "epoch" in variable.dims else variable


GRADIENTS = ("signal", "noise_trace", "gradient")


@pytest.mark.parametrize(
    ("change", "said", "lags"),
    [
        (lambda record: record.isel(epoch=slice(2)), None, [1, 5, 10]),
        (lambda record: record.isel(epoch=slice(2)).map(_no_number, keep_attrs=True),
         "its noise was not measured, or no network lived", []),
        (lambda record: record.assign({name: 0 * record[name] for name in GRADIENTS}),
         "it has no noise in epoch 1: its gradients are 0", [1, 5, 10]),
        (lambda record: record.assign(cos_lag=record["cos_lag"].where(record["lag"] < 10)), None, [1, 5]),
    ],
    ids=["two epochs", "all diverged early", "without noise", "a lag longer than the run"],
)  # fmt: skip
def test_odd_records_are_compared(sgd, change, said, lags, tmp_path, capsys):
    save(change(sgd), tmp_path / "odd.nc")
    for words in (["--json"], []):
        assert compare.main([str(tmp_path / "odd.nc"), *words]) == 0
        shown = capsys.readouterr().out
        if words:
            [found] = json.loads(shown)["records"]
    assert found["not_simulated"] == said
    assert bool(found["simulated"]) == (said is None)
    assert said is None or f"nothing is simulated beside it: {said}" in shown
    assert [one["steps"] for one in found["rotation"] if one["window"].startswith("lag")] == lags


@pytest.mark.parametrize("flag", ["--out", "--keep-in"])
def test_a_folder_that_cannot_be_written_is_refused_before_the_work(sgd, flag, tmp_path, capsys, monkeypatch):
    save(sgd, tmp_path / "sgd.nc")
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("validation.compare.cli.results", None)
    assert compare.main([str(tmp_path / "sgd.nc"), flag, str(tmp_path / "file" / "folder")]) == 4
    assert capsys.readouterr().err.startswith(f"error: {flag}: cannot write into ")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_command_of_every_optimizer_names_it_and_its_own_settings(sgd, optimizer):
    made = small_job(HP, optimizer=optimizer).configuration()
    words = keep.command(sgd.assign_attrs(configuration=json.dumps(made))).split()
    assert words[words.index("--optimizer") + 1] == optimizer
    assert ("--beta2" in words, "--eps" in words) == tuple(x in OPTIMIZERS[optimizer].extras for x in ("beta2", "eps"))


def test_a_broken_telescoping_is_seen_where_the_radial_gradient_is_unknown():
    """One step without a gradient makes it nan for the epoch."""
    record = load(FILES[0])
    broken = record.copy(deep=True)
    broken["log_cos_step"].loc[{"epoch": record.sizes["epoch"]}] *= 2
    for epochs in (slice(record.sizes["epoch"], None), slice(None)):
        one = broken.copy(deep=True)
        one["radial_gradient"].loc[{"epoch": epochs}] = np.nan
        [check] = [check for check in identities(one) if check.source == "1.3"]
        assert check.left > check.allowed
