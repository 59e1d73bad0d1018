"""``python -m validation.benchmarks sphere``: the toy's time loop beside a NumPy version written with care.

ns of processor time per start, iteration and group, sums of ln(1 + s^2) and of the loss included; one thread each,
interleaved repeats after compilation. NumPy works in place on blocks of starts that stay in the cache, in the same
squares of the weights, with the same one logarithm in sixteen steps. And the whole job of 10,000 starts and 100,000
iterations of three groups in all threads.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.machine import usable_cores
from sde_si.provenance import provenance
from sde_si.sphere.toy import LOGARITHM, Pairs, random_squares

RECORD = Path(__file__).resolve().parent.parent / "records" / "benchmark_sphere.json"
ALPHAS, EFFECTIVE_LR = np.array([1.0, 2.0, 4.0]), 0.3
REPEATS, STARTS, STEPS = 5, 2048, 4000
WHOLE = (10_000, 100_000)
BLOCK = 2048  # starts of NumPy's block: the fastest of 512, 1024, 2048, 4096
GOAL, STRETCH, SECONDS = 6.0, 12.0, 10.0


def plain_numpy(a: np.ndarray, b: np.ndarray, strength: np.ndarray, steps: int, sums: np.ndarray) -> None:
    """`sde_si.sphere.toy.advance_pairs` on one block in NumPy: every operation in place, no array made in the loop."""
    inverse, e, shrink, grow = (np.empty_like(a) for _ in range(4))
    product, total, loss = np.ones_like(a), np.empty(a.shape[1]), np.zeros_like(a)
    for step in range(steps):
        np.add(a, b, out=inverse)
        np.reciprocal(inverse, out=inverse)
        np.multiply(inverse, inverse, out=e)
        np.multiply(e, strength, out=e)
        np.multiply(a, inverse, out=inverse)
        np.add(loss, inverse, out=loss)
        np.multiply(e, b, out=shrink)
        np.multiply(e, a, out=grow)
        np.multiply(shrink, grow, out=e)
        np.add(e, 1.0, out=e)
        np.multiply(product, e, out=product)
        np.subtract(1.0, shrink, out=shrink)
        np.add(1.0, grow, out=grow)
        np.multiply(shrink, shrink, out=shrink)
        np.multiply(grow, grow, out=grow)
        np.multiply(a, shrink, out=a)
        np.multiply(b, grow, out=b)
        np.add(a, b, out=e)
        np.add.reduce(e, axis=0, out=total)
        np.reciprocal(total, out=total)
        np.multiply(a, total, out=a)
        np.multiply(b, total, out=b)
        if (step + 1) % LOGARITHM == 0 or step + 1 == steps:
            np.log(product, out=product)
            sums[:-1] += product
            product.fill(1.0)
    sums[-1] += ALPHAS @ loss


def agreement() -> float:
    """Largest difference of the two after eight steps: they do the same."""
    squares = random_squares(3, BLOCK, np.random.default_rng(0))
    ours, theirs = Pairs(squares, EFFECTIVE_LR, ALPHAS, 1), Pairs(squares, EFFECTIVE_LR, ALPHAS, 1)
    ours.advance(8)
    plain_numpy(theirs.squares[0], theirs.squares[1], theirs.strength, 8, theirs.sums)
    return float(max(np.abs(ours.squares - theirs.squares).max(), np.abs(ours.sums - theirs.sums).max()))


def _timed(job: Callable[[], Any]) -> float:
    begin = time.process_time()
    job()
    return time.process_time() - begin


def measure() -> dict[str, Any]:
    """Time both, and the whole job."""
    squares = random_squares(3, STARTS, np.random.default_rng(1))
    ours, theirs = (Pairs(squares, EFFECTIVE_LR, ALPHAS, 1) for _ in range(2))

    def numpy_job() -> None:
        for low in range(0, STARTS, BLOCK):
            part = slice(low, low + BLOCK)
            plain_numpy(theirs.squares[0][:, part], theirs.squares[1][:, part], theirs.strength[:, part], STEPS,
                        theirs.sums[:, part])  # fmt: skip

    jobs = {"sde_si": lambda: ours.advance(STEPS), "numpy": numpy_job}
    ours.advance(8)
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(REPEATS):
        for name, job in jobs.items():
            seconds[name].append(_timed(job))
    per = {name: np.array(found) / (STARTS * STEPS * ALPHAS.size) * 1e9 for name, found in seconds.items()}
    starts, steps = WHOLE
    whole = Pairs(random_squares(3, starts, np.random.default_rng(2)), EFFECTIVE_LR, ALPHAS)
    wall, processor = time.perf_counter(), time.process_time()
    whole.advance(steps)
    return {
        "ns_per_group_step": {k: {"median": float(np.median(v)), "min": float(v.min()), "max": float(v.max())}
                              for k, v in per.items()},
        "ratio_to_numpy": float(np.median(per["numpy"] / per["sde_si"])),
        "goal": GOAL, "stretch": STRETCH, "largest_difference": agreement(),
        "whole_job": {"starts": starts, "iterations": steps, "groups": 3, "threads": whole.threads,
                      "seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor,
                      "goal_seconds": SECONDS, "mean_loss": float(whole.mean_loss.mean())},
    }  # fmt: skip


def main(args: Sequence[str] = ()) -> int:
    """Measure, write the record, print it."""
    found = {"provenance": provenance(cores=usable_cores()), **measure()}
    RECORD.write_text(json.dumps(found, indent=1) + "\n")
    print(RECORD.read_text())
    return 0
