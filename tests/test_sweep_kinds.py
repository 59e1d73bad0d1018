"""Sweeps of sphere runs and of trainings, and what stays with the collected numbers."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from sde_si import BadInput, regimes
from sde_si.record import SCHEMA, load
from sde_si.run import file_digest
from sde_si.sphere import cli
from sde_si.sphere.records import CODES
from sde_si.sweep import Sweep
from sde_si.sweep.kinds import trainings
from sde_si.sweep.tables import write
from validation.train import sources

SPHERE = {"alphas": [1.0, 2.0], "starts": 4, "iterations": 2000}


def test_a_sphere_run_has_the_file_of_the_command(tmp_path, capsys):
    study = Sweep(kind="sphere", base=SPHERE, grid={"effective_lr": [0.2, 2.0]}, seeds=2, out=tmp_path)
    with ThreadPoolExecutor(1) as executor:
        assert study.run(executor=executor, quiet=True).done == 4
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.nc")}
    flags = ["--alphas", "1,2", "--starts", "4", "--iterations", "2000", "--no-threshold", "--no-figure", "--out"]
    assert cli.main(["--effective-lr", "0.2,2", *flags, str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    assert "2 of 2 effective LRs: loaded" in said.err
    shown = json.loads(said.out)["sweep"]
    assert [one["regime"] for one in shown] == ["convergence", "chaotic equilibrium"]
    # and what the command computes is what the sweep has written, byte for byte but for the provenance
    assert cli.main(["--effective-lr", "0.2,2", *flags, str(tmp_path / "own"), "--quiet"]) == 0
    for one in shown:
        name = Path(one["record"]).name
        assert name in before
        first, second = (load(folder / name) for folder in (tmp_path, tmp_path / "own"))
        first.attrs.pop("provenance")
        second.attrs.pop("provenance")
        xr.testing.assert_identical(first, second)
    capsys.readouterr()
    data = study.collect(quiet=True)
    assert data["regime"].dims == ("effective_lr", "seed")
    found = data["regime"].sel(effective_lr=0.2).values
    assert set(found) == {CODES[regimes.CONVERGENCE]}
    assert np.allclose(data["loss_mean"].sel(effective_lr=2.0).mean("path"), (3 - 1 / 2) / 2, rtol=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"effective_lr": "0.1"}, "one number"), ({"effective_lr": -1.0}, "effective_lr"), ({}, "one number"),
     ({"effective_lr": 0.1, "lr": 0.1}, "sde-si sphere"),
     ({"effective_lr": 0.1, "no_threshold": True}, "sde-si sphere"),
     ({"effective_lr": 0.1, "starts": 0}, "starts")],
)  # fmt: skip
def test_wrong_settings_of_a_sphere_run_are_refused(settings, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        Sweep(kind="sphere", base=settings, out=tmp_path).check()


TRAIN = {"network": "si-mlp", "width": 8, "data": "synthetic", "N": 128, "B": 32, "epochs": 2, "noise_batches": 0,
         "device": "cpu", "lr": 0.1}  # fmt: skip


def test_a_training_is_a_program_whose_record_is_read(tmp_path):
    pytest.importorskip("torch")
    study = Sweep(kind="train", base=TRAIN, grid={"tuning_factor": [0.05], "optimizer": ["sgd", "nonsense"]},
                  solve_for="wd", out=tmp_path)  # fmt: skip
    with ThreadPoolExecutor(1) as executor:
        summary = study.run(executor=executor, quiet=True)
    assert (summary.done, summary.failed) == (1, 1), summary.reasons
    assert "one of" in summary.reasons[0][2]
    assert "nonsense" in summary.reasons[0][2]
    [path] = tmp_path.glob("train-sgd-*.nc")
    record = load(path)
    assert record.attrs["digest"][:12] in path.name
    assert record.attrs["trained_digest"] != record.attrs["digest"]
    assert record.attrs["tuning_factor"] == pytest.approx(0.05)
    assert record.sizes["epoch"] == 2


def _changed(name, path):
    return "" if str(path).endswith(name) else file_digest(path)


def test_settings_of_a_training_are_those_of_the_trainer(tmp_path, monkeypatch):
    assert {"network", "lr", "optimizer", "seed", "augment"} <= trainings.flags()
    assert not {"out", "json", "resume"} & trainings.flags()
    with pytest.raises(BadInput, match="settings of the trainer"):
        Sweep(kind="train", base={"netwrok": "si-mlp"}, out=tmp_path).check()
    with pytest.raises(BadInput, match="N beside it"):
        Sweep(kind="train", base={"tuning_factor": 0.1}, solve_for="wd", out=tmp_path).check()
    one, same = ({"optimizer": "sgd", "momentum": 0.5, **more} for more in ({}, {"device": "cpu", "stack": 2}))
    assert trainings.train(one).name == trainings.train(same).name
    assert trainings.train(one).name != trainings.train(one | {"momentum": 0.9}).name
    assert trainings._sources() == sources.whole()
    assert {"sde_si/schedules/functions.py", "sde_si/audit/search.py", "validation/networks/resnet.py"} <= (
        sources.files().keys()
    )
    before = sources.whole()
    for name in ("train/cli.py", "data/files.py", "networks/resnet.py"):  # defaults, images, networks
        with monkeypatch.context() as patched:
            patched.setattr(sources, "file_digest", functools.partial(_changed, name))
            assert sources.whole() != before, name
    assert trainings.decoupled({"optimizer": "adamw"})
    assert not trainings.decoupled({"optimizer": "adam"})


def test_a_trainer_that_is_not_there_is_named(monkeypatch, tmp_path):
    trainings.trainer.cache_clear()
    trainings.flags.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(BadInput, match="PYTHONPATH"):
        Sweep(kind="train", base=TRAIN, out=tmp_path).check()
    monkeypatch.undo()
    trainings.trainer.cache_clear()


FUNCTION = """
import xarray as xr

def measured(lr, seed):
    return xr.Dataset({"angle_epoch": (("path", "epoch"), [[lr, seed]] * 3, {"units": "rad", "long_name": "turn"})},
                      {"epoch": ("epoch", [1, 2], {"units": "epochs"})})
"""


def test_units_and_provenance_stay_with_collected_numbers(tmp_path):
    (tmp_path / "measured.py").write_text(FUNCTION)
    study = Sweep(function=f"{tmp_path}/measured.py:measured", grid={"lr": [0.5, 1.5]}, seeds=2, out=tmp_path / "out")
    with ThreadPoolExecutor(1) as executor:
        assert study.run(executor=executor, quiet=True).done == 4
    next((tmp_path / "out").glob("*.nc")).unlink()
    data = study.collect(quiet=True)
    write(data, tmp_path / "all.nc")
    again = xr.open_dataset(tmp_path / "all.nc", engine="scipy")
    for one in (data, again):
        assert one["angle_epoch"].attrs["units"] == "rad"
        assert one["epoch"].attrs["units"] == "epochs"
        assert one["lr"].attrs["units"] == SCHEMA["lr"][1]
        made = json.loads(one.attrs["provenance"])
        assert made["runs"]["host"] == made["collected"]["host"] == os.uname().nodename
        times = made["runs"]["written"]
        assert re.match(r"\d{4}-", times if isinstance(times, str) else times[0])
        names = set(one["record"].values.ravel().tolist())
        assert names == {path.name for path in (tmp_path / "out").glob("*.nc")} | {""}
    pd, pq = pytest.importorskip("pandas"), pytest.importorskip("pyarrow.parquet")
    write(data, tmp_path / "all.parquet")
    frame = pd.read_parquet(tmp_path / "all.parquet")
    assert len(frame) == 8
    assert frame.attrs["units"]["angle_epoch"] == frame.attrs["units"]["angle_epoch_stderr"] == "rad"
    assert json.loads(frame.attrs["provenance"])["runs"]["host"] == os.uname().nodename
    field = pq.read_schema(tmp_path / "all.parquet").field("angle_epoch_stderr")
    assert field.metadata[b"units"] == b"rad"
    assert field.metadata[b"long_name"] == b"standard error of the mean: turn"


MINE = """
import dataclasses
from sde_si import LOSSES
MINE = dataclasses.replace(LOSSES["isotropic"], name="mine")
"""


@pytest.mark.parametrize(
    ("kind", "settings"),
    [("simulate", {"loss": "regression", "data": "a.npy", "target": "b.npy", "B": 2, "epochs": 2, "paths": 2}),
     ("simulate", {"loss": "mine.py:MINE", "dim": 3, "N": 4, "B": 2, "epochs": 2, "paths": 2}),
     ("sphere", {"loss": "regression", "data": "a.npy", "target": "b.npy", "effective_lr": 0.1, "starts": 2,
                 "iterations": 100, "method": "sgd"}),
     ("call", {"x": 2.0})],
)  # fmt: skip
def test_a_worker_in_another_folder_finds_the_files(kind, settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    np.save("a.npy", rng.standard_normal((8, 3)))
    np.save("b.npy", rng.standard_normal(8))
    Path("mine.py").write_text(MINE)
    # the name of a module of Python's own, which a later import must not get
    Path("statistics.py").write_text("def twice(x):\n    return 2 * x\n")
    before = sys.modules.get("statistics")
    function = {"function": "statistics.py:twice"} if kind == "call" else {}
    job = Sweep(kind=kind, base=settings, **function).job({})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert job.make().attrs["digest"] == job.digest
    assert sys.modules.get("statistics") is before
