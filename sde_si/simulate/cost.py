"""What a run will cost, before it runs."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sde_si.machine import check_memory
from sde_si.run import Run
from sde_si.streams import PART, block_size

_SERIES = 10  # float64 results kept for every path, epoch and group, with what the record takes while it is made


def memory(run: Run, threads: int) -> float:
    """Bytes that the run takes beside the loss's own arrays: independent of the number of steps per epoch."""
    arrays, scheme, hp = run.arrays, run.scheme, run.hyperparameters
    dim, size = arrays.dim, block_size(arrays.dim)
    columns = arrays.groups + (arrays.groups > 1)
    states = run.paths * dim * (1 + scheme.slots)
    results = 2 * run.paths * hp.epochs * columns * (_SERIES + 2 * len(run.lags))
    increments = arrays.noise_dim * (1 + len(scheme.draws))
    work = (1 if dim > PART else threads) * size * (dim * (len(scheme.draws) + 5) + increments)
    references = 0
    if run.lags:
        references = run.paths * dim * (2 + run.lags[-1] // hp.steps_per_epoch)
    return 8.0 * (states + results + work + references)


def check(run: Run, threads: int) -> None:
    """Refuse a run that does not fit into memory.

    Raises
    ------
    BadInput
        With what it needs and what there is.
    """
    check_memory(
        "paths",
        memory(run, threads),
        f"{run.paths} paths of {run.arrays.dim} weights",
        "fewer paths, weights or epochs",
    )


def estimate(run: Run, threads: int) -> dict[str, Any]:
    """Steps, memory and time, the time from a few steps of one block.

    Returns
    -------
    dict
        ``steps``, ``substeps``, ``paths``, ``memory_bytes``, ``seconds``.
    """
    from sde_si.block import CHUNK, Work
    from sde_si.engine import Engine
    from sde_si.wide import WideWork

    size = block_size(run.arrays.dim)
    engine = Engine(run.replace(paths=min(size, run.paths)), threads=threads)
    block = engine.blocks()[0]
    total = int(run.timetable.start[-1])
    steps_there, seconds, steps, done = min(int(run.timetable.steps[0]), CHUNK), 0.0, 1, 1
    with ThreadPoolExecutor(threads) as pool:
        while seconds < 0.05 and steps <= steps_there:
            work = WideWork(block, pool) if engine.wide else Work(block)
            if isinstance(work, Work) and run.reshuffled and run.problem.loss.finite_sum:
                work.order = block.order(0)
            begin = time.perf_counter()
            work.run(engine.rows(0, 0, steps))
            seconds, done = time.perf_counter() - begin, steps
            steps *= 4
    blocks = -(-run.paths // size)
    parallel = 1 if engine.wide else min(threads, blocks)
    return {
        "steps": total,
        "substeps": total * run.substeps,
        "paths": run.paths,
        "memory_bytes": memory(run, threads),
        "seconds": seconds / done * total * blocks / parallel,
    }
