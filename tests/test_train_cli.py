"""The command line of the trainer, and what jobs refuse."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from small_training import HP, small_job

from sde_si import figures
from sde_si.errors import BadInput
from sde_si.record import load
from validation.data import AUGMENTATIONS, DATASETS
from validation.networks import NETWORKS, NORMS
from validation.train import cli
from validation.train.cli import main
from validation.train.optimizers import OPTIMIZERS

WORDS = ["--network", "si-mlp", "--width", "8", "--blocks", "2", "--data", "digits", "--N", "160", "--B", "32"]


def test_command_line(tmp_path, capsys):
    words = [*WORDS, "--epochs", "2", "--wd", "0.02", "--out", str(tmp_path), "--quiet"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["epochs"] == 2
    assert 0 < found["final"]["test_accuracy"]["value"] <= 1
    assert found["equilibrium"]["angle_step"]["predicted"] == pytest.approx((2 * 0.002 / 1.9) ** 0.5, rel=1e-3)
    assert not found["reused"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "rms angle per step" in shown
    assert "test accuracy" in shown


def test_divergence_is_recorded_and_exits_with_3(tmp_path, capsys):
    """A network with trained scales and last layer; one that is scale-invariant to all it trains survives this."""
    words = [*WORDS, "--network", "resnet18", "--width", "4", "--blocks", "1", "--lr", "1e20", "--wd", "0"]
    assert main([*words, "--epochs", "3", "--out", str(tmp_path), "--quiet", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert found["diverged"][0]["step"] < 10


@pytest.mark.parametrize(
    "words",
    [
        ["--network", "nonsense"],
        ["--data", "nonsense"],
        ["--N", "10000"],
        ["--B", "1"],
        ["--optimizer", "nonsense"],
        ["--effective-lr", "0.01"],
        ["--svag", "2"],
        ["--augment", "nonsense"],
        ["--device", "nonsense"],
        ["--lags", "5,1"],
        ["--schedule", "nonsense"],
        ["--blocks", "2,2"],
        ["--image-size", "3"],
        ["--precision", "fp8"],
        ["--effective-lr", "0.01", "--wd", "0", "--momentum", "0", "--rescale"],
        ["--constraint", "groups"],
        ["--augment", "flip,flip"],
        ["--curvature", "5", "--epochs", "1"],
        ["--response", "2", "--lags", "2", "--epochs", "2"],
        ["--lags", "99999999999999999999"],
        ["--epochs", "1", "--lags", "6"],  # of five steps
        ["--seed", "99999999999999999999999"],
        ["--seeds", "100000000000"],
        ["--epochs", "1000000000000"],
        ["--image-size", "10000000"],
        ["--width", "100000000"],
    ],
)
def test_bad_input(words, tmp_path, capsys):
    assert main([*WORDS, *words, "--out", str(tmp_path / "o"), "--quiet"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_what_counts_for_nothing_and_a_state_that_goes_is_said(tmp_path, capsys, monkeypatch):
    """The first is no mistake where a sweep gives it to all its runs."""
    words = [*WORDS, "--epochs", "1", "--out", str(tmp_path)]
    assert main([*words, "--norm", "layer", "--ghost", "16", "--data-dir", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "--ghost 16 counts for nothing with --norm layer" in printed.err
    assert "--data-dir counts for nothing with --data digits" in printed.err
    [record] = tmp_path.glob("train-*.nc")
    assert record.with_suffix(".png").exists()
    assert f"figure: {record.with_suffix('.png')}" in printed.out
    assert figures.overlay({"": load(record)}).get_suptitle().startswith("network=si-mlp  data=digits  optimizer=sgd")
    with monkeypatch.context() as patch:
        patch.setattr("sde_si.record.save", _interrupted)
        assert main(words) == 130
    assert "is removed" not in capsys.readouterr().err
    [state] = tmp_path.glob("state-*.pt")
    state.write_bytes(b"no state")
    assert main([*words, "--resume"]) == 4
    assert f"{state} is damaged, or no state of this training; remove it" in capsys.readouterr().err
    assert main(words) == 0
    assert f"the saved state of this run in {tmp_path} is removed" in capsys.readouterr().err
    assert not state.exists()


def _interrupted(*_):
    raise KeyboardInterrupt


def test_memory_that_ends_while_it_trains_is_one_message(tmp_path, capsys, monkeypatch):
    def no_memory(*_, **__):
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("validation.train.many.train", no_memory)
    assert main([*WORDS, "--epochs", "1", "--out", str(tmp_path), "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("error: not enough memory ([enforce fail at alloc_cpu")


def test_jobs_check_themselves():
    with pytest.raises(BadInput):
        small_job(seeds=0)


def test_a_network_makes_its_own_noise():
    with pytest.raises(BadInput, match="schedule"):
        small_job(HP.replace(schedule="noise:2"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--network", "si-resnet18", "--width", "4", "--blocks", "1", "--B", "65"],
            "batches of 65 in ghost batches of 64",
        ),
        (["--network", "si-convnet", "--width", "4", "--blocks", "6"], "of these images"),
        (["--stack", "0"], "stack: expected a whole number >= 1"),
    ],
)
def test_what_would_fail_in_the_middle_is_refused_before(words, said, tmp_path, capsys):
    assert main([*WORDS, *words, "--out", str(tmp_path), "--quiet"]) == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("*"))


def test_odd_widths_have_groups_and_few_samples_all_classes():
    from validation.data import load
    from validation.networks import build

    build("si-convnet", channels=1, size=8, classes=10, width=5, norm="group")
    assert load("digits", N=4).classes == 10


def test_help_and_page_name_what_the_registries_hold():
    """The help is free of torch, so its names stand in `validation.train.cli` again."""
    texts = {field.name: str(field.type) for field in dataclasses.fields(cli.Options)}
    page = (Path(cli.__file__).parents[2] / "docs" / "networks.md").read_text()
    for name, registry in (("network", NETWORKS), ("norm", NORMS), ("data", DATASETS), ("augment", AUGMENTATIONS),
                           ("optimizer", OPTIMIZERS)):  # fmt: skip
        for entry in registry:
            assert re.search(rf"\b{entry}\b", texts[name]), (name, entry)
            assert name in ("norm", "augment") or f"`{entry}`" in page, entry
    for name in ("beta2", "eps"):
        defaults = {optimizer.extras[name] for optimizer in OPTIMIZERS.values() if name in optimizer.extras}
        assert {float(one) for one in re.findall(r"\[([\d.e-]+)\]", texts[name])} == defaults
