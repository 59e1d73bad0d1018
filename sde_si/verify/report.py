"""The claims as a table, a list and JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sde_si.comparison import finite, number
from sde_si.verify.claim import APPROXIMATE, FAILS, Claim, Result
from sde_si.verify.glossary import symbols


def repeat(claim: Claim, *, seed: int = 0, full: bool = False) -> str:
    """The command that measures this claim again with the same numbers."""
    return f"python -m sde_si.verify --claims {claim.id} --seed {seed}" + " --full" * full


def to_json(result: Result, *, seed: int = 0, full: bool = False, figure: Path | None = None) -> list[dict[str, Any]]:
    """One object for each measurement; relative errors are fractions."""
    claim = result.claim
    return [
        {
            "id": claim.id,
            "source": claim.source,
            "statement": claim.statement,
            "formula": claim.formula,
            "assumes": claim.assumes,
            "symbols": dict(symbols(claim)),
            "quantity": one.quantity.name,
            "unit": one.quantity.unit,
            "how": one.quantity.how,
            "system": one.system,
            "predicted": finite(one.predicted),
            "measured": finite(one.measured),
            "stderr": finite(one.stderr),
            "z": finite(one.z),
            "z_truth": finite(one.z_truth),
            "relative_error": finite(one.relative_error) if one.predicted else None,
            "tolerance": dict(claim.tolerance),
            "truth": finite(one.truth),
            "corrected": claim.corrected or None,
            "broken": claim.broken or None,
            "verdict": claim.verdict(one),
            "expected": claim.expected,
            "wrong": claim.wrong,
            "wrong_value": finite(one.wrong),
            "wrong_rejected": claim.rejects_wrong(one),
            "seconds": result.seconds,
            "figure": None if figure is None else str(figure),
            "repeat": repeat(claim, seed=seed, full=full),
        }
        for one in result.measurements
    ]


def list_json(claims: Sequence[Claim]) -> list[dict[str, Any]]:
    """One object a claim: what is said of it before it is measured."""
    return [
        {
            "id": claim.id,
            "expected": claim.expected,
            "source": claim.source,
            "statement": claim.statement,
            "formula": claim.formula,
            "symbols": dict(symbols(claim)),
            "assumes": claim.assumes,
            "tolerance": dict(claim.tolerance),
            "wrong": claim.wrong,
            "corrected": claim.corrected or None,
            "broken": claim.broken or None,
            "repeat": repeat(claim),
        }
        for claim in claims
    ]


def print_table(
    results: Sequence[Result], *, controls: bool, seed: int = 0, full: bool = False, below: Sequence[str] = ()
) -> None:
    """The table on stdout, and below it what did not come out as expected, and other lines."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from sde_si.verify.sheet import error

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for name in ("claim", "quantity, system"):
        table.add_column(name, overflow="fold", min_width=24 if controls else 34)
    for name in ("predicted", "measured ± s.e.", "error", "z", "verdict", "expected", "s"):
        table.add_column(name, justify="right", overflow="fold")
    if controls:
        table.add_column("wrong variant", overflow="fold", min_width=24)
    for result in results:
        claim, first = result.claim, True
        for one in result.measurements:
            named = f"{claim.id}\n[dim]{escape(claim.statement)}[/dim]" if first else ""
            cells = [named, f"{escape(one.quantity.title)}\n[dim]{escape(one.system)}[/dim]", number(one.predicted),
                     number(one.measured, error=one.stderr), error(claim, one),
                     f"{one.z:+.1f}" if math.isfinite(one.z) else "-", claim.verdict(one), claim.expected,
                     f"{result.seconds:.1f}" if first else ""]  # fmt: skip
            if controls:
                cells.append(escape(("rejected: " if claim.rejects_wrong(one) else "NOT REJECTED: ") + claim.wrong))
            table.add_row(*cells)
            first = False
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table)
    lines = [f"{r.claim.id}: fails as theory says: {r.claim.broken}; instead: {r.claim.corrected}"
             for r in results if r.verdict == FAILS]  # fmt: skip
    lines += [f"{r.claim.id}: approximate within: {r.claim.broken}" for r in results if r.verdict == APPROXIMATE]
    lines += [f"{r.claim.id}: {r.verdict}, expected {r.claim.expected} ({repeat(r.claim, seed=seed, full=full)})"
              for r in results if not r.as_expected]  # fmt: skip
    good, total = sum(r.as_expected for r in results), len(results)
    for line in [*lines, f"{good} of {total} claims as expected", *below]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_list(claims: Sequence[Claim]) -> None:
    """Id, source and statement of each claim."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("claim", "expected", "source", "statement"):
        table.add_column(name, overflow="fold")
    for claim in claims:
        table.add_row(claim.id, claim.expected, claim.source, claim.statement)
    Console(width=None if sys.stdout.isatty() else 160).print(table)
