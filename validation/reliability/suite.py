"""The experiments, and the page that they fill."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import validation.reliability as suite
from sde_si.disk import write_bytes
from sde_si.machine import usable_cores
from sde_si.provenance import provenance
from validation.reliability.cluster import dask_cluster
from validation.reliability.study import ROOT, Study
from validation.reliability.sweeps import batches, boundaries, chaos, clock_back, disk_errors, two_at_once, undisturbed
from validation.reliability.writer import writer

RECORD, PAGE = ROOT / "validation" / "records" / "reliability.json", ROOT / "docs" / "reliability.md"


def _dask(folder: Path) -> dict[str, Any]:
    study = undisturbed(folder)
    with dask_cluster(folder / "dask") as (address, kill_worker):
        return chaos(study, 200, executor=address, longest=3, disturb=kill_worker)


# name -> (what is done, experiment in a folder)
EXPERIMENTS: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    "kill-local": (
        "`kill -9` of the whole process group at random times, two local workers",
        lambda folder: batches(folder, 200, 4, executor="local:2", longest=2),
    ),
    "kill-dask": (
        "the same with a dask cluster of separate processes; before one kill in four, a worker's process is killed too",
        _dask,
    ),
    "kill-simulation": (
        "`kill -9` of the whole process group at random times, simulations, two local workers",
        lambda folder: chaos(undisturbed(folder, "simulation"), 40, executor="local:2", longest=4),
    ),
    "writer": ("each fault at every boundary of a worker's writing (number of boundaries)",
               lambda folder: writer(Study(folder, "function", 1))),
    "boundaries": ("a crash at boundaries of writing of a whole sweep, parent and worker",
                   lambda folder: boundaries(undisturbed(folder, runs=2), every=2)),
    "disk": ("disk full, read-only and I/O error at boundaries of writing of a whole sweep, single and lasting",
             lambda folder: disk_errors(undisturbed(folder, runs=2), every=6)),
    "clock": ("the clock goes back by a day, and again during the sweep",
              lambda folder: clock_back(undisturbed(folder))),
    "two": ("two sweeps start in one folder at once", lambda folder: two_at_once(undisturbed(folder), rounds=3)),
}  # fmt: skip


def page(results: Mapping[str, Any]) -> str:
    """The figures as a page of the documentation."""
    lines = ["# What a sweep survives", "", "Made by `python -m validation.reliability`.", "",
             (suite.__doc__ or "").partition("\n\n")[2].strip(), "",
             "Every check of the experiments in the table held.", "",
             "| what was done | figures |", "|---|---|"]  # fmt: skip
    for name, (what, _) in EXPERIMENTS.items():
        if name in results:
            figures = [f"{k}: {v:.3g}" for k, v in results[name]["figures"].items()]
            lines.append(f"| {what} | {'; '.join(figures)} |")
    pending = [f"`{name}` ({what})" for name, (what, _) in EXPERIMENTS.items() if name not in results]
    lines += ["", f"Not run yet: {'; '.join(pending)}."] if pending else []
    made = next(iter(results.values()))["provenance"]
    commits = ", ".join(sorted({one["provenance"]["commit"] for one in results.values()}))
    shared = f"{made['cores']} cores shared with other work, so that minutes are no benchmark"
    lines += ["", f"{shared}; python {made['python']}; commits {commits}.", ""]
    return "\n".join(lines)


def main() -> int:
    """Run the experiments named on the command line, or all."""
    wrong = [name for name in sys.argv[1:] if name not in EXPERIMENTS]
    if wrong:
        print(
            f"usage: python -m validation.reliability [{' | '.join(EXPERIMENTS)}]...; got {wrong[0]}", file=sys.stderr
        )
        return 2
    for name in sys.argv[1:] or EXPERIMENTS:
        with tempfile.TemporaryDirectory(prefix="reliability-") as folder:
            figures = EXPERIMENTS[name][1](Path(folder).resolve())
        results = json.loads(RECORD.read_text()) if RECORD.exists() else {}
        results[name] = {"figures": figures, "provenance": provenance(cores=usable_cores())}
        write_bytes(f"{json.dumps(results, indent=1)}\n".encode(), RECORD)
        write_bytes(page(results).encode(), PAGE)
        print(name, figures, flush=True)
    return 0
