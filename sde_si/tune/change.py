"""A change of hyperparameters, and the warnings about it: their form and their register."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sde_si.comparison import finite
from sde_si.hyperparameters import HyperParameters
from sde_si.tune.effects import Effect, Gradients
from sde_si.tune.phases import Phase, phases


@dataclass(frozen=True)
class Caution:
    """One warning.

    Attributes
    ----------
    kind : str
        A key of `CAUTIONS`.
    text : str
        With its numbers, for people.
    number, limit : float
        What was found, and where it would cease to matter.
    """

    kind: str
    text: str
    number: float
    limit: float

    def to_json(self) -> dict[str, str | float | None]:
        """Plain JSON types; None for a number that is not finite (a relaxation without weight decay)."""
        return {"kind": self.kind, "text": self.text, "number": finite(self.number), "limit": finite(self.limit)}


@dataclass(frozen=True, kw_only=True)
class Change:
    """A change of hyperparameters, seen whole.

    Attributes
    ----------
    before, after : HyperParameters
        `after` has the schedule and the epochs of the run to come, if `scheduled`.
    optimizer : str
    effects : mapping of Effect
    gradients : Gradients
    scheduled : bool
        Whether epochs or a schedule were given.
    """

    before: HyperParameters
    after: HyperParameters
    optimizer: str
    effects: Mapping[str, Effect]
    gradients: Gradients
    scheduled: bool

    def phases(self) -> list[Phase]:
        """The phases of the run to come; none if nothing is known of it."""
        return phases(self.after, self.optimizer, self.gradients) if self.scheduled else []


CAUTIONS: dict[str, Callable[[Change], Caution | None]] = {}


def caution(kind: str) -> Callable[[Callable[[Change], Caution | None]], Callable[[Change], Caution | None]]:
    """Register a warning under its name.

    Parameters
    ----------
    kind : str

    Returns
    -------
    decorator
        Of a function of a `Change` that gives a `Caution`, or None where there is nothing to say.
    """

    def register(function: Callable[[Change], Caution | None]) -> Callable[[Change], Caution | None]:
        CAUTIONS[kind] = function
        return function

    return register
