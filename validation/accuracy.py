"""Equilibrium of SGD and SGDM on isotropic noise, over the whole range of tuning factor, momentum and N/B.

``python -m validation.accuracy`` simulates 48 cases at dim 256, each until 1 - cos_epoch has standard error 0.06 %,
and writes ``validation/records/accuracy.json`` and ``docs/accuracy.md``: measured against theory.md 9.2 with the
finite-d correction 2.7, and beside it four formulas that are wrong, with the number of cases in which each is rejected
by the same data.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

from sde_si import HyperParameters, Problem, simulate, theory
from sde_si.disk import write_bytes
from sde_si.estimators import candidate_epoch, equilibrium, window_of
from sde_si.provenance import provenance
from sde_si.resolve import resolve
from sde_si.terminal import Progress

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "validation" / "records" / "accuracy.json"
PAGE = ROOT / "docs" / "accuracy.md"
DIM, WINDOW, TARGET = 256, 100, 0.0006
TUNING_FACTORS, MOMENTA, RATIOS = (0.005, 0.05, 0.2, 1.0), (0.0, 0.5, 0.9, 0.95), (10, 100, 1000)
WRONG = ("1-T", "exp(-T)", "one step by 1-mu", "n steps by 1+mu")


def wrong_versines(hp: HyperParameters) -> dict[str, float]:
    """1 - cos over one epoch by four formulas that someone really would write.

    Yun's first order; its exponential (theory.md 10.5, right only without momentum and for small u); c_n of 9.2
    started with Yun's 1 - mu where Wan's 1 + mu belongs; and Wan's 1 + mu where Yun's 1 - mu belongs.
    """
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    T = n * u / (1 - mu)
    c = [1.0, 1 - u / (1 - mu)]
    for _ in range(n - 1):
        c.append((1 + mu - u) * c[-1] - mu * c[-2])
    return {
        "1-T": T,
        "exp(-T)": -math.expm1(-T),
        "one step by 1-mu": 1 - c[n],
        "n steps by 1+mu": -math.expm1(-n * u / (1 + mu)),
    }


def measure(tuning_factor: float, momentum: float, ratio: int, seed: int = 0) -> dict[str, Any]:
    """One case: measured and predicted values, errors in per cent, and which wrong formulas are rejected."""
    u = tuning_factor * (1 - momentum) / ratio
    first = int(candidate_epoch(0, tuning_factor))
    hp = HyperParameters(N=ratio * 8, B=8, lr=0.1, wd=u / 0.1, momentum=momentum, epochs=first + WINDOW)
    run = resolve(Problem("isotropic", dim=DIM), hp, seed=seed)
    record = simulate(run.problem, hp, seed=seed, target_error=TARGET)
    window, exact = window_of(record), theory.equilibrium(run)
    versine = equilibrium(record, window, "versine_epoch")
    predicted = 1 - float(exact["cos_epoch"].value or 0)
    tolerance = max(5 * versine.stderr, 0.005 * predicted)
    wrong = wrong_versines(hp)
    case: dict[str, Any] = {
        "tuning_factor": tuning_factor, "momentum": momentum, "steps_per_epoch": ratio, "u": u,
        "paths": record.sizes["path"], "epochs": record.sizes["epoch"], "equilibrated_from": window.first,
        "versine": versine.value, "stderr_percent": 100 * versine.stderr / versine.value, "predicted": predicted,
        "error_percent": 100 * (versine.value / predicted - 1),
        "z": (versine.value - predicted) / versine.stderr,
        "agrees": abs(versine.value - predicted) <= tolerance,
        "wrong_error_percent": {name: 100 * (versine.value / wrong[name] - 1) for name in WRONG},
        "rejected": {name: abs(versine.value - wrong[name]) > 5 * versine.stderr for name in WRONG},
    }  # fmt: skip
    bare = theory.sgd_moments(hp.lr, hp.wd, momentum, noise_trace=(DIM - 1) / 8)
    for name, plain in (("weight_norm", math.sqrt(bare.xx)), ("angle_step", theory.step_angle(u, momentum))):
        found, value = equilibrium(record, window, name), float(exact[name].value or 0)
        case[name] = {
            "error_percent": 100 * (found.value / value - 1),
            "stderr_percent": 100 * found.stderr / value,
            "correction_percent": 100 * (value / plain - 1),
        }
    return case


def distinct(case: dict[str, Any], name: str) -> bool:
    """Whether a wrong formula differs from the right one by more than six of the standard errors aimed at."""
    return abs(case["wrong_error_percent"][name] - case["error_percent"]) > 600 * TARGET


def page(cases: list[dict[str, Any]], made: dict[str, Any]) -> str:
    """The table as a page of the documentation."""
    head = ["T", "mu", "N/B", "1 - cos", "s.e. %", "9.2 + 2.7 %", *(f"{name} %" for name in WRONG)]
    head += ["norm % (2.7 %)", "step % (2.7 %)"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    for case in cases:
        wrong = [f"{case['wrong_error_percent'][n]:+.2f}{' x' if case['rejected'][n] else ''}" for n in WRONG]
        parts = [
            f"{case[n]['error_percent']:+.3f} ({case[n]['correction_percent']:+.3f})"
            for n in ("weight_norm", "angle_step")
        ]
        formats = {"tuning_factor": "g", "momentum": "g", "steps_per_epoch": "d", "versine": ".6g",
                   "stderr_percent": ".3f", "error_percent": "+.3f"}  # fmt: skip
        row = [*(format(case[name], spec) for name, spec in formats.items()), *wrong, *parts]
        lines.append("| " + " | ".join(row) + " |")
    counts = {n: (sum(c["rejected"][n] for c in cases), sum(distinct(c, n) for c in cases)) for n in WRONG}
    rejected = "; ".join(
        f"{n}: {a} of {len(cases)} (it differs by more than {600 * TARGET:.2g} % in {b})"
        for n, (a, b) in counts.items()
    )
    agree = sum(case["agrees"] for case in cases)
    worst = {n: max(abs(case[n]["error_percent"]) for case in cases) for n in ("weight_norm", "angle_step")}
    return f"""# Accuracy of the equilibrium laws

Made by `python -m validation.accuracy`: `isotropic`, dim {DIM}, method `sgd`, Gaussian noise, from 1eq.
Each case has its own seed and runs until 1 - cos_epoch has a standard error of {100 * TARGET:g} %. Errors are measured
over predicted minus one, in per cent; `x` marks a formula that the case rejects (more than five standard errors off);
the law must be within five standard errors or 0.5 %.

- theory.md 9.2 (c_n of n = N // B steps, with the finite-d correction 2.7) agrees in {agree} of {len(cases)} cases.
- Rejected: {rejected}.
- Weight norm within {worst["weight_norm"]:.3f} %, rms angle per step within {worst["angle_step"]:.3f} % of 9.2 with
  2.7 (size of the correction in brackets).

{chr(10).join(lines)}

Written {made["written"]} with sde_si {made["sde_si"]} (commit {made["commit"]}), numpy {made["numpy"]},
numba {made["numba"]}.
"""


def main() -> None:
    """Run all cases and write the record and the page."""
    grid = list(itertools.product(TUNING_FACTORS, MOMENTA, RATIOS))
    cases = []
    with Progress("accuracy", len(grid)) as progress:
        for seed, case in enumerate(grid):
            cases.append(measure(*case, seed=seed))
            progress.advance(1)
    made = provenance()
    RECORD.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(f"{json.dumps({'provenance': made, 'cases': cases}, indent=1)}\n".encode(), RECORD)
    write_bytes(page(cases, made).encode(), PAGE)
    print(page(cases, made))


if __name__ == "__main__":
    main()
