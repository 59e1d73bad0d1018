"""Executors of a sweep: pools that break, anything with submit, names that are none."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest
import sweep_functions
from sweep_functions import BASE

from sde_si import BadInput
from sde_si.sweep import Sweep
from sde_si.sweep.pool import LocalPool, WorkerDied

functions = sweep_functions.functions


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
