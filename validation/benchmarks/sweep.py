"""``python -m validation.benchmarks sweep [runs]``: what a sweep costs, beside joblib and dask on the same callable.

Every contestant is a process of its own that does the same tiny simulations and writes the same records, in two workers
of one thread each. A run's cost is the slope between a tenth of the runs and all of them, so that starting up counts
for nothing; CPU time is that of the process and all its children; medians of interleaved repeats. What a run costs by
itself is that of two plain loops, each in its own process, at once: two cores that share their caches are slower than
one alone, whoever uses them. It is taken off repeat by repeat, because a machine's speed changes within minutes; one
plain loop stands beside it. Runs of a second are interleaved repeats of the same slope, in one worker and in two; the
gain is the median over the repeats.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sde_si.sweep.worker import THREADS

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD, PAGE = ROOT / "validation" / "records" / "benchmark_sweep.json", ROOT / "docs" / "benchmark-sweep.md"
TINY = {"N": 640, "B": 64, "dim": 8, "paths": 4, "epochs": 3}
GOALS = {"overhead": 5.0, "speed-up": 1.8}
REPEATS, FEW_AND_MANY = 3, (2, 22)
Case = Callable[[int, str], None]
Job = Callable[[int, str], Any]


def tiny(seed: int, folder: str) -> None:
    """One simulation and its record."""
    from sde_si.record import save
    from sde_si.sweep.kinds.simulations import make_simulation

    save(make_simulation(TINY | {"seed": seed}), Path(folder) / f"{seed}.nc")


def busy(seed: int, folder: str = "") -> dict[str, float]:
    """Fixed work of about a second, nothing of which two processes share."""
    total = 0
    for i in range(30_000_000):
        total += i ^ seed
    return {"total": float(total % 1000)}


def loop(runs: int, folder: str) -> None:
    """The runs one after another, by nothing but a loop."""
    for seed in range(runs):
        tiny(seed, folder)


def _two_loops(runs: int, folder: str) -> None:
    code = "import sys; from validation.benchmarks.sweep import loop; loop(int(sys.argv[1]), sys.argv[2])"
    folders = [Path(folder) / half for half in "ab"]
    for one in folders:
        one.mkdir()
    halves = [subprocess.Popen([sys.executable, "-c", code, str(runs // 2), str(one)], cwd=ROOT) for one in folders]
    assert [half.wait() for half in halves] == [0, 0]


def _sweep(runs: int, folder: str) -> None:
    from sde_si.sweep import Sweep

    assert Sweep(base=TINY, seeds=runs, out=folder).run(executor="local:2", quiet=True).done == runs


def _seconds(workers: int) -> Case:
    def case(runs: int, folder: str) -> None:
        from sde_si.sweep import Sweep

        function = f"{Path(__file__).resolve()}:busy"
        summary = Sweep(function=function, seeds=runs, out=folder).run(executor=f"local:{workers}", quiet=True)
        assert summary.done == runs

    return case


def _joblib(job: Job) -> Case:
    def case(runs: int, folder: str) -> None:
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor

        Parallel(n_jobs=2)(delayed(job)(seed, folder) for seed in range(runs))
        get_reusable_executor().shutdown(wait=True)

    return case


def _dask(job: Job) -> Case:
    def case(runs: int, folder: str) -> None:
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
            Client(cluster) as client,
        ):  # pyright: ignore[reportArgumentType]
            client.gather(client.map(job, range(runs), folder=folder, pure=False))

    return case


def _nothing(runs: int, folder: str) -> None:
    """Runs that do nothing at all, for the memory."""
    from sde_si.sweep import Sweep

    function = f"{Path(__file__).resolve()}:number"
    assert Sweep(function=function, seeds=runs, out=folder).run(executor="local:2", quiet=True).done == runs


def number(seed: int) -> float:
    """The least that a run can be."""
    return float(seed)


TINY_RUNS: dict[str, Case] = {
    "plain loop": loop, "two plain loops": _two_loops,
    "sde_si.sweep": _sweep, "joblib": _joblib(tiny), "dask": _dask(tiny),
}  # fmt: skip
SECONDS: dict[str, Case] = {
    "sde_si.sweep, one worker": _seconds(1), "sde_si.sweep, two": _seconds(2),
    "joblib, two": _joblib(busy), "dask, two": _dask(busy),
}  # fmt: skip
CONTESTANTS = {**TINY_RUNS, **SECONDS, "nothing": _nothing}


def case(name: str, runs: int) -> None:
    """Run one contestant in this process and print what it took."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        begin = time.perf_counter()
        CONTESTANTS[name](runs, folder)
        wall = time.perf_counter() - begin
    used = os.times()
    cpu = used.user + used.system + used.children_user + used.children_system
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_MB": peak}))


def measure(name: str, runs: int) -> dict[str, float]:
    """The same in a process of its own."""
    code = f"from validation.benchmarks.sweep import case; case({name!r}, {runs})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | THREADS, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(runs: int) -> dict[str, Any]:
    """All figures."""
    few = max(1, runs // 10)
    found: dict[str, list[dict[str, float]]] = {name: [] for name in TINY_RUNS}
    for _ in range(REPEATS):
        for name, repeats in found.items():
            small, large = measure(name, few), measure(name, runs)
            cpu, wall = (1e3 * (large[key] - small[key]) / (runs - few) for key in ("cpu", "wall"))
            repeats.append({"cpu_ms": cpu, "wall_ms": wall, "start_s": small["cpu"] - few * cpu / 1e3})
            print(name, repeats[-1], flush=True)
    for repeats in found.values():
        for one, own in zip(repeats, found["two plain loops"], strict=True):
            one["overhead_ms"] = one["cpu_ms"] - own["cpu_ms"]
    rows = {name: {key: statistics.median(one[key] for one in repeats) for key in repeats[0]}
            for name, repeats in found.items()}  # fmt: skip
    few, many = measure("nothing", max(1, runs // 10)), measure("nothing", 2 * runs)
    return {"runs": runs, "rows": rows, "seconds": seconds(), "memory": [few["peak_MB"], many["peak_MB"]],
            "load": os.getloadavg()[0]}  # fmt: skip


def seconds() -> dict[str, list[float]]:
    """Wall time a run of about a second, each contestant, one number a repeat."""
    few, many = FEW_AND_MANY
    walls: dict[str, list[float]] = {name: [] for name in SECONDS}
    for _ in range(REPEATS):
        for name, found in walls.items():
            found.append((measure(name, many)["wall"] - measure(name, few)["wall"]) / (many - few))
        print({name: round(found[-1], 3) for name, found in walls.items()}, flush=True)
    return walls


def gains(walls: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """How many times faster than one worker of ours, median over the repeats."""
    one, *others = SECONDS
    return {name: statistics.median(a / b for a, b in zip(walls[one], walls[name], strict=True)) for name in others}


def page(result: Mapping[str, Any], made: Mapping[str, Any]) -> str:
    """The result as a page of the documentation."""
    runs, few, many = result["runs"], *result["memory"]
    cores = made["cores"]
    lines = ["# Benchmark of sweeps", "", "Made by `python -m validation.benchmarks sweep`.", "",
             (__doc__ or "").partition("\n\n")[2].strip(), "",
             f"{runs} simulations of {TINY['paths']} paths x {TINY['dim']} weights x 30 steps:", "",
             "| | CPU ms a run | beyond two plain loops | wall ms a run | start, CPU s |",
             "|---|---:|---:|---:|---:|"]  # fmt: skip
    for name, row in result["rows"].items():
        cells = (row["cpu_ms"], row["overhead_ms"], row["wall_ms"], row["start_s"])
        lines.append(f"| {name} | " + " | ".join(f"{cell:.1f}" for cell in cells) + " |")
    reached = {True: "reached", False: "MISSED"}
    overhead = result["rows"]["sde_si.sweep"]["overhead_ms"]
    few_runs, goal = max(1, runs // 10), GOALS["overhead"]
    lines += ["", f"- Cost beyond the run itself: {overhead:.1f} ms (goal {goal:g} ms: {reached[overhead <= goal]})."]
    found, goal = gains(result["seconds"]), GOALS["speed-up"]
    (_, gain), *peers = found.items()
    beside = ", ".join(f"{name.partition(',')[0]} {value:.2f}" for name, value in peers)
    verdict = f"{gain:.2f} (goal {goal:g}: {reached[gain >= goal]})"
    lines += [f"- Two workers over one, runs of about a second: {verdict}; in the same repeats {beside}."]
    lines += [f"- Peak memory of the parent: {few:.0f} MB for {few_runs} runs, {many:.0f} MB for {2 * runs}.", ""]
    if result["load"] > cores:
        busy_now = f"The machine did other work at the same time (load {result['load']:.0f} on {cores} cores):"
        lines += [f"{busy_now} wall times and the speed-up are to be repeated on an idle one.", ""]
    versions = ", ".join(f"{name} {made[name]}" for name in ("python", "numba", "joblib", "distributed"))
    return "\n".join([*lines, f"{cores} cores; {versions}; {made['written']}, commit {made['commit']}.", ""])


def main(args: Sequence[str] = ()) -> int:
    """Measure so many runs (1000), and write the record and the page."""
    runs = int(args[0]) if args else 1000
    from importlib import metadata

    from sde_si.machine import usable_cores
    from sde_si.provenance import provenance

    result = compare(runs)
    made = provenance(cores=usable_cores(), **{name: metadata.version(name) for name in ("joblib", "distributed")})
    RECORD.write_text(json.dumps({"provenance": made, "result": result}, indent=1) + "\n")
    PAGE.write_text(page(result, made))
    print(PAGE.read_text())
    return 0
