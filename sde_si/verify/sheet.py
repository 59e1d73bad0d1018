"""What a reader is told of a claim, as plain data; report and documentation only differ in how they write it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sde_si.comparison import number, percent
from sde_si.losses import LOSSES
from sde_si.methods import METHODS
from sde_si.noises import NOISES
from sde_si.run import Run
from sde_si.terminal import as_flag
from sde_si.verify.claim import (
    APPROXIMATE,
    CERTAIN,
    ERRORS,
    EXACT,
    EXPLAINED,
    FAILS,
    LIKELY,
    Claim,
    Measurement,
    Result,
)
from sde_si.verify.claims import CLAIMS, FILES
from sde_si.verify.glossary import symbols

PERCENT = 1e-5  # tolerances from here on are shown in per cent
TEXT, CODE, LINK, TERMS = "text", "code", "link", "terms"
# column -> whether it holds numbers
COLUMNS = {
    "quantity and system": False, "predicted": True, "measured ± s.e.": True, "error": True, "z": True,
    "verdict": False, "corrected or exact theory": True, "z against it": True, "wrong variant says": True,
    "wrong variant": False,
}  # fmt: skip
OVERVIEW = {
    "claim": False, "quantity and system": False, "predicted": True, "measured ± s.e.": True, "error": True,
    "verdict": False, "expected": False, "s": True,
}  # fmt: skip
READING = (
    "predicted: what the claim says; s.e.: standard error of the measured number, of independent paths or starts; "
    "error: measured over predicted minus one; z: measured minus predicted in s.e., whatever the expected verdict, and "
    "so large where a claim fails; z against it: the same against the corrected or exact theory; wrong variant: what "
    "the mistake that the claim names would have given for the same data, and whether they reject it. A unit stands in "
    "brackets after the quantity; without one the number has none."
)


@dataclass(frozen=True)
class Fact:
    """One thing said of a claim.

    Attributes
    ----------
    label, text : str
    kind : str
        `TEXT`, `CODE` (a formula or a command, kept as it is), `LINK` (claim ids, separated by blanks) or `TERMS`
        (a line each: a term, a tab, what it means).
    """

    label: str
    text: str
    kind: str = TEXT


@dataclass(frozen=True)
class Subject:
    """The claims of one file.

    Attributes
    ----------
    name, title : str
        The file's name; the first line of its docstring.
    claims : sequence of Claim
    """

    name: str
    title: str
    claims: Sequence[Claim]


def subjects() -> list[Subject]:
    """The registered claims by the file that they stand in, in the registry's order."""
    found = []
    for file in FILES:
        name = file.__name__.rpartition(".")[2]
        found.append(Subject(name, (inspect.getdoc(file) or name).partition("\n")[0], file.CLAIMS))
    return found


def relative(value: float) -> str:
    """A tolerance: per cent, or a plain number where that would be all zeros."""
    return f"{100 * value:.3g} %" if value >= PERCENT else f"{value:.1e}"


def rule(claim: Claim) -> str:
    """The rule of the verdict in one line."""
    if claim.rule:
        return claim.rule
    band = relative(claim.allowed)
    if claim.expected == FAILS:
        return (
            f"fails if measured and predicted differ by more than {CERTAIN:.0f} s.e. and {band}, and by what the "
            f"corrected theory says, to {100 * EXPLAINED:.0f} % of that difference"
        )
    if claim.expected == EXACT:
        return f"exact if measured and predicted differ by at most {band}"
    chance = claim.allowed - claim.systematic
    parts = [relative(claim.systematic)] if claim.systematic else []
    errors = f"{ERRORS:.0f} s.e."
    if chance:
        errors += f" (or {relative(chance)} where that is more, but at most {LIKELY:.0f} s.e.)"
    return (
        f"{claim.expected} if measured and predicted differ by at most {' plus '.join([*parts, errors])}, "
        f"with a standard error below {relative(claim.allowed / 3)}"
    )


def facts(claim: Claim) -> list[Fact]:
    """All that is said of a claim before it is measured."""
    parts = "; ".join(f"{name}: {relative(value)}" for name, value in claim.tolerance.items())
    said = [
        Fact("Formula", claim.formula, CODE),
        Fact("Symbols", "\n".join(f"{name}\t{text}" for name, text in symbols(claim).items()), TERMS),
        Fact("Source", claim.source),
        Fact("Assumes", claim.assumes),
        Fact("Expected verdict", claim.expected),
        Fact("Rule", rule(claim)),
        Fact("Tolerance", f"{relative(claim.allowed)} ({parts})" if len(claim.tolerance) > 1 else parts),
        Fact("Wrong variant that the same data must reject", claim.wrong),
    ]
    if claim.broken:
        said.append(Fact("Holds within" if claim.expected == APPROXIMATE else "What broke", claim.broken))
    for name, one in _runs(claim).items():
        said += [Fact(f"System {name}", system(one)), Fact(f"Simulates {name}", command(one), CODE)]
    if claim.corrected:
        said.append(Fact("What holds instead", claim.corrected, LINK))
    corrects = [one.id for one in CLAIMS.values() if one.corrected == claim.id]
    if corrects:
        said.append(Fact("Corrects", " ".join(corrects), LINK))
    return said


def _runs(claim: Claim) -> Mapping[str, Run]:
    return claim.runs(1.0, 0) if claim.runs else {}


def system(run: Run) -> str:
    """Everything about a simulated system that a reader needs, in words."""
    hp, problem, one = run.hyperparameters, run.problem, []
    given = {k: v for k, v in problem.parameters.items() if v is not None and k in problem.loss.parameters}
    values = ", ".join(f"{k} {_word(v)}" for k, v in given.items())
    one.append(f"loss {problem.loss.name}" + f" ({values})" * bool(values) + f", {run.arrays.dim} weights")
    one.append(f"method {run.method.name}" + f", {run.substeps} substeps a step" * (run.substeps > 1))
    more = f", beta2 = {hp.beta2:g}" if hp.beta2 is not None else ""
    one.append(f"N = {hp.N}, B = {hp.B}, lr = {hp.lr:g}, wd = {hp.wd:g}, momentum = {hp.momentum:g}{more}")
    one.append(f"{hp.steps_per_epoch} steps an epoch, u = {hp.intrinsic_lr:.4g}, T = {run.tuning_factor:.4g}")
    noise = "minibatches" if problem.loss.finite_sum and run.noise not in NOISES else f"{run.noise} noise"
    one.append(f"{noise}, {'every sample once an epoch' if run.reshuffled else 'drawn with replacement'}")
    if hp.schedule != "constant":
        one.append(f"schedule {hp.schedule}")
    if run.constraint != "free":
        one.append("all weights held at length 1")
    one.append(f"{hp.epochs} epochs, {run.paths} paths, started at |x| = {run.start_norm:.6g}")
    return "; ".join(one)


def _word(value: object) -> str:
    return ",".join(map(_word, value)) if isinstance(value, list) else str(value)


def command(run: Run) -> str:
    """The command of the main job that repeats a simulation of a claim."""
    own = LOSSES.get(run.problem.loss.name) is not run.problem.loss or METHODS.get(run.method.name) is not run.method
    left_out = {"substeps"} if not run.method.sde else set()
    left_out |= {"noise"} if run.noise not in NOISES else set()
    given = {k: v for k, v in run.configuration().items() if v not in (None, [], "") and k not in left_out}
    if not run.noise_from:
        del given["noise_from"]
    words = " ".join(f"{as_flag(key)} {_word(value)}" for key, value in given.items())
    if run.constraint != "free":
        return f"on the sphere, from Python: {words}"
    return f"with a loss or method that the claim defines: {words}" if own else f"sde-si simulate {words}"


def cells(result: Result) -> list[dict[str, str]]:
    """One row of `COLUMNS` for each measurement; a column that would be empty throughout is left out."""
    rows = [_row(result.claim, one) for one in result.measurements]
    return [{name: row[name] for name in row if any(other[name] not in ("", "-") for other in rows)} for row in rows]


def _row(claim: Claim, one: Measurement) -> Mapping[str, str]:
    rejected = "rejected" if claim.rejects_wrong(one) else "NOT REJECTED"
    values = (
        _what(one), number(one.predicted), number(one.measured, error=one.stderr),
        error(claim, one), _errors(one.z), claim.verdict(one), number(one.truth), _errors(one.z_truth),
        number(one.wrong), rejected,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _what(one: Measurement) -> str:
    """Two lines: the quantity with its unit; the system."""
    return f"{one.quantity.title}\n{one.system}"


def _errors(z: float) -> str:
    return f"{z:+.1f}" if math.isfinite(z) else "-"


def measured(result: Result) -> Fact:
    """How each quantity of the table is measured."""
    found = {one.quantity.title: one.quantity.how for one in result.measurements}
    return Fact("How it is measured", "\n".join(f"{name}\t{how}" for name, how in found.items()), TERMS)


def error(claim: Claim, one: Measurement) -> str:
    """Relative error of the measured number, or "-" where zero is predicted."""
    if not one.predicted:
        return "-"
    return f"{one.relative_error:+.1e}" if claim.allowed < PERCENT else percent(one.relative_error)


def overview(result: Result) -> list[dict[str, str]]:
    """One row of `OVERVIEW` for each measurement; what all have in common stands in the first."""
    rows, claim = [], result.claim
    for i, one in enumerate(result.measurements):
        values = (
            claim.id if i == 0 else "", _what(one), number(one.predicted),
            number(one.measured, error=one.stderr), error(claim, one), claim.verdict(one), claim.expected,
            f"{result.seconds:.1f}" if i == 0 else "",
        )  # fmt: skip
        rows.append(dict(zip(OVERVIEW, values, strict=True)))
    return rows
