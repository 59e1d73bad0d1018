"""``python -m validation.tune_transfer``: the choice made on a subset against the full grid and against defaults.

On Fashion-MNIST at CPU scale: weight decay is searched on a subset and transferred to the whole set by the tuning
factor (a); the same grid is run on the whole set (b); defaults are run there (c). Accuracy and cost of each are printed
and written to ``validation/records/tune_transfer.json``. Runs are one file each: killed, the command goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from sde_si import HyperParameters
from sde_si.machine import usable_cores
from sde_si.provenance import provenance
from sde_si.sweep import Sweep
from sde_si.tune import search, trial
from sde_si.tune.settings import five

RECORD = Path(__file__).parent / "records" / "tune_transfer.json"
METRIC = "final.test_accuracy.value"
LOW, HIGH, POINTS = 0.01, 1.28, 8
DEFAULTS = {"lr": 0.1, "wd": 5e-4, "momentum": 0.9}


def command(options: argparse.Namespace) -> str:
    """The project's own trainer, as a program with settings in braces."""
    tiny = (
        "--data digits --width 4" if options.tiny else f"--data fashion-mnist --image-size 14 --width {options.width}"
    )
    return (
        f"{sys.executable} -m validation.train {tiny} --blocks 1,1,1 --N {{N}} --B {{B}} --lr {{lr}} --wd {{wd}} "
        f"--momentum {{momentum}} --seed {{seed}} --epochs {options.epochs} --schedule {options.schedule} "
        f"--noise-batches 0 --evaluate-every {options.epochs} --json --quiet --no-figure --out {options.out}/records"
    )


def accuracies(template: str, hp: HyperParameters, options: argparse.Namespace) -> list[float]:
    """Of one setting on the whole set, seed by seed."""
    shared = trial.check_command(template, five(hp) | {"seed": 0}, ("N", "wd"))
    sweep = Sweep(function=trial.RUN, base=five(hp) | shared | {"metric": METRIC}, seeds=options.seeds, out=options.out)
    sweep.run(executor=options.executor)
    return trial.values_of(sweep, "value")


def mean(values: list[float]) -> dict[str, Any]:
    """Mean with standard error."""
    array = np.array(values)
    error = float(array.std(ddof=1) / math.sqrt(array.size)) if array.size > 1 else None
    return {"accuracy": float(array.mean()), "stderr": error, "values": values}


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--N", type=int, default=512, help="samples of the subset")
    parser.add_argument("--full-N", type=int, default=8192, help="samples of the whole set")
    parser.add_argument("--B", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--schedule", default="multi-step:20,30")
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--executor", default="local")
    parser.add_argument("--out", default="./runs/tune_transfer")
    parser.add_argument("--tiny", action="store_true", help="seconds instead of hours: digits, three points, one seed")
    options = parser.parse_args()
    points = POINTS
    if options.tiny:
        options.N, options.full_N, options.width, options.seeds, points = 64, 256, 4, 1, 3
        options.epochs, options.schedule = 2, "constant"
    factors = [LOW * (HIGH / LOW) ** (i / (points - 1)) for i in range(points)]
    template = command(options)
    subset = HyperParameters(N=options.N, B=options.B, epochs=options.epochs, **DEFAULTS)
    whole = subset.replace(N=options.full_N)
    shared = {"command": template, "tuning_factors": factors, "metric": METRIC, "seeds": options.seeds, "rounds": 0,
              "executor": options.executor, "out": options.out, "full_N": options.full_N}  # fmt: skip
    small = search(subset=subset, **shared)
    chosen = small.settings["wd"].hyperparameters
    full = search(subset=whole, stop_early=False, **shared)
    a = mean(accuracies(template, chosen, options))
    b = mean(list(full.best.values))
    c = mean(accuracies(template, whole, options))
    cost = {"a": small.samples + options.seeds * options.full_N, "b": full.samples, "c": options.seeds * options.full_N}
    result = {
        "settings": {**vars(options), "factors": factors}, "search": small.to_json(), "grid": full.to_json(),
        "a": a | {"wd": chosen.wd}, "b": b | {"wd": full.best.hyperparameters.wd}, "c": c | {"wd": whole.wd},
        "cost": {name: value * options.epochs for name, value in cost.items()},
        "provenance": provenance(cores=usable_cores(), command="python -m validation.tune_transfer"),
    }  # fmt: skip
    del result["settings"]["executor"], result["settings"]["out"]
    for name, text in {"a": "transferred", "b": "full grid, best", "c": "defaults"}.items():
        row = result[name]
        error = "" if row["stderr"] is None else f" ± {row['stderr']:.4f}"
        share = cost[name] / cost["b"]  # in images seen
        print(f"({name}) {text:16} wd {row['wd']:.3g}: accuracy {row['accuracy']:.4f}{error}, cost {share:.3f} of (b)")
    if not options.tiny:
        RECORD.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
