"""Search on a subset of the data in the coordinates (tuning factor, B), then settings for all of it (Yun section 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import number
from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters, check_count, check_number
from sde_si.sweep import Sweep
from sde_si.sweep.axes import solve_tuning_factor
from sde_si.terminal import say
from sde_si.tune import trial
from sde_si.tune.effects import find_optimizer, is_decoupled
from sde_si.tune.samplers import SAMPLERS, Point
from sde_si.tune.settings import Transfer, five, transfer

if TYPE_CHECKING:
    from rich.table import Table

KEEP = 3  # points of a round that get every seed, whatever the others do
DRAWS = 4000  # of the medians, for the interval
MEDIAN = math.sqrt(math.pi / 2)  # standard error of a median over that of a mean


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One point of the search.

    Attributes
    ----------
    tuning_factor : float
    hyperparameters : HyperParameters
        On the subset.
    values : tuple of float
        The metric, seed by seed; nan where a run failed.
    stopped : bool
        Whether it was stopped before its last seed.
    """

    tuning_factor: float
    hyperparameters: HyperParameters
    values: tuple[float, ...]
    stopped: bool

    @property
    def median(self) -> float:
        """Over seeds; nan if a run failed."""
        return float(np.median(self.values))


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes
    ----------
    trials : tuple of Trial
        By batch size and tuning factor.
    best : Trial
        Of those with every seed.
    low, high : float
        95 % interval of the best tuning factor, from the spread between seeds; at least to half-way to its neighbours
        where there is one seed.
    spread : float
        Standard deviation between seeds, nan with one.
    settings : Transfer
        For the whole data set.
    metric : str
    maximize : bool
    samples, samples_full : int
        Samples an epoch over all runs done, and of the same grid on the whole data set with every seed.
    notes : tuple of str
    """

    trials: tuple[Trial, ...]
    best: Trial
    low: float
    high: float
    spread: float
    settings: Transfer
    metric: str
    maximize: bool
    samples: int
    samples_full: int
    notes: tuple[str, ...] = field(default=())

    @property
    def share(self) -> float:
        """Of the cost of the full search."""
        return self.samples / self.samples_full

    def to_table(self) -> Table:
        """One row a point."""
        from sde_si.tune.show import exact, plain_table

        out = plain_table("tuning factor", ["B", "lr", "wd", f"median {self.metric}", "seeds", ""])
        for one in self.trials:
            hp = one.hyperparameters
            mark = "best" if one is self.best else "stopped early" if one.stopped else ""
            value = number(None if math.isnan(one.median) else float(f"{one.median:.5g}"))
            factor = number(float(f"{one.tuning_factor:.5g}"))
            out.add_row(factor, str(hp.B), exact(hp.lr), f"{hp.wd:.6g}", value, str(len(one.values)), mark)
        return out

    def lines(self) -> list[str]:
        """Best point, interval, cost."""
        spread = "" if math.isnan(self.spread) else f" ± {self.spread:.2g} between seeds"
        interval = f"95 % {self.low:.4g} .. {self.high:.4g}"
        top = f"best tuning factor {self.best.tuning_factor:.4g} per epoch, {interval}: median"
        cost = (
            f"cost: {self.samples} samples an epoch over all runs, {100 * self.share:.3g} % of the {self.samples_full}"
        )
        return [
            f"{top} {self.metric} {self.best.median:.5g}{spread}",
            f"{cost} of the same grid with every seed on the whole data set",
            *(f"note: {note}" for note in self.notes),
        ]

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """Tables and lines."""
        from rich.markup import escape

        yield self.to_table()
        yield from map(escape, self.lines())
        yield self.settings

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        trials = [
            {"tuning_factor": one.tuning_factor, "hyperparameters": five(one.hyperparameters), "stopped": one.stopped,
             "values": [None if math.isnan(v) else v for v in one.values],
             "median": None if math.isnan(one.median) else one.median}
            for one in self.trials
        ]  # fmt: skip
        return {
            "metric": self.metric, "maximize": self.maximize, "trials": trials,
            "tuning_factor": self.best.tuning_factor, "low": self.low, "high": self.high,
            "best": five(self.best.hyperparameters), "median": self.best.median,
            "spread": None if math.isnan(self.spread) else self.spread, "settings": self.settings.to_json(),
            "cost": {"samples": self.samples, "samples_full": self.samples_full, "share": self.share},
            "notes": list(self.notes),
        }  # fmt: skip


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
    spread = _spread(trials)
    low, high, notes = _interval(trials, best, spread, sign)
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
    require(sampler in SAMPLERS, "sampler", f"one of {', '.join(SAMPLERS)}", repr(sampler), "grid")
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


def _spread(trials: Sequence[Trial]) -> float:
    """Standard deviation between seeds, pooled over the points."""
    groups = [np.array(t.values) for t in trials if len(t.values) > 1 and np.isfinite(t.values).all()]
    freedom = sum(group.size - 1 for group in groups)
    return math.sqrt(sum(float(group.var()) * group.size for group in groups) / freedom) if freedom else math.nan


def _interval(trials: Sequence[Trial], best: Trial, spread: float, sign: float) -> tuple[float, float, list[str]]:
    """95 % interval of the best tuning factor at the best's B, and what is to be known of it.

    The medians are drawn anew with their standard errors; the best of each draw is the vertex of the parabola in
    ln(tuning factor) through the highest point and its neighbours.
    """
    line = [t for t in trials if t.hyperparameters.B == best.hyperparameters.B and math.isfinite(t.median)]
    x = np.log([t.tuning_factor for t in line])
    y = sign * np.array([t.median for t in line])
    notes, i = [], line.index(best)
    if i in (0, len(line) - 1):
        side = "smallest" if i == 0 else "largest"
        notes.append(f"the best tuning factor is the {side} that was tried: widen the range on that side")
    if math.isnan(spread):
        notes.append("one seed says nothing of the spread: the interval is that of the points tried")
        ends = (x[max(i - 1, 0)] + x[i]) / 2, (x[min(i + 1, x.size - 1)] + x[i]) / 2
        return math.exp(ends[0]), math.exp(ends[1]), notes
    errors = np.array([MEDIAN * spread / math.sqrt(len(t.values)) if len(t.values) > 2 else spread /
                       math.sqrt(len(t.values)) for t in line])  # fmt: skip
    draws = y + errors * np.random.default_rng(0).standard_normal((DRAWS, y.size))
    tops = np.sort([_vertex(x, draw) for draw in draws])
    low, high = (float(tops[round(q * (DRAWS - 1))]) for q in (0.025, 0.975))
    return math.exp(min(low, float(x[i]))), math.exp(max(high, float(x[i]))), notes


def _vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the highest point and its neighbours is highest; the point itself at an end."""
    i = int(np.argmax(y))
    if i in (0, x.size - 1):
        return float(x[i])
    (a, b, c), (p, q, r) = x[i - 1 : i + 2], y[i - 1 : i + 2]
    curved = (b - a) * (q - r) - (b - c) * (q - p)
    shift = ((b - a) ** 2 * (q - r) - (b - c) ** 2 * (q - p)) / (2 * curved) if curved else 0.0
    return float(min(max(b - shift, a), c))
