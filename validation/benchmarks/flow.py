"""``python -m validation.benchmarks flow``: the exact flow of a schedule beside a matrix exponential for each lr.

Seconds for the coefficients of so many learning rates by `sde_si.methods.integrators.flow` and by
`scipy.linalg.expm` one after the other (`sde_si.testing.textbook.van_loan`, with the package's default threads), in
interleaved repeats: alone, and while another process on every core multiplies matrices of its own, as a training does.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.machine import usable_cores
from sde_si.methods.integrators import flow
from sde_si.provenance import provenance
from sde_si.testing.textbook import van_loan

RECORD = Path(__file__).resolve().parent.parent / "records" / "benchmark_flow.json"
RATES, WD, MOMENTUM, H = np.linspace(1e-3, 0.1, 500), 5e-4, 0.9, 0.25
REPEATS = 5
BUSY = "import numpy as np; a = np.ones((600, 600))\nwhile True: a @ a"


@contextmanager
def busy_cores() -> Iterator[None]:
    """A process on every core that works until the end of the block."""
    environment = os.environ | dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    others = [subprocess.Popen([sys.executable, "-c", BUSY], env=environment) for _ in range(usable_cores())]
    try:
        time.sleep(1.0)  # imported and at work
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def _timed(job: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    job()
    return time.perf_counter() - begin


def measure() -> dict[str, Any]:
    """Seconds of both, interleaved."""
    jobs = {
        "sde_si": lambda: flow(RATES, WD, MOMENTUM, H),
        "scipy": lambda: [van_loan(lr, WD, MOMENTUM, H) for lr in RATES],
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(REPEATS):
        for name, job in jobs.items():
            seconds[name].append(_timed(job))
    ratios = [theirs / ours for ours, theirs in zip(*seconds.values(), strict=True)]
    return {"seconds": {name: {"median": statistics.median(found), "min": min(found), "max": max(found)}
                        for name, found in seconds.items()}, "ratio": statistics.median(ratios)}  # fmt: skip


def main(args: Sequence[str] = ()) -> int:
    """Measure, write the record, print it."""
    measure()  # imports and first calls
    found = {"provenance": provenance(cores=usable_cores()), "learning_rates": RATES.size, "alone": measure()}
    with busy_cores():
        found["beside_busy_cores"] = measure()
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
    print(RECORD.read_text())
    return 0
