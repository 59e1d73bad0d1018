"""``python -m validation.benchmarks train [repeats]``: many seeds side by side beside one training after the other.

One after the other with torch's default threads is what a plain loop does. Both are timed by the slope between short
and longer trainings, so that starting up counts for nothing, and in turns, so that other load meets both.

With ``--device cuda [--compile] [--precision bf16]`` it is the trainer on that device instead: images a second, those
over a plain loop with a DataLoader, and networks stacked over one by one (`train_device`). Every mode is an entry of
its own in the record of that. ``--tiny`` runs this on any device, to see that it works, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sde_si import HyperParameters
from sde_si.errors import BAD_INPUT, DONE
from sde_si.provenance import provenance
from validation.data import load
from validation.train.job import Job
from validation.train.many import train

RECORD = Path(__file__).resolve().parent.parent / "records" / "benchmark_train.json"
DEVICE_RECORD = RECORD.with_name("benchmark_train_cuda.json")
SEEDS, SHORT, LONG = 4, 1, 21  # networks; epochs: long enough that starting up does not blur the slope
CASES: dict[str, dict[str, Any]] = {
    "si-resnet18, width 8, digits": {"network": "si-resnet18", "width": 8, "data": "digits", "N": 640},
    "si-resnet18, width 24, Fashion-MNIST 14x14": {
        "network": "si-resnet18", "width": 24, "data": "fashion-mnist", "image_size": 14, "N": 320,
    },
}  # fmt: skip
GOALS = {"si-resnet18, width 8, digits": 2.5, "si-resnet18, width 24, Fashion-MNIST 14x14": 1.7}


def job(case: str, epochs: int, **options: Any) -> Job:
    """The training of a case."""
    settings = dict(CASES[case])
    hp = HyperParameters(N=settings.pop("N"), B=32, wd=1.6e-3, epochs=epochs)
    return Job(
        hyperparameters=hp, blocks=(1, 1, 1), ghost=32, evaluate_every=1000, noise_batches=0, **settings, **options
    )


def seconds(case: str, epochs: int, *, together: bool) -> float:
    """Wall time of all seeds."""
    one = job(case, epochs)
    images = load(one.data, N=one.hyperparameters.N, size=one.image_size)
    jobs = [one.replace(seeds=SEEDS)] if together else [one.replace(seed=seed) for seed in range(SEEDS)]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        begin = time.perf_counter()
        for i, each in enumerate(jobs):
            train(each, images, Path(folder), f"{i:064d}", stack=None, resume=False, progress=lambda _: None)
        return time.perf_counter() - begin


def measure(case: str, repeats: int) -> dict[str, Any]:
    """Speed-up of each repeat, with what both took for the extra epochs."""
    rows = []
    for _ in range(repeats):
        took = {
            kind: seconds(case, LONG, together=kind) - seconds(case, SHORT, together=kind) for kind in (False, True)
        }
        rows.append((took[False], took[True]))
        print(case, [round(value, 2) for value in rows[-1]], flush=True)
    ratios = [alone / together for alone, together in rows]
    return {"speed_up": float(np.median(ratios)), "least": min(ratios), "most": max(ratios), "goal": GOALS[case],
            "seconds_one_by_one": [a for a, _ in rows], "seconds_together": [b for _, b in rows]}  # fmt: skip


def main(args: Sequence[str]) -> int:
    """Write the record; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m validation.benchmarks train")
    parser.add_argument("repeats", type=int, nargs="?", default=5)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--tiny", action="store_true", help="a small setting whose numbers mean nothing")
    given = parser.parse_args(args)
    if given.tiny or given.device != "cpu":
        return on_device(given)
    if given.compile or given.precision != "fp32":
        parser.error("--compile and --precision are for --device cuda")
    return on_processor(given.repeats)


def on_device(given: argparse.Namespace) -> int:
    """Measure one mode on one device, and put it into the record of the device."""
    import torch

    from validation.benchmarks.train_device import FULL, TINY, measure

    if given.device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA device here", file=sys.stderr)
        return BAD_INPUT
    found = measure(
        TINY if given.tiny else FULL, given.repeats, device=given.device, compiled=given.compile,
        precision=given.precision,
    )  # fmt: skip
    print(json.dumps(found, indent=1))
    if not given.tiny:
        mode = given.precision + ", compiled" * given.compile
        before = json.loads(DEVICE_RECORD.read_text()) if DEVICE_RECORD.exists() else {}
        whence = provenance(torch=torch.__version__, torch_device=torch.cuda.get_device_name(), cores=os.cpu_count())
        entry = {**found, "repeats": given.repeats, "provenance": whence}
        DEVICE_RECORD.write_text(json.dumps(before | {mode: entry}, indent=1) + "\n")
    return DONE


def on_processor(repeats: int) -> int:
    """Measure the cases on the processor, and write their record."""
    load_before = os.getloadavg()
    found = {case: measure(case, repeats) for case in CASES}
    whence = provenance(load_before=load_before, load_after=os.getloadavg(), cores=os.cpu_count())
    result = {"cases": found, "seeds": SEEDS, "repeats": repeats, "provenance": whence}
    RECORD.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({case: one["speed_up"] for case, one in found.items()}), file=sys.stderr)
    return DONE
