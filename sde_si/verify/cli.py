"""``sde-si verify``: measure the claims, print the table, tell by the exit code whether every verdict is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sde_si.errors import CLAIM_FAILED, DONE, require, require_known
from sde_si.hyperparameters import check_count
from sde_si.options import INT, QUIET, TEXT, comma, flag, options_class, parse
from sde_si.terminal import emit, guarded, say

Options = options_class(
    "Options",
    {
        "claims": flag(comma(str, "ID,..."), None, "only these claims [default all]"),
        "file": flag(TEXT, None, "a Python file whose CLAIMS (id -> Claim) are measured instead of the theory's"),
        "full": flag(bool, False, "eight times as many paths"),
        "controls": flag(bool, False, "check that the same data reject every claim's wrong variant"),
        "seed": flag(INT, 0, "decides every random number"),
        "threads": flag(INT, None, "worker threads [default: all cores]; the numbers do not depend on them"),
        "out": flag(TEXT, "./runs/verify", "folder for records and figures"),
        "fresh": flag(bool, False, "simulate again what exists"),
        "json": flag(bool, False, "print a JSON list instead of the table (with --list: of the claims)"),
        "report": flag(TEXT, None, "write everything into one HTML page, e.g. report.html"),
        "no_figure": flag(bool, False, "write no figures"),
        "list": flag(bool, False, "list the claims, measure nothing"),
        "quiet": QUIET,
    },
    "Measure every claim of the theory and print its verdict beside the expected one.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si verify``; returns the exit code."""
    return guarded(lambda: _main(args))


def _claims(file: str | None) -> Mapping[str, Any]:
    """The theory's claims, or those of a user's file.

    Raises
    ------
    BadInput
        If the file has none.
    """
    if file is None:
        from sde_si.verify.claims import CLAIMS

        return CLAIMS
    from sde_si.problem import import_file
    from sde_si.verify.claim import Claim

    module = import_file("file", Path(file))
    claims = getattr(module, "CLAIMS", None)
    listed = claims.values() if isinstance(claims, Mapping) else claims if isinstance(claims, tuple | list) else ()
    ok = bool(listed) and all(isinstance(claim, Claim) for claim in listed)
    require(ok, "file", "a file with CLAIMS, a tuple of Claim", file, "docs/extend.md")
    ids = [claim.id for claim in listed]
    twice = next((name for name in ids if ids.count(name) > 1), None)
    require(twice is None, "file", "claims of different ids", f"two called {twice!r}")
    return {claim.id: claim for claim in listed}


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si verify", args)
    claims = _claims(options.file)
    check_count("seed", options.seed, least=0, advice="0")
    if options.threads is not None:
        check_count("threads", options.threads)
    for name in options.claims or ():
        require_known("claims", name, claims, listed="ids that --list shows")
    require(bool(options.out.strip()), "out", "a folder", repr(options.out), "./runs/verify")
    chosen = [claims[name] for name in options.claims or claims]
    from sde_si.verify import report

    if options.list:
        if options.json:
            emit(report.list_json(chosen))
        else:
            report.print_list(chosen)
        return DONE
    from sde_si.machine import usable_cores
    from sde_si.verify import html as pages
    from sde_si.verify.runner import FULL, QUICK, verify

    if options.report is not None:
        pages.check_file(Path(options.report))
    results, figures = [], {}
    for result in verify(
        chosen,
        folder=Path(options.out),
        scale=FULL if options.full else QUICK,
        seed=options.seed,
        threads=options.threads or usable_cores(),
        fresh=options.fresh,
    ):
        results.append(result)
        if not options.no_figure:
            from sde_si.verify.figures import save_figure

            figures[result.claim.id] = save_figure(result, Path(options.out))
        say(f"{len(results)}/{len(chosen)} {result.claim.id}: {result.verdict} ({result.seconds:.1f} s)", options.quiet)
    how: dict[str, Any] = {"seed": options.seed, "full": options.full}
    below = [f"figures: {Path(options.out) / '<claim>.png'}"] if figures else []
    if options.report is not None:
        pages.write_report(results, Path(options.report), pictures=figures, **how)
        below.append(f"report: {options.report}")
    if options.json:
        rows = [row for r in results for row in report.to_json(r, figure=figures.get(r.claim.id), **how)]
        emit(rows)
    else:
        report.print_table(results, controls=options.controls, below=below, **how)
    good = all((r.controls if options.controls else r.as_expected) for r in results)
    return DONE if good else CLAIM_FAILED
