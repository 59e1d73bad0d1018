"""What a claim is, and how a measurement becomes a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import xarray as xr
    from numpy.typing import ArrayLike

    from sde_si.run import Run

EXACT, HOLDS, APPROXIMATE, FAILS = "exact", "holds", "approximate", "fails"
VERDICTS = (EXACT, HOLDS, APPROXIMATE, FAILS)
UNDECIDED, REFUTED = "undecided", "refuted"
ERRORS = 5.0  # standard errors that a right statement may be off
ROUNDING = 1e-14  # relative standard error that is rounding, not chance
CERTAIN = 10.0  # standard errors by which a statement must be off to be called wrong
STATISTICAL = "Monte Carlo"  # parts of a tolerance whose name begins so allow for chance, the others for theory
LIKELY = 7.0  # standard errors, as measured, that the statistical part may stand for at most
EXPLAINED = 0.2  # share of the predicted deviation by which the measured one may differ from it


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What the figure of a claim shows of one measurement: points with error bars and the theory's lines.

    Attributes
    ----------
    x, measured, stderr : array_like
        Points and their standard errors, of one length.
    lines : mapping of str to array_like
        What theory says at the same `x`, by name; the right one first.
    xlabel, ylabel : str
        With units.
    log : str
        Logarithmic axes: "", "x", "y" or "xy".
    """

    x: ArrayLike
    measured: ArrayLike
    stderr: ArrayLike
    lines: Mapping[str, ArrayLike]
    xlabel: str
    ylabel: str
    log: str = ""


@dataclass(frozen=True)
class Quantity:
    """What a number is.

    Attributes
    ----------
    name : str
        In words, with its symbol.
    how : str
        How the number is measured, one sentence.
    unit : str
        "1" for a pure number.
    """

    name: str
    how: str
    unit: str = "1"

    @property
    def title(self) -> str:
        """Name with unit, for a table."""
        return self.name if self.unit == "1" else f"{self.name} [{self.unit}]"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One system's number beside what the claim says of it.

    Attributes
    ----------
    quantity : Quantity
        What the number is, its unit, how it is measured; predicted, wrong and true values are of the same quantity.
    system : str
        Loss, dimension, method, hyperparameters: what was measured.
    predicted, measured : float
        What the claim says; what was found.
    stderr : float
        Standard error of `measured`; 0 for what has no randomness.
    wrong : float
        What a wrong variant would say of the same data.
    truth : float or None
        For a claim that fails or is approximate: what the corrected or exact theory says.
    curve : Curve or None
        What the number was reduced from, for the claim's figure; without one the figure shows the number.
    """

    quantity: Quantity
    system: str
    predicted: float
    measured: float
    stderr: float = 0.0
    wrong: float = math.nan
    truth: float | None = None
    curve: Curve | None = None

    @property
    def z(self) -> float:
        """Measured minus predicted in standard errors, whatever the expected verdict: large where a claim fails."""
        return self._z(self.predicted)

    @property
    def z_truth(self) -> float:
        """Measured minus what the corrected or exact theory says, in standard errors; nan without one."""
        return math.nan if self.truth is None else self._z(self.truth)

    def _z(self, reference: float) -> float:
        known = self.stderr > ROUNDING * abs(self.measured)  # else all paths agree: nothing is left to chance
        return (self.measured - reference) / self.stderr if known else math.nan

    @property
    def relative_error(self) -> float:
        """Measured over predicted minus one; measured itself where zero is predicted."""
        return self.measured / self.predicted - 1 if self.predicted else self.measured


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement that can be wrong, and how to find out. To add one, write it in `sde_si.verify.claims`.

    Attributes
    ----------
    id, source, statement, formula, assumes : str
        Name; paper equation and theory.md number; one sentence; the formula; what it takes for granted.
    expected : str
        The verdict that theory.md leads to, written before the measurement.
    tolerance : mapping of str to float
        Named parts of the tolerance, each relative to the predicted value; their sum counts.
    wrong : str
        The wrong variant, in words, that the same data must reject.
    runs : callable or None
        ``runs(scale, seed)`` gives the simulations needed, by name; equal ones are shared between claims. `scale`
        multiplies the paths.
    measure : callable or None
        ``measure(records, runs)`` reduces their records to measurements.
    check : callable or None
        For what needs no simulation: ``check(rng)`` gives measurements.
    corrected : str
        For a claim that fails: the id of the corrected statement.
    broken : str
        For a claim that fails: the assumption that broke. For an approximate one: the range in which it holds.
    rule : str
        The rule of the verdict in words, of a claim that has its own.
    where : mapping of str to str
        Symbols of the formula that only this claim has; the others stand in `sde_si.verify.glossary`.
    """

    id: str
    source: str
    statement: str
    formula: str
    assumes: str
    expected: str
    tolerance: Mapping[str, float]
    wrong: str
    runs: Callable[[float, int], Mapping[str, Run]] | None = None
    measure: Callable[[Mapping[str, xr.Dataset], Mapping[str, Run]], Sequence[Measurement]] | None = None
    check: Callable[[np.random.Generator], Sequence[Measurement]] | None = None
    corrected: str = ""
    broken: str = ""
    rule: str = ""
    where: Mapping[str, str] = field(default_factory=dict)

    @property
    def allowed(self) -> float:
        """The whole tolerance, relative."""
        return sum(self.tolerance.values())

    @property
    def systematic(self) -> float:
        """The parts of the tolerance that name what the theory leaves out, relative."""
        return sum(part for name, part in self.tolerance.items() if not name.startswith(STATISTICAL))

    def margin(self, reference: float, stderr: float) -> float:
        """How far a measured number may be from `reference`.

        The systematic parts of the tolerance, and for chance `ERRORS` standard errors, or its statistical part if that
        is more, but never more than `LIKELY` standard errors: a precise measurement may not hide behind a plan.
        """
        size = abs(reference) or 1.0
        planned = (self.allowed - self.systematic) * size
        return self.systematic * size + max(ERRORS * stderr, min(planned, LIKELY * stderr))

    def _band(self, reference: float) -> float:
        return self.allowed * (abs(reference) or 1.0)

    def _fits(self, one: Measurement, value: float) -> bool:
        """Whether the measured number agrees with `value`."""
        return abs(one.measured - value) <= self.margin(value, one.stderr)

    def verdict(self, one: Measurement) -> str:
        """The verdict on one measurement."""
        if not (math.isfinite(one.measured) and math.isfinite(one.predicted)):
            return UNDECIDED
        if self.expected == FAILS:
            assert one.truth is not None
            expected, found = one.truth - one.predicted, one.measured - one.predicted
            clear = abs(found) > max(CERTAIN * one.stderr, self._band(one.predicted))
            return FAILS if clear and abs(found - expected) <= EXPLAINED * abs(expected) else REFUTED
        if self.expected != EXACT and one.stderr >= self._band(one.predicted) / 3:
            return UNDECIDED
        return self.expected if self._fits(one, one.predicted) else REFUTED

    def rejects_wrong(self, one: Measurement) -> bool:
        """Whether the data reject the wrong variant by the rule that the claim itself is held to."""
        if not math.isfinite(one.wrong):
            return False
        if self.expected == FAILS:
            # The wrong explanation of the deviation must not pass for the right one.
            expected = one.wrong - one.predicted
            return abs(one.measured - one.predicted - expected) > EXPLAINED * abs(expected)
        return not self._fits(one, one.wrong)


@dataclass(frozen=True)
class Result:
    """A claim, its measurements, and the seconds that they took."""

    claim: Claim
    measurements: Sequence[Measurement]
    seconds: float

    @property
    def verdict(self) -> str:
        """The verdict on the claim: that of all its measurements, or of the first that differs from the expected."""
        found = [self.claim.verdict(one) for one in self.measurements]
        return next((v for v in found if v != self.claim.expected), self.claim.expected) if found else UNDECIDED

    @property
    def as_expected(self) -> bool:
        """Whether the verdict is the expected one."""
        return self.verdict == self.claim.expected

    @property
    def controls(self) -> bool:
        """Whether the data of every measurement reject the wrong variant."""
        return bool(self.measurements) and all(self.claim.rejects_wrong(one) for one in self.measurements)
