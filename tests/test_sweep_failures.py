"""Runs that fail, diverge, hang or die, limits of time, Ctrl-C: nothing stops the others."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import sweep_functions
from sweep_functions import BASE, FUNCTIONS, statuses

from sde_si.sweep import Sweep

functions = sweep_functions.functions

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


def test_time_limit_stops_cleanly_and_the_rest_follows(functions, tmp_path):
    source = FUNCTIONS + "\ndef slow(seed):\n    time.sleep(0.4)\n    return float(seed)\n"
    (tmp_path / "slow.py").write_text(source)
    study = Sweep(function=f"{tmp_path}/slow.py:slow", seeds=200, out=tmp_path / "o")
    summary = study.run(executor="local:1", minutes=0.1, quiet=True)
    assert 0 < summary.done < 200
    assert summary.missing == 200 - summary.done
    assert "0.1 minutes" in summary.stopped
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
