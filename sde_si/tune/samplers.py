"""Who asks which tuning factors to try next: a grid that refines itself, or Optuna. To add one: `SAMPLERS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Protocol

from sde_si.errors import require

EACH = 2  # questions of a round after the first
Point = tuple[float, int]  # tuning factor, batch size


class Sampler(Protocol):
    """Ask and tell; a sampler must ask the same again if it is told the same."""

    def ask(self) -> list[Point]:
        """The next points; empty at the end."""
        ...

    def tell(self, point: Point, score: float | None) -> None:
        """How good a point was, the larger the better; None: it failed or was stopped early."""
        ...


@dataclass
class Grid:
    """Every combination, then the midpoints beside the best, as often as asked.

    Attributes
    ----------
    factors : sequence of float
    batches : sequence of int
    rounds : int
        Refinements.
    """

    factors: Sequence[float]
    batches: Sequence[int]
    rounds: int
    scores: dict[Point, float] = field(default_factory=dict)
    asked: list[Point] = field(default_factory=list)
    round: int = 0

    def ask(self) -> list[Point]:
        """The grid first; then the geometric means of the best tuning factor with its neighbours at the same B."""
        if self.round > self.rounds or (self.round and not self.scores):
            return []
        if self.round == 0:
            fresh = [(factor, B) for B in self.batches for factor in self.factors]
        else:
            best, B = max(self.scores, key=lambda point: self.scores[point])
            line = sorted(factor for factor, batch in self.asked if batch == B)
            i = line.index(best)
            near = [line[j] for j in (i - 1, i + 1) if 0 <= j < len(line)]
            fresh = [(math.sqrt(best * other), B) for other in near]
        self.round += 1
        self.asked += fresh
        return fresh

    def tell(self, point: Point, score: float | None) -> None:
        """Remember it."""
        if score is not None:
            self.scores[point] = score


class Optuna:
    """Optuna's tree of Parzen estimators by ask and tell, from a fixed seed: told the same, it asks the same.

    Parameters
    ----------
    factors : sequence of float
        Their least and largest are the ends of the range.
    batches : sequence of int
    rounds : int
        Batches of questions beyond the first.
    """

    def __init__(self, factors: Sequence[float], batches: Sequence[int], rounds: int) -> None:
        require(find_spec("optuna") is not None, "sampler", "optuna to be installed", "no such package",
                'pip install "sde_si[search]"')  # fmt: skip
        import optuna  # pyright: ignore[reportMissingImports]

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.low, self.high, self.batches = min(factors), max(factors), list(batches)
        self.size, self.left = len(factors) * len(self.batches), rounds + 1
        self.pruned = optuna.trial.TrialState.PRUNED
        self.study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
        for B in self.batches:  # the first questions are the grid's
            for factor in factors:
                self.study.enqueue_trial({"tuning_factor": factor, "B": B})
        self.open: dict[Point, list[Any]] = {}

    def ask(self) -> list[Point]:
        """The grid first; then `EACH` points a round."""
        if self.left == 0:
            return []
        count, self.size, self.left = self.size or EACH, 0, self.left - 1
        return [self._one() for _ in range(count)]

    def _one(self) -> Point:
        question = self.study.ask()
        factor = question.suggest_float("tuning_factor", self.low, self.high, log=True)
        point = (factor, int(question.suggest_categorical("B", self.batches)))
        self.open.setdefault(point, []).append(question)
        return point

    def tell(self, point: Point, score: float | None) -> None:
        """Hand it on; what failed or was stopped early counts as pruned."""
        question = self.open[point].pop()
        if score is None:
            self.study.tell(question, state=self.pruned)
        else:
            self.study.tell(question, score)


SAMPLERS: dict[str, Callable[[Sequence[float], Sequence[int], int], Sampler]] = {"grid": Grid, "optuna": Optuna}
