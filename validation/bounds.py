"""Claims that a measured number lies within a bound of a predicted one, decided by Student's t between seeds.

The claims of simulations allow five standard errors beside their tolerance; with the few seeds of a network that would
let a law pass that is off by twice its bound. Here the whole 95 % interval must lie within the bound ("holds") or
beyond it ("refuted"); else the records do not tell ("undecided").
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sde_si.verify.claim import HOLDS, REFUTED, UNDECIDED, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import AT_LAG
from validation.compare.compared import Compared
from validation.compare.goals import ROTATION
from validation.compare.keep import title_of
from validation.compare.rotation import ANSWERED, ASYMMETRIC, NOISE_ONLY
from validation.compare.seeds import Known, decide

if TYPE_CHECKING:
    import numpy as np

compared: Callable[[Path], Compared] = cache(Compared.of)  # all claims share what was simulated beside a record


@dataclass(frozen=True, kw_only=True)
class Row(Measurement):
    """A measurement whose standard error rests on `freedom` + 1 independent units.

    `rejected`: whether the wrong variant is refuted; None to decide that by `wrong`.
    """

    freedom: int
    rejected: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Bounded(Claim):
    """A claim whose tolerance is a bound: its verdict says whether the records hold to it, break it, or do not tell."""

    rule: str = (
        "holds if the 95 % interval (Student's t) of measured over predicted lies within the tolerance, refuted if it "
        "lies beyond, else undecided; errors are between seeds, of one or two seeds between batches of epochs"
    )

    def margin(self, reference: float, stderr: float) -> float:  # noqa: ARG002  (chance is in the interval)
        """How far a measured number may be from `reference`."""
        return self._band(reference)

    def verdict(self, one: Measurement) -> str:
        """The verdict on one measurement."""
        return self._against(one, one.predicted)

    def _against(self, one: Measurement, value: float) -> str:
        assert isinstance(one, Row)
        if not (math.isfinite(one.measured) and math.isfinite(value)):
            return UNDECIDED
        return decide(Known(one.measured / value - 1, one.stderr / abs(value), one.freedom), self.allowed)

    def rejects_wrong(self, one: Measurement) -> bool:
        """Whether the data refute the wrong variant by the rule that the claim itself is held to."""
        assert isinstance(one, Row)
        return self._against(one, one.wrong) == REFUTED if one.rejected is None else one.rejected


def row(quantity: Quantity, one: Compared, said: float, off: Known, wrong: float) -> Row:
    """A predicted number, what was measured over it, and a wrong prediction."""
    return Row(quantity=quantity, system=title_of(one.record), predicted=said, measured=said * (1 + off.value),
               stderr=abs(said) * off.stderr, freedom=off.freedom, wrong=wrong)  # fmt: skip


def each(
    folder: Callable[[], Path], measure: Callable[[Compared], Sequence[Measurement]],
    select: Callable[[str, Compared], bool] = lambda _name, _one: True,
) -> Callable[[np.random.Generator], Sequence[Measurement]]:  # fmt: skip
    """A claim's check: `measure` of every record of a folder that `select` takes, by the name of its file."""

    def check(_: np.random.Generator) -> Sequence[Measurement]:
        files = [(file.stem, compared(file)) for file in sorted(folder().glob("*.nc"))]
        return [found for name, one in files if select(name, one) for found in measure(one)]

    return check


def worst_lag(law: str) -> Callable[[Compared], Sequence[Measurement]]:
    """1 - cos by this law at the lag that decides for a record: the farthest beyond the bound, else the least sure.

    A record's lags share their kicks and their networks, so a record has one verdict: "holds" if the law does at every
    recorded lag, "refuted" if it is at one.
    """

    def measure(one: Compared) -> Sequence[Measurement]:
        points = [r for r in one.turned if r.name.startswith("lag") and {law, ANSWERED} <= r.laws.keys()]
        if not points:
            return []
        found = [decide(r.over[law], ROTATION) for r in points]
        sign = -1 if REFUTED in found else 1
        unknown = [r for r in points if not math.isfinite(r.over[law].value + r.over[law].reach)]
        worst = max(points, key=lambda r: abs(r.over[law].value) + sign * r.over[law].reach)
        if unknown and REFUTED not in found:  # a lag of which nothing is known is the least sure
            worst = unknown[0]
        off, said = worst.over[law], worst.laws[law]
        shown = [law, *(name for name in (ASYMMETRIC, ANSWERED, NOISE_ONLY) if name in worst.laws and name != law)]
        curve = Curve(
            x=[r.steps for r in points], measured=[r.measured for r in points], stderr=[r.stderr for r in points],
            lines={name: [r.laws[name] for r in points] for name in shown},
            xlabel="lag [steps]", ylabel="1 - cos", log="xy",
        )  # fmt: skip
        counts = f"within at {found.count(HOLDS)}, undecided at {found.count(UNDECIDED)}"
        return [Row(
            quantity=AT_LAG, system=f"{title_of(one.record)}, lag {worst.steps}, the worst of {len(points)} ({counts})",
            predicted=said, measured=worst.measured, stderr=said * off.stderr, freedom=off.freedom,
            wrong=worst.laws[NOISE_ONLY], curve=curve,
            rejected=any(decide(r.over[NOISE_ONLY], ROTATION) == REFUTED for r in points),
        )]  # fmt: skip

    return measure
