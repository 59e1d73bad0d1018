"""Running experiments: each runs, survives a kill, stops in time, and refuses wrong input."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

import xarray as xr  # noqa: E402

from sde_si.errors import BAD_INPUT, DISK, DONE, UNFINISHED, Damaged  # noqa: E402
from sde_si.record import save  # noqa: E402
from sde_si.sweep.status import Status  # noqa: E402
from sde_si.sweep.worker import perform  # noqa: E402
from validation.experiments import EXPERIMENTS, current, load, path_of, present  # noqa: E402
from validation.experiments.base import Cell, cell, unique  # noqa: E402
from validation.experiments.build import build  # noqa: E402
from validation.experiments.cli import main  # noqa: E402
from validation.experiments.kept import places  # noqa: E402
from validation.experiments.run import Plan  # noqa: E402
from validation.experiments.summary import up_to_date  # noqa: E402
from validation.experiments.work import run_of  # noqa: E402

ROOT = Path(__file__).parent.parent

QUICK = "wan-lr-drop"


def run(tmp_path, *words):
    return main([*words, "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out"), "--quiet"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of the experiment in `QUICK`, run once."""
    folder = tmp_path_factory.mktemp("quick")
    assert run(folder, QUICK, "--scale", "tiny", "--workers", "1") == DONE
    return folder


def test_the_quick_experiment_runs(finished):
    assert _runs(QUICK, finished) == DONE


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Folder in which experiments find the runs that others have made."""
    return tmp_path_factory.mktemp("experiments")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != QUICK])
def test_experiments_run(name, shared):
    """Trained here: workers, which the quick one has, would each import torch anew for every experiment."""
    work = shared / "work"
    missing = Plan(EXPERIMENTS[name], "tiny", 1, work, shared / "out").missing()
    work.mkdir(exist_ok=True)
    ended = perform([run_of(*one, work, device="cpu", data_dir=None) for one in missing], str(work), None)
    assert [one.reason for one in ended if one.status is not Status.DONE] == []
    assert _runs(name, shared) == DONE


def _runs(name, tmp_path):
    assert run(tmp_path, name, "--scale", "tiny", "--workers", "1") == DONE
    data = load(name, folder=tmp_path / "out")
    experiment = EXPERIMENTS[name]
    cells = experiment.cells("tiny")
    assert data.sizes["cell"] == len(cells)
    assert ("group" in data.dims) == experiment.groups
    assert data.attrs["digest"] == current(name, "tiny")
    assert data.attrs["command"] == f"python -m validation.experiments {name} --scale tiny --seeds 1"
    assert json.loads(data.attrs["provenance"])["runs"] == len(unique(cells))
    assert json.loads(data.attrs["provenance"])["seconds"] > 0
    assert json.loads(data.attrs["paper"]) == json.loads(json.dumps(dict(experiment.paper)))
    for label in {key for one in cells for key in one.labels}:
        assert "cell" in data[label].dims
    assert np.isfinite(data["angle_step"]).any()
    np.testing.assert_allclose(data["N"], [one.settings["N"] for one in cells])
    # A second time nothing is trained, and the summary stays.
    before = path_of(name, "tiny", tmp_path / "out").read_bytes()
    again = run(tmp_path, name, "--scale", "tiny")
    assert path_of(name, "tiny", tmp_path / "out").read_bytes() == before
    return again


def numbers(path):
    with xr.open_dataset(path, engine="scipy") as opened:
        data = opened.load()
    del data.attrs["provenance"]
    return data


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_the_same(finished, tmp_path, capsys):
    words = [sys.executable, "-m", "validation.experiments", QUICK, "--scale", "tiny", "--workers", "1", "--quiet"]
    words += ["--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    with subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        limit = time.monotonic() + 120
        while not list((tmp_path / "work").glob("*.nc")):
            assert time.monotonic() < limit
            assert process.poll() is None
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
    left = {path.name: path.read_bytes() for path in (tmp_path / "work").glob("*.nc")}
    assert 0 < len(left) < 4
    assert not list((tmp_path / "out").glob("*.nc"))
    assert run(tmp_path, QUICK, "--scale", "tiny", "--workers", "1", "--json") == DONE
    assert f"{len(left)} found done" in json.loads(capsys.readouterr().out)["experiments"][0]["text"]
    assert all((tmp_path / "work" / name).read_bytes() == content for name, content in left.items())
    xr.testing.assert_identical(*(numbers(path_of(QUICK, "tiny", p / "out")) for p in (tmp_path, finished)))


def test_what_a_summary_holds_is_not_trained_again(finished, tmp_path, capsys):
    name = path_of(QUICK, "tiny", tmp_path / "out").name
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes((finished / "out" / name).read_bytes())
    first = numbers(tmp_path / "out" / name)
    words = ["--scale", "tiny", "--seeds", "2", "--workers", "1", "--json"]
    assert run(tmp_path, QUICK, *words, "--dry-run") == DONE
    assert json.loads(capsys.readouterr().out)["experiments"][0]["missing"] == first.sizes["cell"]
    assert run(tmp_path, QUICK, *words) == DONE
    said = json.loads(capsys.readouterr().out)["experiments"][0]["text"]
    assert f"0 found done, {first.sizes['cell']} held by summaries" in said
    both = load(QUICK, "tiny", folder=tmp_path / "out")
    made = json.loads(both.attrs["provenance"])
    assert (made["runs"], made["kept_in"]) == (2 * first.sizes["cell"], QUICK)
    for key in ("angle_epoch", "weight_norm_predicted", "test_accuracy"):
        np.testing.assert_array_equal(both[key].isel(seed=0), first[key].isel(seed=0))
        assert (both[key].isel(seed=1) != both[key].isel(seed=0)).any()


@pytest.mark.parametrize("name", ["wan-equilibrium", "scaling-rules", "yun-table5"])
def test_a_summary_comes_back_from_the_runs_it_holds(name, tmp_path):
    data = load(name, "cpu")
    plan = Plan(EXPERIMENTS[name], "cpu", data.sizes["seed"], tmp_path)
    assert plan.held == len(plan.runs)
    again = build(plan.experiment, "cpu", plan.seeds, plan.record)
    before = numbers(path_of(name, "cpu"))
    before.attrs.pop("checksum", None)
    del again.attrs["provenance"]
    xr.testing.assert_identical(before, again)


def test_a_summary_that_keeps_less_serves_nobody_who_needs_more(tmp_path):
    (tmp_path / "wan-equilibrium-cpu.nc").write_bytes(path_of("wan-equilibrium", "cpu").read_bytes())
    (tmp_path / "yun-table5-cpu.nc").write_bytes(path_of("yun-table5", "cpu").read_bytes())
    table = EXPERIMENTS["yun-table1"]
    shared = places(table, "cpu", tmp_path)
    assert {place.summary.attrs["experiment"] for place in shared.values()} == {"yun-table5"}
    assert len(shared) == 3 * 3  # B = 64, wd = 0.0032: one cell a column
    assert not places(dataclasses.replace(table, groups=True), "cpu", tmp_path)
    assert not places(dataclasses.replace(table, more=("split_drift",)), "cpu", tmp_path)
    (tmp_path / "yun-table5-cpu.nc").write_bytes(b"CDF\x02 and no more")
    assert not places(table, "cpu", tmp_path)


def test_runs_are_known_by_their_settings_whatever_has_become_of_the_experiment(tmp_path):
    (tmp_path / "yun-table5-cpu.nc").write_bytes(path_of("yun-table5", "cpu").read_bytes())
    table = EXPERIMENTS["yun-table5"]
    more = dataclasses.replace(
        table,
        cells=lambda scale: [*(Cell(one.settings, {"new": 1.0}) for one in table.cells(scale)),
                             cell(table.cells(scale)[0].settings, {"lr": 0.3})],
    )  # fmt: skip
    plan = Plan(more, "cpu", 3, tmp_path / "work", tmp_path)
    assert [(one.settings["lr"], seed) for one, seed in plan.missing()] == [(0.3, 0), (0.3, 1), (0.3, 2)]


def test_a_narrow_summary_leaves_no_file_that_a_wider_experiment_would_take(finished, tmp_path):
    """What the summary of one experiment lacks another needs: it trains it, in the same folder of runs."""
    (tmp_path / "out").mkdir()
    name = path_of(QUICK, "tiny", tmp_path / "out").name
    (tmp_path / "out" / name).write_bytes((finished / "out" / name).read_bytes())
    wide = dataclasses.replace(EXPERIMENTS[QUICK], more=("split_drift",))
    assert "split_drift" not in EXPERIMENTS[QUICK].record
    assert run(tmp_path, QUICK, "--scale", "tiny", "--seeds", "1", "--rebuild") == DONE
    assert not list((tmp_path / "work").glob("*.nc"))
    assert Plan(wide, "tiny", 1, tmp_path / "work", tmp_path / "out").held == 0


def test_every_data_set_is_looked_for_before_any_work(tmp_path, capsys):
    """`reshuffling` trains on digits, which are always there, and on Fashion-MNIST."""
    assert main(["reshuffling", "--work", str(tmp_path / "work"), "--out", str(tmp_path), "--data-dir",
                 str(tmp_path / "nowhere")]) in (BAD_INPUT, DISK)  # fmt: skip
    assert "nowhere" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.nc"))


def test_a_time_limit_stops_cleanly_and_writes_no_summary(tmp_path, capsys):
    assert run(tmp_path, "wan-equilibrium", "--scale", "tiny", "--max-minutes", "0.0001", "--json") == UNFINISHED
    [row] = json.loads(capsys.readouterr().out)["experiments"]
    assert row["status"] == "unfinished"
    assert not present("wan-equilibrium", tmp_path / "out")


def test_a_summary_of_another_configuration_is_out_of_date(tmp_path, capsys):
    name = "wan-lr-drop"
    made = xr.Dataset({"angle_epoch": (("cell", "seed"), np.zeros((1, 2)))})
    made.attrs = {"experiment": name, "scale": "tiny", "digest": current(name, "tiny")}
    save(made, path_of(name, "tiny", tmp_path))
    assert up_to_date(name, "tiny", 2, tmp_path)
    assert not up_to_date(name, "tiny", 3, tmp_path)
    assert not up_to_date(name, "cpu", 2, tmp_path)
    made.attrs["digest"] = "0" * 64
    save(made, path_of(name, "tiny", tmp_path))
    assert not up_to_date(name, "tiny", 2, tmp_path)
    assert run(tmp_path, name, "--pending", "--scale", "tiny", "--json") == DONE
    [row] = json.loads(capsys.readouterr().out)["experiments"]
    assert row["missing"] == 4
    assert (row["recorded"], row["damaged"]) == (False, False)


@pytest.mark.parametrize("fault", ["a changed number", "cut off", "of another experiment", "without a checksum"])
def test_a_damaged_summary_is_named_and_moved_aside(fault, finished, tmp_path, capsys):
    whole = path_of(QUICK, "tiny", finished / "out").read_bytes()
    (tmp_path / "out").mkdir()
    (tmp_path / "work").symlink_to(finished / "work")
    path = path_of(QUICK, "tiny", tmp_path / "out")
    if fault == "without a checksum":
        xr.load_dataset(io.BytesIO(whole), engine="scipy").drop_attrs(deep=False).to_netcdf(path, engine="scipy")
    else:
        middle = len(whole) // 2
        path.write_bytes({
            "a changed number": whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :],
            "cut off": whole[:middle],
            "of another experiment": path_of("tricks", "cpu").read_bytes(),
        }[fault])  # fmt: skip
    with pytest.raises(Damaged, match=f"restore it, or make it again: .*{QUICK} --scale tiny"):
        load(QUICK, folder=tmp_path / "out")
    assert not places(EXPERIMENTS[QUICK], "tiny", tmp_path / "out")
    words = [QUICK, "--scale", "tiny", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    assert main([*words, "--pending"]) == DONE
    out, err = capsys.readouterr()
    assert "the record is damaged, 0 of 4 runs to do" in out
    assert str(path) in err
    broken = path.read_bytes()
    assert main(words) == DONE
    assert "it is made again" in capsys.readouterr().err
    assert (path.parent / "failed" / f"{path.name}.unreadable").read_bytes() == broken
    xr.testing.assert_identical(numbers(path), numbers(path_of(QUICK, "tiny", finished / "out")))
