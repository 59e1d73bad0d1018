"""What a search found: its points, the best tuning factor with an interval, the settings, the cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import number
from sde_si.hyperparameters import HyperParameters
from sde_si.tune.parabola import vertex
from sde_si.tune.settings import Transfer, five

if TYPE_CHECKING:
    from rich.table import Table

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
        Whether it has fewer seeds than asked for.
    """

    tuning_factor: float
    hyperparameters: HyperParameters
    values: tuple[float, ...]
    stopped: bool

    @property
    def median(self) -> float:
        """Over seeds; nan if a run failed."""
        return float(np.median(self.values))

    @property
    def failed(self) -> bool:
        """Whether a run of it failed or diverged."""
        return not math.isfinite(self.median)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes
    ----------
    trials : tuple of Trial
        By batch size and tuning factor.
    best : Trial
        Of those with every seed.
    low, high : float or None
        95 % interval of the best tuning factor, from the spread between seeds (without one, see `measured`, it has no
        level); at least half-way to the neighbours of
        the best point, and never beyond a point that failed. None: that side is open, since nothing that was tried
        bounds it.
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
    low: float | None
    high: float | None
    spread: float
    settings: Transfer
    metric: str
    maximize: bool
    samples: int
    samples_full: int
    notes: tuple[str, ...] = field(default=())

    @property
    def share(self) -> float:
        """Of the search's cost in that of the full search; what follows on the whole set is left out."""
        return self.samples / self.samples_full

    @property
    def samples_run(self) -> int:
        """Samples an epoch of one option's runs on the whole data set, with as many seeds as the best point."""
        return len(self.best.values) * int(self.settings.target["N"])

    @property
    def share_with_run(self) -> float:
        """Of search and full runs together in the cost of the full search."""
        return (self.samples + self.samples_run) / self.samples_full

    @property
    def measured(self) -> bool:
        """Whether the interval rests on a spread between seeds; else it tells the points tried, at no level."""
        return math.isfinite(self.spread) and self.spread > 0

    def interval(self) -> str:
        """The interval in words; an open side is called so, with what was tried there."""
        B = self.best.hyperparameters.B
        tried = [one.tuning_factor for one in self.trials if one.hyperparameters.B == B]
        low = f"open below (tried from {min(tried):.4g})" if self.low is None else f"{self.low:.4g}"
        high = f"open above (tried to {max(tried):.4g})" if self.high is None else f"{self.high:.4g}"
        if self.low is None and self.high is None:
            return f"no interval: open on both sides of the range tried, {min(tried):.4g} .. {max(tried):.4g}"
        return f"{'95 %' if self.measured else 'by the points tried'} {low} .. {high}"

    def to_table(self) -> Table:
        """One row a point."""
        from sde_si.tune.show import exact, plain_table

        out = plain_table("tuning factor", ["B", "lr", "wd", f"median {self.metric}", "seeds", ""])
        for one in self.trials:
            hp = one.hyperparameters
            mark = "failed" if one.failed else "stopped early" if one.stopped else ""
            mark = "best" if one is self.best else mark
            value = number(None if math.isnan(one.median) else float(f"{one.median:.5g}"))
            factor = number(float(f"{one.tuning_factor:.5g}"))
            out.add_row(factor, str(hp.B), exact(hp.lr), f"{hp.wd:.6g}", value, str(len(one.values)), mark)
        return out

    def lines(self) -> list[str]:
        """Best point, interval, cost."""
        spread = "" if math.isnan(self.spread) else f" ± {self.spread:.2g} between seeds"
        interval = self.interval()
        top = f"best tuning factor {self.best.tuning_factor:.4g} per epoch, {interval}: median"
        runs = len(self.best.values)
        return [
            f"{top} {self.metric} {self.best.median:.5g}{spread}",
            (
                f"cost of the search: {self.samples} samples an epoch over all runs, {100 * self.share:.3g} % of the "
                f"{self.samples_full} of the same grid with every seed on the whole data set"
            ),
            f"cost with the full runs to come ({runs} of one setting): {100 * self.share_with_run:.3g} %",
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
             "failed": one.failed, "values": [None if math.isnan(v) else v for v in one.values],
             "median": None if math.isnan(one.median) else one.median}
            for one in self.trials
        ]  # fmt: skip
        return {
            "metric": self.metric, "maximize": self.maximize, "trials": trials,
            "tuning_factor": self.best.tuning_factor, "low": self.low, "high": self.high,
            "best": five(self.best.hyperparameters), "median": self.best.median,
            "spread": None if math.isnan(self.spread) else self.spread, "settings": self.settings.to_json(),
            "level": 0.95 if self.measured else None,
            "cost": {"samples": self.samples, "samples_full": self.samples_full, "share": self.share,
                     "samples_run": self.samples_run, "share_with_run": self.share_with_run},
            "notes": list(self.notes),
        }  # fmt: skip


def spread_of(trials: Sequence[Trial]) -> float:
    """Standard deviation between seeds, pooled over the points."""
    groups = [np.array(t.values) for t in trials if len(t.values) > 1 and np.isfinite(t.values).all()]
    freedom = sum(group.size - 1 for group in groups)
    return math.sqrt(sum(float(group.var()) * group.size for group in groups) / freedom) if freedom else math.nan


def interval_of(
    trials: Sequence[Trial], best: Trial, spread: float, sign: float
) -> tuple[float | None, float | None, list[str]]:
    """95 % interval of the best tuning factor at the best's B, and what is to be known of it; None: an open side.

    The medians are drawn anew with their standard errors; the best of each draw is the vertex of the parabola in
    ln(tuning factor) through the highest point and its neighbours. The interval reaches at least half-way to the best
    point's neighbours: between points only the parabola, a guess, tells one tuning factor from another. Where more than
    2.5 % of the draws are best at the end of what has a value, that side ends at the nearest failure beyond the best,
    and is open if there is none.
    """
    here = [t for t in trials if t.hyperparameters.B == best.hyperparameters.B]
    line = [t for t in here if not t.failed]
    failures = [t.tuning_factor for t in here if t.failed]
    floor = max((f for f in failures if f < best.tuning_factor), default=None)
    ceiling = min((f for f in failures if f > best.tuning_factor), default=None)
    x = np.log([t.tuning_factor for t in line])
    y = sign * np.array([t.median for t in line])
    if x.size == 1 or np.ptp(y) == 0:
        wider = "" if floor and ceiling else ", try a wider range"
        why = "only one point has a value: it is compared with nothing"
        why = why if x.size == 1 else f"no difference between points: any tuning factor is as good{wider}"
        return floor, ceiling, [why, *_failing(floor, ceiling)]
    notes, i = [], line.index(best)
    left, right = float(x[max(i - 1, 0)] + x[i]) / 2, float(x[min(i + 1, x.size - 1)] + x[i]) / 2
    first, last = i == 0, i == x.size - 1
    if math.isnan(spread) or spread == 0:
        why = "one seed says nothing of the spread" if math.isnan(spread) else "the seeds do not differ"
        notes.append(f"{why}: the interval is that of the points tried")
    else:
        low, high = _drawn(x, y, line, spread)
        first, last = first or low <= x[0], last or high >= x[-1]
        left, right = min(left, low), max(right, high)
    if (i == 0 and floor is None) or (i == x.size - 1 and ceiling is None):
        side = "smallest" if i == 0 else "largest"
        notes.append(f"the best tuning factor is the {side} that was tried: widen the range on that side")
    elif below := [name for name, wide in (("below", first and not floor), ("above", last and not ceiling)) if wide]:
        side = "on both sides" if len(below) == 2 else below[0]
        notes.append(f"the end of the range may be as good as the best: widen it {side}")
    # What lies beyond a failure is no candidate, whatever the draws say.
    lowest = None if first else max(math.exp(left), floor or 0.0)
    highest = None if last else min(math.exp(right), ceiling or math.inf)
    notes += _failing(floor if first or lowest == floor else None, ceiling if last or highest == ceiling else None)
    return floor if first else lowest, ceiling if last else highest, notes


def _failing(floor: float | None, ceiling: float | None) -> list[str]:
    """That an interval ends where runs failed: there the range is to be refined, not widened."""
    return [
        f"the interval ends {side} at {end:.4g}, where runs failed: try points between it and the best, none beyond"
        for side, end in (("below", floor), ("above", ceiling))
        if end is not None
    ]


def _drawn(x: np.ndarray, y: np.ndarray, line: Sequence[Trial], spread: float) -> tuple[float, float]:
    """2.5 % and 97.5 % quantiles of the best ln(tuning factor) over new draws of the medians."""
    errors = np.array([(MEDIAN if len(t.values) > 2 else 1.0) * spread / math.sqrt(len(t.values)) for t in line])
    draws = y + errors * np.random.default_rng(0).standard_normal((DRAWS, y.size))
    tops = np.sort([vertex(x, draw) for draw in draws])
    low, high = (float(tops[round(q * (DRAWS - 1))]) for q in (0.025, 0.975))
    return low, high
