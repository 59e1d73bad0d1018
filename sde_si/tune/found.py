"""What a search found: its points, the best tuning factor with an interval, the settings, the cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import number
from sde_si.hyperparameters import HyperParameters
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
    low, high : float or None
        95 % interval of the best tuning factor, from the spread between seeds; at least to half-way to its neighbours
        where the spread is not known. None: that side is open, since nothing that was tried bounds it.
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
        """Of the cost of the full search."""
        return self.samples / self.samples_full

    def interval(self) -> str:
        """The interval in words; an open side is called so, with what was tried there."""
        tried = [one.tuning_factor for one in self.trials]
        low = f"open below (tried from {min(tried):.4g})" if self.low is None else f"{self.low:.4g}"
        high = f"open above (tried to {max(tried):.4g})" if self.high is None else f"{self.high:.4g}"
        if self.low is None and self.high is None:
            return f"no interval: open on both sides of the range tried, {min(tried):.4g} .. {max(tried):.4g}"
        return f"95 % {low} .. {high}"

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
        interval = self.interval()
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
    ln(tuning factor) through the highest point and its neighbours. Where more than 2.5 % of the draws are best at the
    end of what was tried, nothing bounds that side.
    """
    line = [t for t in trials if t.hyperparameters.B == best.hyperparameters.B and math.isfinite(t.median)]
    x = np.log([t.tuning_factor for t in line])
    y = sign * np.array([t.median for t in line])
    if x.size == 1:
        return None, None, ["only one point has a value: it is compared with nothing"]
    if np.ptp(y) == 0:
        return None, None, ["no difference between points: any tuning factor is as good, try a wider range"]
    notes, i = [], line.index(best)
    if math.isnan(spread) or spread == 0:
        why = "one seed says nothing of the spread" if math.isnan(spread) else "the seeds do not differ"
        notes.append(f"{why}: the interval is that of the points tried")
        ends = [(x[max(i - 1, 0)] + x[i]) / 2, (x[min(i + 1, x.size - 1)] + x[i]) / 2]
        first, last = i == 0, i == x.size - 1
    else:
        errors = np.array([MEDIAN * spread / math.sqrt(len(t.values)) if len(t.values) > 2 else spread /
                           math.sqrt(len(t.values)) for t in line])  # fmt: skip
        draws = y + errors * np.random.default_rng(0).standard_normal((DRAWS, y.size))
        tops = np.sort([vertex(x, draw) for draw in draws])
        low, high = (float(tops[round(q * (DRAWS - 1))]) for q in (0.025, 0.975))
        first, last = i == 0 or low <= x[0], i == x.size - 1 or high >= x[-1]
        ends = [min(low, float(x[i])), max(high, float(x[i]))]
        if first or last:  # no parabola at an end: what lies between the points there was not seen
            ends = [min(ends[0], (x[max(i - 1, 0)] + x[i]) / 2), max(ends[1], (x[min(i + 1, x.size - 1)] + x[i]) / 2)]
    if i in (0, x.size - 1):
        side = "smallest" if i == 0 else "largest"
        notes.append(f"the best tuning factor is the {side} that was tried: widen the range on that side")
    elif first or last:
        side = "on both sides" if first and last else "below" if first else "above"
        notes.append(f"the end of the range may be as good as the best: widen it {side}")
    return None if first else math.exp(ends[0]), None if last else math.exp(ends[1]), notes


def vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the highest point and its neighbours is highest; the point itself at an end."""
    i = int(np.argmax(y))
    if i in (0, x.size - 1):
        return float(x[i])
    (a, b, c), (p, q, r) = x[i - 1 : i + 2], y[i - 1 : i + 2]
    curved = (b - a) * (q - r) - (b - c) * (q - p)
    shift = ((b - a) ** 2 * (q - r) - (b - c) ** 2 * (q - p)) / (2 * curved) if curved else 0.0
    return float(min(max(b - shift, a), c))
