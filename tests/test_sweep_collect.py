"""What comes out of a sweep: collected functions, simulations and commands."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import sweep_functions
from sweep_functions import BASE, statuses

from sde_si import HyperParameters, Problem, simulate
from sde_si.sweep import Sweep, table

functions = sweep_functions.functions


def test_collected_functions(functions, tmp_path):
    study = Sweep(function=f"{functions}:product", grid={"a": [1.5, 2.0], "b": [2, 4]}, out=tmp_path)
    assert study.run(executor="local:2", quiet=True).done == 4
    data = study.collect()
    assert dict(data.sizes) == {"a": 2, "b": 2, "curve_0": 4}
    assert data["product"].sel(a=1.5, b=4).item() == 6
    assert np.array_equal(data["curve"].sel(a=2.0, b=2), [0, 2, np.nan, np.nan], equal_nan=True)
    rows = table(data[["product"]])
    assert rows["product"].tolist() == [3, 6, 4, 8]


def test_collected_simulations_equal_single_ones(tmp_path):
    study = Sweep(
        base={name: value for name, value in BASE.items() if name != "paths"},
        grid={"tuning_factor": [0.1, 0.4], "method": ["sgd", "sgdw"]},
        zipped={"lr": [0.1, 0.2], "paths": [3, 5]}, solve_for="wd", seeds=2, out=tmp_path,
    )  # fmt: skip
    assert study.run(executor="local:2", quiet=True).done == 16
    data = study.collect()
    assert dict(data.sizes) == {"lr_paths": 2, "tuning_factor": 2, "method": 2, "seed": 2, "path": 5, "epoch": 3,
                                "group": 1}  # fmt: skip
    wd = data["wd"].isel(lr_paths=0, seed=0)
    assert wd.sel({"tuning_factor": 0.4, "method": "sgd"}).item() == pytest.approx(0.4 * 64 * 0.1 / (640 * 0.1))
    assert wd.sel({"tuning_factor": 0.4, "method": "sgdw"}).item() == pytest.approx(0.4 * 64 / (640 * 0.1))
    point = {"tuning_factor": 0.1, "method": "sgd"}
    hp = HyperParameters(N=640, B=64, lr=0.2, wd=wd.sel(point).item() / 2, epochs=3)
    single = simulate(Problem("isotropic", dim=6), hp, method="sgd", paths=5, seed=1)
    ours = data["angle_epoch"].sel(point | {"seed": 1}).isel(lr_paths=1)
    assert np.allclose(ours, single["angle_epoch"], rtol=1e-12)
    assert data["angle_epoch"].isel(lr_paths=0, path=slice(3, None)).isnull().all()
    means = table(data).query("lr == 0.2 and method == 'sgd' and seed == 1 and tuning_factor == 0.1")
    assert np.allclose(means["weight_norm"], single["weight_norm"].mean("path").values[:, 0])


def test_damaged_and_foreign_files_are_named_and_skipped(functions, tmp_path, capsys):
    out = tmp_path / "out"
    study = Sweep(function=f"{functions}:product", grid={"a": [1, 2, 3, 4]}, base={"b": 2}, out=out)
    study.run(executor="local:1", quiet=True)
    names = [job.name for job in study.jobs()]
    whole = (out / names[0]).read_bytes()
    (out / names[0]).write_bytes(whole[: len(whole) // 2])
    (out / names[1]).write_bytes(whole)
    (out / names[2]).write_bytes(b"")
    (out / "call-notes.nc").write_text("nothing of ours")
    assert statuses(study) == {"done": 1, "unreadable": 3}
    data = study.collect()
    said = capsys.readouterr().err
    assert all(name in said for name in [*names[:3], "call-notes.nc"])
    assert names[3] not in said
    assert np.array_equal(data["product"], [np.nan, np.nan, np.nan, 8], equal_nan=True)
    summary = study.run(executor="local:1", quiet=True)
    assert (summary.done, summary.reused) == (3, 1)
    assert np.array_equal(study.collect()["product"], [2, 4, 6, 8])
    assert len(list((out / "failed").glob("*.unreadable"))) == 3, "what stood there is kept"


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{python} -c \"print('hello'); print('{{\\\"y\\\": ' + str({a} * 2) + '}}')\"", 4.0),
        ("{python} write.py {a} {out}", 5.0),
    ],
)
def test_commands(template, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "write.py").write_text(
        "import sys, xarray\nxarray.Dataset({'y': float(sys.argv[1]) + 3}).to_netcdf(sys.argv[2], engine='scipy')\n"
    )
    study = Sweep(command=template, grid={"a": [2]}, base={"python": sys.executable}, out=tmp_path / "out")
    summary = study.run(executor="local:1", quiet=True)
    assert summary.done == 1, summary.reasons
    assert study.collect()["y"].item() == value


def test_a_command_that_fails_tells_its_own_reason(tmp_path):
    study = Sweep(command="ls {a}", grid={"a": ["/no/such/place"]}, out=tmp_path)
    summary = study.run(executor="local:1", quiet=True)
    assert summary.failed == 1
    assert "/no/such/place" in summary.reasons[0][2]
