"""``sde-si sweep FILE.toml --dry-run``: every run, which exist, and how long the others will take."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import DONE
from sde_si.machine import lasting, usable_cores
from sde_si.sweep.executors import starter, workers_of
from sde_si.sweep.folder import STATES, Folder
from sde_si.terminal import emit

if TYPE_CHECKING:
    from sde_si.sweep.api import Sweep
    from sde_si.sweep.job import Job


def dry_run(sweep: Sweep, limits: Mapping[str, Any], *, as_json: bool, quiet: bool) -> int:
    """List the runs, and say what is to be expected; run none.

    Raises
    ------
    BadInput
        Whatever the sweep itself would refuse, before anything is printed.
    """
    from sde_si.simulate.store import announce_compilation
    from sde_si.sweep.checks import check_limits

    folder, executor = Folder(Path(sweep.out)), limits["executor"] or "local"
    check_limits(limits["timeout"], limits["max_minutes"], limits["retries"] or 0)
    starter(executor, folder.path, limits["timeout"])
    sweep.check()
    running, workers = folder.running_elsewhere(), workers_of(executor)
    counts, seconds, known = dict.fromkeys(STATES, 0), 0.0, sweep.kind == "simulate"
    if known:
        announce_compilation(quiet)
    rows: list[dict[str, Any]] = []
    begin, last = time.monotonic(), None
    for job in sweep.jobs():
        status = folder.state(job, running)
        counts[status] += 1
        cost = job.cost() if job.cost is not None else None
        if status not in ("done", "failed"):
            seconds, last = seconds + (cost or 0.0), job
        rows.append({"name": job.name, "status": status, "point": dict(job.point), "seconds": cost})
    # Workers beyond the cores only share them.
    at_once = min(workers, usable_cores())
    estimate = seconds / at_once if known else None
    startup = None
    if last is not None:
        # The sweep's own process will do again what has just been done here: make up the runs, and calibrate them.
        startup = time.monotonic() - begin + start_of_worker(last) * workers / at_once
    if as_json:
        about = {"seconds": estimate, "startup_seconds": startup, "workers": workers}
        emit({"counts": counts, **about, "runs": rows})
        return DONE
    for row in rows:
        place = " ".join(f"{k}={v}" for k, v in row["point"].items())
        about = f"  about {lasting(row['seconds'])}" if row["seconds"] is not None else ""
        print(f"{row['status']:10} {row['name']}  {place}{about}")
    of_runs = f"; about {lasting(estimate)} on {workers} workers" if estimate is not None else ""
    of_start = f"{', plus' if of_runs else ';'} about {startup:.0f} s to start the workers" if startup else ""
    print(counted(counts) + of_runs + of_start)
    return DONE


def start_of_worker(job: Job) -> float:
    """Seconds until one new local worker is ready for the run: imports, and what is compiled or loaded. Measured."""
    from sde_si.sweep.pool import LocalPool
    from sde_si.sweep.worker import get_ready

    begin = time.monotonic()
    pool = LocalPool(1)
    try:
        pool.submit(get_ready, dataclasses.replace(job, prepare=None, cost=None)).result(timeout=600)
    finally:
        pool.shutdown()
    return time.monotonic() - begin


def counted(counts: dict[str, int]) -> str:
    """So many runs, and how they stand."""
    return f"{sum(counts.values())} runs: " + ", ".join(f"{n} {status}" for status, n in counts.items() if n)
