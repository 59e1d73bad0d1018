"""A real dask cluster on this machine."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from validation.reliability.study import ROOT


@contextmanager
def dask_cluster(folder: Path, workers: int = 2) -> Iterator[tuple[str, Any]]:
    """A scheduler and workers, each a process of its own; the address, and a function that kills a worker."""
    folder.mkdir(parents=True, exist_ok=True)
    where = folder / "scheduler.json"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    log = (folder / "dask.log").open("w")
    options: dict[str, Any] = {"env": environment, "stdout": log, "stderr": log, "start_new_session": True}
    base = [sys.executable, "-m", "dask"]
    processes = [
        subprocess.Popen([*base, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                          "--scheduler-file", str(where)], **options)
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not where.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        processes += [
            subprocess.Popen([*base, "worker", "--scheduler-file", str(where), "--nthreads", "1", "--no-dashboard",
                              "--local-directory", str(folder)], **options)
            for _ in range(workers)
        ]  # fmt: skip
        address = json.loads(where.read_text())["address"]
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)

            def kill_worker(rng: random.Random) -> None:
                """Kill a working process now and then; its nanny starts another."""
                if rng.random() < 0.25:
                    pids = list(client.run(os.getpid).values())  # pyright: ignore[reportAttributeAccessIssue]
                    if pids:  # else all are being started anew
                        os.kill(rng.choice(pids), signal.SIGKILL)

            yield "dask:" + address.removeprefix("tcp:"), kill_worker
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        log.close()
