"""Each run is done once, whoever is at work in a folder; a dead process keeps nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sde_si.sweep import Sweep, locks
from sde_si.sweep.folder import Folder
from sde_si.sweep.locks import NAME, claimed, free, tidy

ONE, OTHER = "0" * 64, "f" * 64
HOLD = (
    "import sys, time; from pathlib import Path; from sde_si.sweep.locks import claimed\n"
    "with claimed(Path(sys.argv[1]), sys.argv[2]) as got: print(got, flush=True); time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """Another process with a run in hand."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), ONE], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "True\n"
        yield child
        child.kill()


def test_what_another_process_has_is_refused_until_it_is_killed(holder, tmp_path):
    with claimed(tmp_path, ONE) as got:
        assert not got
    with claimed(tmp_path, OTHER) as got:
        assert got
    assert not free(tmp_path, ONE)
    tidy(tmp_path)
    assert (tmp_path / NAME).exists()
    assert (tmp_path / NAME).stat().st_size == 0
    holder.kill()
    holder.wait()
    # the kernel gave it back: there is nothing to clean up, and nothing to wait for
    assert free(tmp_path, ONE)
    with claimed(tmp_path, ONE) as got:
        assert got
    tidy(tmp_path)
    assert not list(tmp_path.iterdir())


def test_threads_of_one_process_exclude_each_other(tmp_path):
    with claimed(tmp_path, ONE) as first, claimed(tmp_path, ONE) as second:
        assert (first, second) == (True, False)
        tidy(tmp_path)
        assert (tmp_path / NAME).exists()
    assert free(tmp_path, ONE)


def test_a_file_that_was_removed_meanwhile_protects_nobody(tmp_path):
    """The name may stand for another file than the one that is open: the lock must be on the one that others find."""
    with claimed(tmp_path, ONE):
        pass
    (tmp_path / NAME).unlink()  # another sweep has come to its end
    with claimed(tmp_path, ONE) as got:
        assert got
        code = HOLD.replace("time.sleep(60)", "pass")
        said = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path), ONE], capture_output=True, text=True, check=True
        )
        assert said.stdout == "False\n"


def test_a_forked_child_holds_nothing(tmp_path):
    with claimed(tmp_path, ONE):
        read, write = os.pipe()
        child = os.fork()
        if not child:
            with claimed(tmp_path, ONE) as got:
                os.write(write, str(got).encode())
            os._exit(0)
        os.waitpid(child, 0)
        assert os.read(read, 10) == b"False"
        assert not free(tmp_path, ONE)


def test_a_folder_that_takes_no_file_gives_everything(tmp_path, monkeypatch):
    """The record's own writing then says what is wrong."""

    def refuse(*_):
        raise PermissionError(13, "no")

    monkeypatch.setattr(locks.os, "open", refuse)
    with claimed(tmp_path, ONE) as got:
        assert got


SLOW = """
import os, time

def slow(seed, marks):
    with open(os.path.join(marks, str(seed)), "a") as file:
        file.write(".")
    time.sleep(0.05)
    return float(seed)
"""


def test_two_sweeps_in_one_folder_do_each_run_once(tmp_path):
    """Two sweeps of threads: the parent's and the workers' side of a claim in one process."""
    (tmp_path / "slow.py").write_text(SLOW)
    marks = tmp_path / "marks"
    marks.mkdir()
    study = Sweep(function=f"{tmp_path}/slow.py:slow", base={"marks": str(marks)}, seeds=12, out=tmp_path / "out")
    with ThreadPoolExecutor(2) as sweeps:
        found = [sweeps.submit(study.run, executor=ThreadPoolExecutor(2), quiet=True) for _ in range(2)]
        summaries = [one.result() for one in found]
    assert {path.stat().st_size for path in marks.iterdir()} == {1}
    assert sum(one.done for one in summaries) == 12
    assert all(one.done + one.reused == 12 for one in summaries)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".nc"}


def test_a_sweep_takes_over_what_a_killed_one_had_in_hand(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    study = Sweep(function=f"{tmp_path}/slow.py:slow", base={"marks": str(tmp_path)}, seeds=2, out=tmp_path / "out")
    (tmp_path / "out").mkdir()
    [first, _] = study.jobs()
    args = [sys.executable, "-c", HOLD, str(tmp_path / "out"), first.digest]
    with subprocess.Popen(args, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        threading.Timer(0.6, child.kill).start()
        begin = time.monotonic()
        assert study.run(executor=ThreadPoolExecutor(1), quiet=True).done == 2
        assert time.monotonic() - begin > 0.3
    assert not Folder(tmp_path / "out").others()


def test_a_time_limit_ends_the_wait_for_another_sweep(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    study = Sweep(function=f"{tmp_path}/slow.py:slow", base={"marks": str(tmp_path)}, seeds=1, out=tmp_path / "out")
    [only] = study.jobs()
    (tmp_path / "out").mkdir()
    with claimed(tmp_path / "out", only.digest):
        summary = study.run(executor=ThreadPoolExecutor(1), minutes=0.01, quiet=True)
    assert summary.missing == 1
    assert "0.01 minutes" in summary.stopped
