"""What a worker does with a run; and the process of a local worker."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_si.errors import DiskProblem
from sde_si.record import make, save
from sde_si.sweep.folder import Folder
from sde_si.sweep.job import Diverged, Job, finished
from sde_si.sweep.locks import claimed
from sde_si.sweep.status import Ended, Status
from sde_si.sweep.watch import WATCH

IN_WORKER = "SDE_SI_SWEEP_WORKER"
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


def perform(jobs: Sequence[Job], folder: str, timeout: float | None) -> list[Ended]:
    """Do runs one after another and write their records, or the reasons why there are none; never raises for a run."""
    _warm()
    _one_thread()
    return [_perform(job, Folder(Path(folder), quiet=True), timeout) for job in jobs]


def get_ready(job: Job) -> None:
    """All that a run needs and that is not on its time."""
    _warm()
    _one_thread()
    if job.ready is not None:
        job.ready()


@functools.cache
def _warm() -> None:
    """What the first run of a process would pay for all: imports of a second or two, versions, the commit.

    Importing xarray is not enough: making, writing and reading a first Dataset imports hundreds of modules more, which
    a run with a short limit would not survive. So one is made.
    """
    record = finished(make({"loss": np.zeros((1, 1))}, groups=1), "", {}, "")
    content = bytes(record.to_netcdf(engine="scipy", format="NETCDF3_64BIT"))
    importlib.import_module("xarray").open_dataset(io.BytesIO(content), engine="scipy").load()


def _perform(job: Job, folder: Folder, timeout: float | None) -> Ended:
    begin = time.perf_counter()
    try:
        with claimed(folder.path, job.digest) as ours:
            if not ours:
                return Ended(job.name, Status.ELSEWHERE)
            # Looked at only now: whoever had it in hand before has put its record there.
            if folder.done(job):
                return Ended(job.name, Status.REUSED)
            if (known := folder.failure(job)) is not None:
                # Another worker ended over this run (`Watch`), and somebody started it again.
                return Ended(job.name, Status(known["status"]), known["reason"])
            return _make(job, folder, timeout, begin)
    except DiskProblem as error:
        return Ended(job.name, Status.DISK, str(error), time.perf_counter() - begin)


def _make(job: Job, folder: Folder, timeout: float | None, begin: float) -> Ended:
    """Make the record, or note why there is none."""
    guard = 0
    try:
        if job.ready is not None:
            job.ready()
        if timeout is not None:
            reason = f"longer than the limit of {timeout:g} s"
            guard = WATCH.begin(timeout, lambda: folder.note_failure(job, Status.TIMEOUT, reason, seconds=timeout))
        record = job.make()
    except (Exception, SystemExit) as error:  # a function that ends its program has failed, and says so
        WATCH.end(guard)
        status = Status.DIVERGED if isinstance(error, Diverged) else Status.FAILED
        reason = str(error) if status == Status.DIVERGED else f"{type(error).__name__}: {error}"
        trace = "" if status == Status.DIVERGED else traceback.format_exc(limit=-8)
        folder.note_failure(job, status, reason, seconds=time.perf_counter() - begin, traceback=trace)
        return Ended(job.name, status, reason, time.perf_counter() - begin)
    WATCH.end(guard)
    return _keep(job, folder, record, begin)


def _keep(job: Job, folder: Folder, record: object, begin: float) -> Ended:
    """Save the record, if it is the one that was asked for."""
    found = getattr(record, "attrs", {}).get("digest")
    if found != job.digest:
        reason = f"the worker's code makes another run ({str(found)[:12]}): is its version of the code the same?"
    else:
        try:
            save(record, folder.record(job), keep=True)  # pyright: ignore[reportArgumentType]
        except DiskProblem:
            raise
        except Exception as error:
            reason = f"the record cannot be written as NetCDF-3: {type(error).__name__}: {error}"
        else:
            folder.forget_failure(job)
            return Ended(job.name, Status.DONE, "", time.perf_counter() - begin)
    folder.note_failure(job, Status.FAILED, reason)
    return Ended(job.name, Status.FAILED, reason, time.perf_counter() - begin)


def _one_thread() -> None:
    """As many processes as cores already run: a second thread in each would only get in their way."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "numba" in sys.modules:
        sys.modules["numba"].set_num_threads(1)


def sees(path: str) -> bool:
    """Whether a file of the sweep's folder is there, where this worker runs."""
    return Path(path).is_file()


def main() -> None:
    """Process of a local worker: tasks come over the inherited connection until it closes."""
    from multiprocessing.connection import Connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, who then ends the workers
    os.environ[IN_WORKER] = "1"
    WATCH.follow_parent()
    connection = Connection(int(sys.argv[1]))
    # Before there is a task, while the parent makes up the first ones; `perform` would say what is wrong here.
    with contextlib.suppress(Exception):
        _warm()
    while True:
        try:
            message = connection.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            function, arguments = pickle.loads(message)  # noqa: S301 - our own parent's
            answer = (True, function(*arguments))
        except Exception:
            answer = (False, traceback.format_exc(limit=-8))
        try:
            connection.send(answer)
        except OSError:
            return


if __name__ == "__main__":
    # The module by its name, not as __main__: what is pickled here must be found there.
    from sde_si.sweep.worker import main as _main

    _main()
