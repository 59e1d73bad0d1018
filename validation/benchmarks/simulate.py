"""``python -m validation.benchmarks simulate``: our kernel and its peers on the isotropic SDE, interleaved in one run.

ns per path, substep and dimension. Ours is the kernel that the command line uses (`em`, eight substeps a step), with
angle per step and epoch, norms, balance and the check for divergence on. Peers take the same number of Euler steps and
record nothing. Five interleaved repeats after compilation; median and range; peers' ratio repeat by repeat.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types

from sde_si import HyperParameters, Problem
from sde_si.engine import Engine
from sde_si.machine import usable_cores
from sde_si.pointers import MATRIX, SIGNATURES, WORDS_TYPE, from_address
from sde_si.provenance import provenance
from sde_si.resolve import resolve
from validation.benchmarks.peers import LR, PEERS, WD

ROOT = Path(__file__).resolve().parent.parent.parent
RECORD, PAGE = ROOT / "validation" / "records" / "benchmark_simulate.json", ROOT / "docs" / "benchmarks.md"
REPEATS = 5
_as_fill = from_address(SIGNATURES["fill"])
# (paths, dim) -> our epochs and steps per epoch (times 8 substeps), the peers' steps, goal and stretch against diffrax
CASES: dict[tuple[int, int], dict[str, Any]] = {
    (64, 1000): {"epochs": 2, "steps": 1000, "peer": 800, "gaussian": (5, 10), "rademacher": (25, 80)},
    (20_000, 3): {"epochs": 2, "steps": 500, "peer": 800, "gaussian": (8, 12), "rademacher": (12, 20)},
    (1, 1_000_000): {"epochs": 1, "steps": 40, "peer": 48, "gaussian": (4, 6), "rademacher": (10, 20)},
}
SLOW_PEERS = {"torchsde": 0.05}  # share of the peers' steps


def ours(
    paths: int, dim: int, epochs: int, steps: int, noise: str, *, watched: bool = True
) -> tuple[Callable[[], Any], int]:
    """A run of our kernel, and its substeps."""
    hp = HyperParameters(N=steps * 128, B=128, lr=LR, wd=WD, momentum=0.0, epochs=epochs)
    run = resolve(Problem("isotropic", dim=dim), hp, method="em", paths=paths, noise=noise)

    def go() -> Any:
        engine = Engine(run)
        engine.watched = watched
        return engine.advance(engine.blocks(), epochs)

    return go, epochs * steps * run.substeps


@numba.njit(types.void(types.int64, WORDS_TYPE, MATRIX, types.int64), nogil=True)
def _refill(fill: Any, words: Any, room: Any, rounds: Any) -> None:
    """Fill `room` so many times by the function at the address `fill`, as the kernel calls it."""
    function = _as_fill(fill)
    for _ in range(rounds):
        function(words, room)


def bare_numbers(paths: int, dim: int, noise: str) -> tuple[Callable[[], Any], int]:
    """The random numbers alone, block by block in as many threads, into memory that stays in the cache."""
    hp = HyperParameters(N=128, B=128, lr=LR, wd=WD, momentum=0.0, epochs=1)
    engine = Engine(resolve(Problem("isotropic", dim=dim), hp, method="em", paths=paths, noise=noise))
    blocks, rounds = engine.blocks(), max(1, 100_000_000 // (paths * dim))
    fill = engine.functions[list(SIGNATURES).index("fill")]
    lengths = [len(range(dim)[part]) for part in engine.parts]
    parts = [(words, (1, block.size * n)) for block in blocks for words, n in zip(block.words, lengths, strict=False)]

    def share(numbers: Any) -> None:
        for i in numbers:
            words, shape = parts[i]
            _refill(fill, words, np.empty(shape), rounds)

    def go() -> None:
        with ThreadPoolExecutor(engine.threads) as pool:
            list(pool.map(share, np.array_split(np.arange(len(parts)), engine.threads)))

    return go, rounds


def timed(run: Callable[[], Any]) -> float:
    """Seconds of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def compare(paths: int, dim: int, noise: str) -> dict[str, Any]:
    """All contestants on one case, interleaved."""
    case = CASES[paths, dim]
    contestants: dict[str, tuple[Callable[[], Any], int]] = {
        "sde_si": ours(paths, dim, case["epochs"], case["steps"], noise),
        "sde_si, observables off": ours(paths, dim, case["epochs"], case["steps"], noise, watched=False),
        "random numbers alone": bare_numbers(paths, dim, noise),
    }
    for name, (make, has_signs) in PEERS.items():
        steps = max(4, int(case["peer"] * SLOW_PEERS.get(name, 1.0)))
        # diffrax and torchsde have no signs: their Gaussian run is what a user would have to take
        contestants[name] = (make(paths, dim, steps, noise if has_signs else "gaussian"), steps)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run, _ in contestants.values():
        run()
    for _ in range(REPEATS):
        for name, (run, _) in contestants.items():
            seconds[name].append(timed(run))
    per = {name: np.array(seconds[name]) / (paths * dim * contestants[name][1]) * 1e9 for name in contestants}
    rows = {
        name: {
            "ns_median": float(np.median(ns)), "ns_min": float(ns.min()), "ns_max": float(ns.max()),
            "ratio_to_ours": float(np.median(ns / per["sde_si"])),
        }
        for name, ns in per.items()
    }  # fmt: skip
    goal, stretch = case[noise]
    return {"paths": paths, "dim": dim, "noise": noise, "goal": goal, "stretch": stretch, "rows": rows}


def page(results: list[dict[str, Any]], made: dict[str, Any]) -> str:
    """The result as a page of the documentation."""
    lines = []
    for result in results:
        ratio = result["rows"]["diffrax"]["ratio_to_ours"]
        verdict = "reached" if ratio >= result["goal"] else "MISSED"
        verdict = f"goal {result['goal']}x, stretch {result['stretch']}x: {verdict}"
        lines += [f"## {result['paths']} x {result['dim']:,}, {result['noise']}: {ratio:.1f}x diffrax ({verdict})", "",
                  "| | ns median | min - max | time over ours |", "|---|---:|---:|---:|"]  # fmt: skip
        for name, row in result["rows"].items():
            spread = f"{row['ns_min']:.3g} - {row['ns_max']:.3g}"
            lines.append(f"| {name} | {row['ns_median']:.3g} | {spread} | {row['ratio_to_ours']:.3g} |")
        lines.append("")
    header = (__doc__ or "").partition("\n\n")[2].strip()
    versions = ", ".join(f"{k} {made[k]}" for k in ("python", "numpy", "numba", "jax", "diffrax", "torch", "torchsde"))
    return "\n".join([
        "# Benchmarks", "", "Made by `python -m validation.benchmarks simulate` (`make bench`).", "", header, "",
        "diffrax and torchsde have no random signs: under `rademacher` their Gaussian run stands beside ours.", "",
        *lines, (f"{made['processor']}, {made['cores']} cores; {versions}; {made['written']}, "
        f"commit {made['commit']}."), "",
    ])  # fmt: skip


def main(args: Sequence[str] = ()) -> int:
    """Measure, and write the record and the page."""
    from importlib import metadata

    results = []
    for paths, dim in CASES:
        for noise in ("gaussian", "rademacher"):
            results.append(compare(paths, dim, noise))
            row = results[-1]["rows"]
            print(f"{paths} x {dim} {noise}: {row['sde_si']['ns_median']:.3g} ns, "
                  f"diffrax takes {row['diffrax']['ratio_to_ours']:.1f} times as long", flush=True)  # fmt: skip
    made = provenance(cores=usable_cores(), processor=_processor())
    made |= {name: metadata.version(name) for name in ("jax", "diffrax", "torch", "torchsde")}
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    RECORD.write_text(json.dumps({"provenance": made, "results": results}, indent=1) + "\n")
    PAGE.write_text(page(results, made))
    print(PAGE.read_text())
    return 0


def _processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
