"""One piece of advice, in words, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sde_si.comparison import finite, number

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """One piece of advice.

    Attributes
    ----------
    about : str
        A key of `ADVICE`.
    value, low, high : float or None
        The number and its 95 % interval; None: no suggestion.
    unit, text : str
        What the number is.
    evidence : str
        The measurement that it rests on.
    source, assumes : str
    because : str
        Why there is no suggestion; empty if there is one.
    """

    about: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    text: str = ""
    evidence: str = ""
    source: str = ""
    assumes: str = ""
    because: str = ""

    def __bool__(self) -> bool:
        return self.value is not None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.about}: no suggestion, because {self.because}"
        interval = f"{number(_round(self.low))} .. {number(_round(self.high))}"
        return (
            f"{self.about}: {self.text}: {number(_round(self.value))} {self.unit}, 95 % {interval}; "
            f"from {self.evidence} ({self.source}); assumes that {self.assumes}"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def _round(value: float | None) -> float | None:
    return None if value is None else finite(float(f"{value:.4g}"))


def to_table(found: tuple[Suggestion, ...]) -> Table:
    """One row a suggestion."""
    from sde_si.tune.show import plain_table

    out = plain_table("about", ["suggestion", "95 %", "unit"])
    for one in found:
        interval = f"{number(_round(one.low))} .. {number(_round(one.high))}" if one else "-"
        out.add_row(one.about, number(_round(one.value)), interval, one.unit or "-")
    return out
