"""Search on a subset of the data in the coordinates (tuning factor, B), then settings for all of it (Yun section 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require, require_known
from sde_si.hyperparameters import HyperParameters, check_count, check_number
from sde_si.sweep import Sweep
from sde_si.sweep.axes import solve_tuning_factor
from sde_si.terminal import say
from sde_si.tune import trial
from sde_si.tune.effects import find_optimizer, is_decoupled
from sde_si.tune.found import Found, Trial, interval_of, spread_of
from sde_si.tune.samplers import SAMPLERS, Point
from sde_si.tune.settings import five, transfer

KEEP = 3  # points of a round that get every seed, whatever the others do


def search(
    train: Callable[..., Any] | str | None = None,
    *,
    subset: HyperParameters,
    full_N: int,
    tuning_factors: Sequence[float],
    command: str | None = None,
    batches: Sequence[int] = (),
    solve_for: str = "wd",
    optimizer: str = "sgd",
    metric: str = "value",
    maximize: bool = True,
    seeds: int = 3,
    rounds: int = 1,
    sampler: str = "grid",
    stop_early: bool = True,
    out: Path | str = "./runs",
    executor: Any = "local",
    timeout: float | None = None,
    quiet: bool = False,
) -> Found:
    """Find the best tuning factor on a subset, and the settings that have it on the whole data set.

    Every run has its own file in `out`; one whose file exists is not done again, so that a search that was killed goes
    on where it was: told the same results, it asks the same questions.

    Parameters
    ----------
    train : callable or str
        ``train(N, B, lr, wd, momentum, seed)`` trains and returns the metric, or numbers by name; a plain function or
        its name ``path/file.py:name`` (`sde_si.sweep`).
    subset : HyperParameters
        N of the subset; lr, momentum and B to begin with.
    full_N : int
        Samples of the whole data set.
    tuning_factors : sequence of float
        The first points.
    command : str, optional
        Instead of `train`: a command with ``{wd}``, ``{lr}``, ``{N}``, ``{B}``, ``{seed}``, whose output ends with one
        JSON object.
    batches : sequence of int
        Batch sizes; by default that of `subset`.
    solve_for : str
        ``wd`` or ``lr``: what makes the tuning factor.
    optimizer : str
        ``sgd``, ``sgdw``, ``adamw`` or ``lion``.
    metric : str
        Name in what `train` returns, or dotted name in the command's JSON.
    maximize : bool
        Whether more is better.
    seeds : int
        Runs of a point. After each, points below the median of their round are stopped, but for the three best and
        the neighbours of the best.
    rounds : int
        Refinements after the first points.
    sampler : str
        ``grid``, or ``optuna``.
    stop_early : bool
        Whether bad points are spared their last seeds.
    out, executor, timeout, quiet
        As in `sde_si.sweep.Sweep`.

    Returns
    -------
    Found

    Raises
    ------
    BadInput
        For wrong settings, or if every run fails.
    """
    _check(subset, full_N, tuning_factors, solve_for, seeds, rounds, sampler)
    find_optimizer(optimizer)
    require((train is None) != (command is None), "command", "a function or a command", "both or none")
    batches = tuple(dict.fromkeys(batches)) or (subset.B,)
    decoupled = is_decoupled(optimizer)

    def settings(point: Point) -> HyperParameters:
        factor, B = point
        rest = {name: value for name, value in five(subset).items() if name != solve_for} | {"B": B}
        return subset.replace(**solve_tuning_factor(rest | {"tuning_factor": factor}, solve_for, decoupled=decoupled))

    first = [settings((factor, B)) for B in batches for factor in tuning_factors]  # refuses what is wrong
    base: dict[str, Any] = {}
    if command is not None:
        needed = (solve_for, *(["seed"] if seeds > 1 else []), *(["B"] if len(batches) > 1 else []), "N")
        base = trial.check_command(command, five(first[0]) | {"seed": 0}, needed) | {"metric": metric}
    function = trial.RUN if command is not None else train
    told = "value" if command is not None else metric
    sign = 1.0 if maximize else -1.0
    asker = SAMPLERS[sampler](tuning_factors, batches, rounds)
    done: dict[Point, list[float]] = {}
    reasons: list[str] = []

    def scores(points: Sequence[Point]) -> dict[Point, float]:
        medians = {point: sign * float(np.median(done[point])) for point in points}
        return {point: value for point, value in medians.items() if math.isfinite(value)}

    while points := list(dict.fromkeys(asker.ask())):
        alive = list(points)
        for seed in range(seeds):
            runs = [five(settings(point)) | {"seed": seed} for point in alive]
            sweep = Sweep(function=function, base=base, runs=runs, out=out)
            sweep.run(executor=executor, timeout=timeout, quiet=quiet)
            for point, value in zip(alive, trial.values_of(sweep, told), strict=True):
                done.setdefault(point, []).append(value)
            reasons += trial.reasons(sweep)
            if seed + 1 < seeds and stop_early:
                alive = _promising(scores(alive))
            say(f"round of {len(points)} points, seed {seed}: {len(alive)} go on", quiet or seed + 1 == seeds)
            if not alive:
                break
        whole = scores([point for point in points if len(done[point]) == seeds])
        for point in points:
            asker.tell(point, whole.get(point))
    whole = scores([point for point, values in done.items() if len(values) == seeds])
    if not whole:
        raise BadInput("command" if command is not None else "train", "a training of which some run succeeds",
                       reasons[0] if reasons else "only failures")  # fmt: skip
    trials = tuple(
        Trial(tuning_factor=point[0], hyperparameters=settings(point), values=tuple(done[point]),
              stopped=len(done[point]) < seeds)
        for point in sorted(done, key=lambda point: (point[1], point[0]))
    )  # fmt: skip
    best_point = max(whole, key=lambda point: whole[point])
    best = next(t for t in trials if (t.tuning_factor, t.hyperparameters.B) == best_point)
    spread = spread_of(trials)
    low, high, notes = interval_of(trials, best, spread, sign)
    if reasons:
        failed = sum(math.isnan(value) for values in done.values() for value in values)
        notes.append(f"{failed} runs failed or diverged: {reasons[0]}")
    count = sum(len(values) for values in done.values())
    return Found(
        trials=trials, best=best, low=low, high=high, spread=spread, metric=metric, maximize=maximize,
        settings=transfer(best.hyperparameters, optimizer=optimizer, N=full_N), samples=count * subset.N,
        samples_full=len(first) * seeds * full_N, notes=tuple(notes),
    )  # fmt: skip


def _check(
    subset: HyperParameters,
    full_N: int,
    factors: Sequence[float],
    solve_for: str,
    seeds: int,
    rounds: int,
    sampler: str,
) -> None:
    require(solve_for in ("wd", "lr"), "solve_for", "wd or lr", repr(solve_for), "wd")
    require_known("sampler", sampler, SAMPLERS)
    require(len(set(factors)) == len(factors) >= 3, "tuning_factors", "three or more different numbers", list(factors),
            "0.02,0.08,0.3")  # fmt: skip
    for factor in factors:
        check_number("tuning_factors", factor, above=0, advice="0.02,0.08,0.3")
    check_count("full_N", full_N, advice="50000")
    require(full_N >= subset.N, "full_N", f"at least the subset's N = {subset.N}", full_N)
    check_count("seeds", seeds, advice="3")
    check_count("rounds", rounds, least=0, advice="1")


def _promising(scores: dict[Point, float]) -> list[Point]:
    """The points that get another seed: the better half, the three best, and the neighbours of the best."""
    if not scores:
        return []
    order = sorted(scores, key=lambda point: -scores[point])
    kept = set(order[: max(KEEP, math.ceil(len(order) / 2))])
    line = sorted(point for point in scores if point[1] == order[0][1])
    i = line.index(order[0])
    kept |= set(line[max(0, i - 1) : i + 2])
    return [point for point in scores if point in kept]
