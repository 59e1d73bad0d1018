"""Sweeps: axes, digests, collection, the command line, failures, executors."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import xarray as xr

from sde_si import BadInput, HyperParameters, Problem, simulate
from sde_si.record import load
from sde_si.sweep import Sweep, table
from sde_si.sweep.axes import SOLVABLE, solve_tuning_factor
from sde_si.sweep.cli import main
from sde_si.sweep.pool import LocalPool, WorkerDied

BASE = {"N": 640, "B": 64, "dim": 6, "paths": 9, "epochs": 3}

FUNCTIONS = '''
import os, signal, time
import numpy as np
import xarray as xr
from sde_si.sweep import Diverged

def product(a, b):
    return {"product": a * b, "curve": np.arange(b) * a}

def record(a, seed):
    values = np.random.default_rng(seed).standard_normal((a, 2))
    return xr.Dataset({"x": (("path", "epoch"), values)}, {"epoch": [1, 2]})

def treacherous(how, marks):
    """Fails in the way asked for; the first attempts leave marks."""
    mark = os.path.join(marks, how)
    with open(mark, "a") as file:
        file.write(".")
    attempt = os.path.getsize(mark)
    if how == "raise":
        raise ValueError("no such thing")
    if how == "raise once" and attempt == 1:
        raise ValueError("not yet")
    if how == "diverge":
        raise Diverged("at step 3")
    if how == "hang":
        time.sleep(600)
    if how == "die" or (how == "die once" and attempt == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "exit":
        os._exit(5)
    if how == "no record":
        return "text"
    return {"attempt": 1.0}
'''


@pytest.fixture
def functions(tmp_path):
    file = tmp_path / "functions.py"
    file.write_text(FUNCTIONS)
    return str(file)


def statuses(study):
    return {name: len(jobs) for name, jobs in study.status().items() if jobs}


# ---- axes

AXES = [
    ({"grid": {"a": [1, 2], "b": [3, 4, 5]}}, {"a": 2, "b": 3}),
    ({"zipped": {"a": [1, 2], "b": [3, 4]}}, {"a_b": 2}),
    ({"runs": [{"a": 1, "b": 2}, {"a": 3, "b": 4}], "seeds": 3}, {"run": 2, "seed": 3}),
    ({"grid": {"b": {"range": [4]}}, "base": {"a": 1}}, {"b": 4}),
    ({"base": {"a": 1, "b": 2}}, {}),
]


@pytest.mark.parametrize(("what", "dims"), AXES)
def test_points_are_the_product_of_the_axes(functions, what, dims):
    study = Sweep(function=f"{functions}:product", **what)
    jobs = list(study.jobs())
    assert study.dims == dims
    assert len(jobs) == len(study) == np.prod(list(dims.values()), dtype=int)
    assert len({job.name for job in jobs}) == len(jobs)


def test_spaced_axes_have_their_ends_exactly():
    study = Sweep(base=BASE, grid={"lr": {"log": [0.01, 1, 5]}, "wd": {"linear": [1e-3, 5e-3, 3]}})
    lr, wd = ([v for (v,) in axis.values] for axis in study.axes)
    assert (lr[0], lr[-1]) == (0.01, 1)
    assert np.allclose(np.diff(np.log(lr)), np.log(100) / 4)
    assert np.allclose(wd, [1e-3, 3e-3, 5e-3])


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("target", SOLVABLE)
def test_the_tuning_factor_fixes_one_of_the_others(target, decoupled):
    hp = HyperParameters(N=5120, B=64, lr=0.2, wd=3e-3, momentum=0.8)
    factor = hp.decoupled_tuning_factor if decoupled else hp.tuning_factor
    others = {name: getattr(hp, name) for name in SOLVABLE if name != target}
    if decoupled and target == "momentum":
        with pytest.raises(BadInput, match="decoupled"):
            solve_tuning_factor({**others, "tuning_factor": factor}, target, decoupled=True)
        return
    solved = solve_tuning_factor({**others, "tuning_factor": factor}, target, decoupled=decoupled)
    assert solved[target] == pytest.approx(getattr(hp, target), rel=1e-12)
    assert "tuning_factor" not in solved


BAD = [
    ({"grid": {"lr": []}}, "at least one value"),
    ({"grid": {"lr": 0.1}}, "a list of values"),
    ({"grid": {"lr": [0.1, 0.1]}}, "each value once"),
    ({"grid": {"lr": {"log": [0, 1, 3]}}}, "positive ends"),
    ({"grid": {"lr": {"cubic": [0, 1, 3]}}}, "linear, log, range"),
    ({"zipped": {"lr": [0.1], "wd": [1e-3, 2e-3]}}, "one length"),
    ({"grid": {"seed": [1]}, "seeds": 2}, "on two"),
    ({"grid": {"lr": [0.1]}, "base": {"lr": 0.2}}, "in both"),
    ({"runs": [{"lr": 0.1}, {"wd": 1e-3}]}, "same settings"),
    ({"seeds": -1}, "whole number >= 1"),
    ({"seeds": 0}, "whole number >= 1"),
    ({"kind": "dream"}, "one of"),
    ({"kind": "call"}, "function"),
    ({"function": len, "command": "ls"}, "both"),
    ({"solve_for": "wd"}, "tuning_factor"),
    ({"grid": {"lr": [object()]}}, "number, text"),
]


@pytest.mark.parametrize(("what", "message"), BAD)
def test_contradictory_sweeps_are_refused(what, message):
    with pytest.raises(BadInput, match=message):
        Sweep(**what).dims  # noqa: B018


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"grid": {"learning_rate": [0.1]}}, "settings of a simulation"),
        ({"grid": {"tuning_factor": [0.1]}}, "what tuning_factor fixes"),
        ({"grid": {"method": ["sgd", "nosuch"]}}, "method"),
        ({"base": {"epochs": "auto"}}, "a number of epochs"),
        ({"base": {"B": 1000}, "grid": {"N": [2000, 500]}}, "batch of at most"),
    ],
)
def test_wrong_settings_are_refused_before_any_work(what, message, tmp_path):
    with pytest.raises(BadInput, match=message):
        Sweep(**what, out=tmp_path / "out").run(quiet=True)
    assert not (tmp_path / "out").exists()


# ---- digests


def test_a_simulation_has_the_file_that_the_simulator_gives_it(tmp_path, capsys):
    from sde_si.simulate.cli import main as simulate_main

    study = Sweep(base=BASE | {"wd": 5e-3}, grid={"method": ["sgd", "em"]}, seeds=1, out=tmp_path)
    flags = [word for name, value in BASE.items() for word in (f"--{name}", str(value))]
    flags += ["--wd", "5e-3", "--method", "sgd", "--out", str(tmp_path), "--no-figure", "--quiet"]
    assert simulate_main(flags) == 0
    assert study.run(executor="local:1", quiet=True).reused == 1
    record = load(tmp_path / next(study.jobs()).name)
    same = simulate(Problem("isotropic", dim=6), HyperParameters(N=640, B=64, epochs=3, wd=5e-3), paths=9, method="sgd")
    assert np.array_equal(record["cos_epoch"], same["cos_epoch"])


@pytest.mark.parametrize("loss", ["isotropic", "regression", "vmf"])
def test_each_seed_has_the_name_that_it_has_alone(loss):
    from sde_si.sweep.kinds import simulations

    together = [job.name for job in Sweep(base=BASE | {"loss": loss}, grid={"lr": [0.1, 0.2]}, seeds=3).jobs()]
    alone = []
    for lr in (0.1, 0.2):
        for seed in range(3):
            simulations._lengths.clear()
            alone.append(next(Sweep(base=BASE | {"loss": loss, "lr": lr, "seed": seed}).jobs()).name)
    assert together == alone


def test_whole_and_real_numbers_are_the_same_setting():
    [one], [other] = (list(Sweep(base=BASE | {"lr": lr}).jobs()) for lr in (1, 1.0))
    assert one.digest == other.digest


def test_a_function_that_changes_is_another_run(functions):
    from pathlib import Path

    from sde_si.run import file_digest

    study = Sweep(function=f"{functions}:product", base={"a": 1, "b": 2})
    [before] = study.jobs()
    Path(functions).write_text(FUNCTIONS + "\n# more\n")
    file_digest.cache_clear()
    [after] = study.jobs()
    assert before.name != after.name


def test_functions_whose_variables_no_digest_sees_are_refused():
    hidden = 3
    with pytest.raises(BadInput, match="captures no variables"):
        list(Sweep(function=lambda a: a * hidden, grid={"a": [1]}).jobs())


# ---- what comes out


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


# ---- failures


HOW = ["fine", "raise", "raise once", "diverge", "hang", "die", "die once", "exit", "no record"]


def test_no_failure_stops_the_others(functions, tmp_path):
    marks = tmp_path / "marks"
    marks.mkdir()
    study = Sweep(
        function=f"{functions}:treacherous", grid={"how": HOW}, base={"marks": str(marks)}, out=tmp_path / "o"
    )
    summary = study.run(executor="local:2", timeout=5.0, quiet=True)
    found = {name: status for name, status, _ in summary.reasons}
    became = {job.point["how"]: found.get(job.name, "done") for job in study.jobs()}
    assert became == {"fine": "done", "raise": "failed", "raise once": "failed", "diverge": "diverged",
                      "hang": "timeout", "die": "failed", "die once": "done", "exit": "failed",
                      "no record": "failed"}  # fmt: skip
    assert (summary.done, summary.failed, summary.diverged, summary.timeout) == (2, 5, 1, 1)
    assert (marks / "die").stat().st_size == 3, "three workers are enough"
    assert statuses(study) == {"done": 2, "failed": 7}
    again = study.run(executor="local:2", quiet=True)
    assert (again.reused, again.failed + again.diverged + again.timeout, again.done) == (2, 7, 0)
    tried = Sweep(
        function=f"{functions}:treacherous", grid={"how": ["fine", "raise", "raise once"]}, base={"marks": str(marks)},
        out=tmp_path / "o",
    ).run(executor="local:1", retry_failed=True, quiet=True)  # fmt: skip
    assert (tried.done, tried.failed, tried.reused) == (1, 1, 1)
    reason = json.loads(next((tmp_path / "o" / "failed").glob("*.json")).read_text())
    assert {"status", "reason", "point", "provenance"} <= reason.keys()


@pytest.mark.slow
def test_a_run_that_lets_nobody_else_speak_is_killed_from_outside(tmp_path, monkeypatch):
    monkeypatch.setattr("sde_si.sweep.executors.GRACE", 20.0)
    # The matcher of regular expressions holds the interpreter's lock for longer than the universe has existed.
    source = "import re\ndef stuck(n):\n    return float(bool(re.match('(a+)+$', 'a' * n + 'b')))\n"
    (tmp_path / "stuck.py").write_text(source)
    study = Sweep(function=f"{tmp_path}/stuck.py:stuck", grid={"n": [2, 60]}, out=tmp_path / "o")
    summary = study.run(executor="local:1", timeout=5.0, quiet=True)
    assert (summary.done, summary.timeout) == (1, 1)
    assert "had to be killed" in summary.reasons[0][2]


def test_only_what_living_processes_write_is_left_alone(tmp_path):
    from sde_si.disk import born, owner
    from sde_si.sweep.folder import Folder

    dead = subprocess.Popen([sys.executable, "-c", ""])
    while born(dead.pid):  # it has ended, and nobody has waited for it
        time.sleep(0.02)
    host = owner().rsplit("-", 2)[0]
    mine, other = f"{host}-{os.getpid()}-{born(os.getpid())}", f"{host}-{os.getpid()}-{born(os.getpid()) - 1}"
    kept = [f".a.nc.{mine}.abc", ".a.nc.elsewhere-1-5.abc", ".notes", "b.nc"]
    for name in [*kept, f".a.nc.{other}.abc", f".a.nc.{host}-{dead.pid}-77.abc", f".running.{host}-{dead.pid}-77.json"]:
        (tmp_path / name).write_text("[]")
    Folder(tmp_path).tidy()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    dead.wait()


def test_retries_at_once(functions, tmp_path):
    study = Sweep(
        function=f"{functions}:treacherous", grid={"how": ["raise", "raise once"]}, base={"marks": str(tmp_path)},
        out=tmp_path / "o",
    )  # fmt: skip
    summary = study.run(executor="local:1", retries=1, quiet=True)
    assert (summary.done, summary.failed) == (1, 1)
    assert (tmp_path / "raise").stat().st_size == 2


def test_a_diverged_simulation_is_recorded_apart(tmp_path):
    loud = {"noise_scale": 1e300, "init_norm": "1e-90"}
    study = Sweep(
        base=BASE | {"loss": "isotropic"}, runs=[{"noise_scale": 1.0, "init_norm": "1eq"}, loud], out=tmp_path
    )
    summary = study.run(executor="local:1", quiet=True)
    assert (summary.done, summary.diverged) == (1, 1), summary.reasons
    assert "all 9 paths diverged, the first at step" in summary.reasons[0][2]
    assert len(list(tmp_path.glob("*.nc"))) == 1


def test_a_pool_that_breaks_as_a_whole_is_rebuilt(functions, tmp_path):
    how = ["die once", "fine", "die", "exit"]
    study = Sweep(
        function=f"{functions}:treacherous", grid={"how": how}, base={"marks": str(tmp_path)}, out=tmp_path / "o"
    )
    made = []

    def executor():
        made.append(ProcessPoolExecutor(2, get_context("spawn")))
        return made[-1]

    summary = study.run(executor=executor, quiet=True)
    assert (summary.done, summary.failed) == (2, 2), summary.reasons
    assert len(made) > 1


def test_anything_with_submit_works(functions, tmp_path):
    study = Sweep(function=f"{functions}:product", grid={"a": [1, 2]}, base={"b": 2}, out=tmp_path)
    with ThreadPoolExecutor(2) as executor:
        assert study.run(executor=executor, quiet=True).done == 2


def test_local_pool_replaces_the_dead_and_keeps_the_others():
    pool = LocalPool(2)
    try:
        sleeping, dying = pool.submit(time.sleep, 0.5), pool.submit(os._exit, 7)
        with pytest.raises(WorkerDied, match="exit code 7"):
            dying.result(timeout=60)
        assert sleeping.result(timeout=60) is None
        assert pool.submit(pow, 2, 5).result(timeout=60) == 32
        first = pool.pids
        os.kill(first[0], signal.SIGKILL)
        while pool.pids == first:  # noticed at once, with nothing to do
            time.sleep(0.01)
        assert [pool.submit(pow, 2, n).result(timeout=60) for n in range(4)] == [1, 2, 4, 8]
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result(timeout=60) == "1"
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            pool.submit(divmod, 1, 0).result(timeout=60)
    finally:
        pool.shutdown()
    assert all(not os.path.exists(f"/proc/{pid}") for pid in pool.pids)  # noqa: PTH110


def test_time_limit_stops_cleanly_and_the_rest_follows(functions, tmp_path):
    source = FUNCTIONS + "\ndef slow(seed):\n    time.sleep(0.4)\n    return float(seed)\n"
    (tmp_path / "slow.py").write_text(source)
    study = Sweep(function=f"{tmp_path}/slow.py:slow", seeds=200, out=tmp_path / "o")
    summary = study.run(executor="local:1", minutes=0.3, quiet=True)
    assert 0 < summary.done < 200
    assert summary.missing == 200 - summary.done
    assert "0.3 minutes" in summary.stopped
    assert summary.seconds < 18 + 2
    assert statuses(study) == {"done": summary.done, "missing": summary.missing}
    assert not [p for p in (tmp_path / "o").iterdir() if p.name.startswith(".")]


def test_ctrl_c_keeps_what_is_finished_and_leaves_nobody_behind(tmp_path):
    (tmp_path / "slow.py").write_text("import time\ndef slow(seed):\n    time.sleep(0.3)\n    return float(seed)\n")
    (tmp_path / "slow.toml").write_text(f'function = "{tmp_path}/slow.py:slow"\nout = "{tmp_path}/o"\nseeds = 500\n')
    command = [sys.executable, "-m", "sde_si", "sweep", str(tmp_path / "slow.toml"), "--executor", "local:2"]
    pipe = subprocess.PIPE
    # A shell that runs the tests in the background has them ignore Ctrl-C, and their children with them.
    heed = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    options = {"text": True, "start_new_session": True, "preexec_fn": heed}
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, **options)
    while len(list((tmp_path / "o").glob("*.nc"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.strip() == "interrupted; finished records are kept"
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    found = statuses(Sweep(function=f"{tmp_path}/slow.py:slow", seeds=500, out=tmp_path / "o"))
    assert found["done"] >= 3
    assert found["done"] + found["missing"] == 500


# ---- command line


@pytest.fixture
def toml(tmp_path):
    file = tmp_path / "study.toml"
    file.write_text(
        f'out = "{tmp_path}/runs"\nsolve_for = "wd"\nseeds = 2\nexecutor = "local:1"\n'
        '[base]\nN = 640\nB = 64\ndim = 6\npaths = 3\nepochs = 2\n[grid]\ntuning_factor = [0.1, 0.2]\n'
    )  # fmt: skip
    return str(file)


def test_command_line_from_dry_run_to_parquet(toml, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def said(*words, code=0):
        assert main([*words, "--json", "--quiet"]) == code
        out = capsys.readouterr().out
        assert len(out.strip().splitlines()) == 1
        return json.loads(out, parse_constant=pytest.fail)

    plan = said(toml, "--dry-run")
    assert plan["counts"]["missing"] == 4
    assert plan["seconds"] > 0
    assert [run["point"] for run in plan["runs"]][1] == {"tuning_factor": 0.1, "seed": 1}
    assert not (tmp_path / "runs").exists()
    assert said("status", toml)["counts"]["missing"] == 4
    result = said(toml)
    assert (result["done"], result["missing"], result["stopped"]) == (4, 0, None)
    assert said(toml)["reused"] == 4
    assert said("status", toml)["counts"] == {"done": 4, "running": 0, "failed": 0, "missing": 0, "unreadable": 0}
    assert said("collect", toml)["dims"]["tuning_factor"] == 2
    assert xr.open_dataset(tmp_path / "study.nc", engine="scipy").sizes["seed"] == 2
    said("collect", toml, "--to", "all.parquet")
    import pandas as pd

    assert len(pd.read_parquet(tmp_path / "all.parquet")) == 4 * 2


def test_exit_codes(functions, tmp_path, capsys):
    file = tmp_path / "bad.toml"
    file.write_text(
        f'function = "{functions}:treacherous"\n[base]\nmarks = "{tmp_path}"\n[grid]\nhow = ["raise", "fine"]\n'
    )
    out = ["--out", str(tmp_path / "o")]
    assert main([str(file), *out, "--quiet"]) == 3
    text = capsys.readouterr().out
    assert "1 failed" in text
    assert "ValueError: no such thing" in text
    assert main(["status", str(file), *out]) == 0
    assert "1 done, 1 failed" in capsys.readouterr().out
    (tmp_path / "o" / "call-notes.nc").write_text("nothing of ours")
    assert main(["status", str(file), *out]) == 0
    assert "no run of this sweep, but in its folder: 1 of *.nc (call-notes.nc)" in capsys.readouterr().out
    assert main(["status", str(file), *out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["others"] == ["call-notes.nc"]
    for content in ("grod = 1", "[base]\nx = 1979-05-27", "kind = 3", "grid = 3", "not toml"):
        file.write_text(content)
        assert main([str(file)]) == 2, content
        captured = capsys.readouterr()
        assert not captured.out
        assert captured.err.startswith("error: ")
    assert main([str(tmp_path / "none.toml")]) == 2
    assert main(["collect", str(file), "--to", "x.csv"]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--executor", "local:0"),
        ("--executor", "foo"),
        ("--timeout", "-1"),
        ("--max-minutes", "0"),
        ("--retries", "-1"),
    ],
)
def test_a_dry_run_refuses_what_the_sweep_would(toml, words, capsys):
    assert main([toml, "--dry-run", "--quiet", *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"error: {words[0]}")
    assert err.count("\n") == 1


def test_a_function_that_ends_its_program_has_failed(tmp_path):
    (tmp_path / "leave.py").write_text(
        "import os\n\n\ndef leave(how):\n    if how == 'exit':\n        raise SystemExit('bye')\n"
        "    if how == 'code':\n        os._exit(3)\n    return 1.0\n"
    )
    study = Sweep(function=f"{tmp_path}/leave.py:leave", grid={"how": ["exit", "code", "stay"]}, out=tmp_path / "o")
    summary = study.run(executor="local:1", quiet=True)
    assert (summary.done, summary.failed) == (1, 2)
    reasons = " ".join(reason for _, _, reason in summary.reasons)
    assert "SystemExit: bye" in reasons
    assert "exit code 3" in reasons
    assert "SIG" not in reasons


@pytest.mark.parametrize("executor", ["remote", "local:0", "local:x", "dask:host", "slurm:minutes", "slurm:chunk=0", 7])
def test_bad_executors(executor, tmp_path):
    with pytest.raises(BadInput):
        Sweep(base=BASE, out=tmp_path / "o").run(executor=executor, quiet=True)
    assert not (tmp_path / "o").exists()


def test_a_task_cancelled_while_it_runs_does_not_end_the_pool():
    """As at Ctrl-C: whoever cancels is told that it is too late, and the next task is done."""
    pool = LocalPool(1)
    try:
        running = pool.submit(time.sleep, 0.5)
        queued = pool.submit(time.sleep, 60)
        while not running.running():
            time.sleep(0.01)
        assert not running.cancel()
        assert queued.cancel()
        assert running.result(30) is None
        assert pool.submit(abs, -3).result(30) == 3
        last, never = pool.submit(time.sleep, 60), pool.submit(time.sleep, 60)
        while not last.running():
            time.sleep(0.01)
    finally:
        pool.shutdown()
    with pytest.raises(WorkerDied, match="shut down"):
        last.result(0)
    assert never.cancelled()
