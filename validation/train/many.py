"""Many seeds of one job: single-threaded processes side by side, networks stacked inside each where that pays."""

from __future__ import annotations

import gc
import multiprocessing
import os
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sde_si.machine import usable_cores
from validation.data import Images
from validation.train.job import Job
from validation.train.loop import Trainer
from validation.train.teacher import state_file, teach

Array = np.ndarray
_STATE = "state-train-"
_NAME = re.compile(rf"{_STATE}[0-9a-f]+-\d+-(\d+)\.pt$")
_STACK = 8  # networks tried side by side in one array on a processor; on an accelerator all are
_counter: Any = None


def _begin(counter: Any) -> None:
    global _counter  # noqa: PLW0603  (a process's own)
    _counter = counter
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed command leaves no processes behind that go on training and writing the states it would resume from."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _count(steps: int) -> None:
    with _counter.get_lock():
        _counter.value += steps


def _remove(file: Path) -> None:
    """Forget a saved state."""
    for one in (file, state_file(file)):
        one.unlink(missing_ok=True)


def _train(
    job: Job, images: Images, seeds: list[int], file: Path, resume: bool, progress: Callable[[int], None]
) -> tuple[dict[str, Array], list[str]]:
    if not resume:
        _remove(file)
    trainer = Trainer(job, images, seeds, teach(job, images, seeds, file, progress))
    trainer.go_on(file, progress)
    return trainer.results(), trainer.stack.layout.names


def _train_there(job: Job, images: Images, seeds: list[int], file: Path, resume: bool) -> Any:
    return _train(job, images, seeds, file, resume, _count)


def _now(device: str) -> float:
    """Seconds; an accelerator has done by then what it was asked for."""
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter()


def best_stack(job: Job, images: Images, most: int) -> int:
    """Networks in one array, at most `most`, that train faster than one by one, by a trial of a few steps; else 1.

    The largest number that finds memory, of `most`, its half, and so on, is the one that is tried.
    """
    if most < 2 or job.habits(images).alone:
        return 1
    single = _trial(job, images, 1)
    while most > 1:
        together = _trial(job, images, most)
        if together is not None:
            return most if single is not None and together < 0.9 * single else 1
        most = -(-most // 2)
    return 1


def _trial(job: Job, images: Images, count: int) -> float | None:
    """Seconds a network; what it took of an accelerator's memory is given back."""
    seconds = _seconds_a_network(job, images, count)
    _free(job.device)
    return seconds


def _seconds_a_network(job: Job, images: Images, count: int) -> float | None:
    """Of two gradients of so many networks in one array; None without memory for them."""
    try:
        trainer = Trainer(job, images, list(range(job.seed, job.seed + count)))
        order = trainer.orders(0, job.hyperparameters.B, 3)
        trainer.gradients(order, 0)
        begin = _now(job.device)
        for i in (1, 2):
            trainer.gradients(order, i)
        return (_now(job.device) - begin) / count
    except torch.OutOfMemoryError:  # of one network the training itself will say so
        return None


def _free(device: str) -> None:
    """Give an accelerator's memory of earlier stacks back; they are in reference cycles."""
    if device != "cpu":
        gc.collect()
        torch.cuda.empty_cache()


def _tried(device: str, seeds: int, workers: int) -> int:
    """Networks in one array that the trial begins with."""
    most = -(-seeds // workers)
    return min(_STACK, most) if device == "cpu" else most


def chunks(seeds: list[int], size: int) -> list[list[int]]:
    """Consecutive parts of at most `size`."""
    return [seeds[low : low + size] for low in range(0, len(seeds), size)]


def states(folder: Path, digest: str) -> list[Path]:
    """Saved states of a job, of its students only."""
    return [path for path in folder.glob(f"{_STATE}{digest[:12]}-*.pt") if _NAME.match(path.name)]


def forget(folder: Path, digest: str) -> None:
    """Remove the states of a job whose record is saved."""
    for file in states(folder, digest):
        _remove(file)


def _stack_of(files: list[Path]) -> int | None:
    """Networks in one array that saved states are of; None without states."""
    sizes = [int(match[1]) for file in files if (match := _NAME.match(file.name))]
    return max(sizes, default=None)


def train(
    job: Job, images: Images, folder: Path, digest: str, *, stack: int | None, resume: bool,
    progress: Callable[[float], None],
) -> tuple[dict[str, Array], list[str], dict[str, Any]]:  # fmt: skip
    """Train all seeds of a job.

    Parameters
    ----------
    job : Job
    images : Images
    folder : Path
        For the states from which a training goes on.
    digest : str
        Of the job.
    stack : int or None
        Networks in one array; None: what a short trial finds faster, halved while a training finds no memory for it.
        States from which a training goes on keep theirs.
    resume : bool
        Go on from saved states.
    progress : callable
        Called with steps done since the last call.

    Returns
    -------
    results, names, how
        Arrays of all paths; the groups; number of processes and stacked networks, for the provenance.

    Raises
    ------
    torch.OutOfMemoryError
        If there is no memory for `stack` networks, or for one.

    Notes
    -----
    The states stay until `forget`: what was trained is safe before the record is.
    """
    seeds = list(range(job.seed, job.seed + job.seeds))
    alone = len(seeds) == 1 or job.device != "cpu"
    workers = 1 if alone else min(usable_cores(), len(seeds))
    if resume:  # the saved states are of as many networks as the first start took
        stack = _stack_of(states(folder, digest)) or stack
    free = stack is None
    if stack is None:
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if workers > 1 else threads)
        stack = best_stack(job, images, _tried(job.device, len(seeds), workers))
        torch.set_num_threads(threads)
    while True:
        parts = chunks(seeds, stack)
        files = [folder / f"{_STATE}{digest[:12]}-{part[0]}-{len(part)}.pt" for part in parts]
        try:
            if workers == 1:
                found = [_train(job, images, p, f, resume, progress) for p, f in zip(parts, files, strict=True)]
            else:
                found = _side_by_side(job, images, parts, files, resume, workers, progress)
            break
        except torch.OutOfMemoryError:
            if not free or stack == 1:
                raise
        # a training measures and evaluates, too: that can take memory which the trial did not
        for file in files:
            _remove(file)
        _free(job.device)
        stack = -(-stack // 2)
    return _joined([results for results, _ in found]), found[0][1], {"processes": workers, "stack": stack}


def _side_by_side(
    job: Job, images: Images, parts: list[list[int]], files: list[Path], resume: bool, workers: int,
    progress: Callable[[float], None],
) -> list[Any]:  # fmt: skip
    context = multiprocessing.get_context("spawn")
    counter, seen = context.Value("d", 0.0), 0.0
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(counter,)) as pool:
        futures = [pool.submit(_train_there, job, images, p, f, resume) for p, f in zip(parts, files, strict=True)]
        while not all(future.done() for future in futures):
            time.sleep(0.1)
            now = counter.value
            progress(now - seen)
            seen = now
            failed = next((f for f in futures if f.done() and f.exception()), None)
            if failed is not None:
                pool.shutdown(wait=False, cancel_futures=True)
                failed.result()
        return [future.result() for future in futures]


def _joined(results: list[dict[str, Array]]) -> dict[str, Array]:
    """All paths together; epochs that one that diverged never had are nan."""
    out = {}
    for name in dict.fromkeys(name for r in results for name in r):
        like = next(r[name] for r in results if name in r)
        # networks that diverged before the first checkpoint have none of its measurements
        arrays = [r.get(name, np.empty((r["dead"].size, 0, *like.shape[2:]))) for r in results]
        if name not in ("initial", "dead"):
            most = max(a.shape[1] for a in arrays)
            arrays = [
                np.concatenate([a, np.full((a.shape[0], most - a.shape[1], *a.shape[2:]), np.nan)], 1) for a in arrays
            ]
        out[name] = np.concatenate(arrays)
    return out
