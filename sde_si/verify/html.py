"""The claims as one self-contained HTML page: no script, no outside resource."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sde_si.disk import write_bytes
from sde_si.errors import DiskProblem, require
from sde_si.verify.claim import VERDICTS, Result
from sde_si.verify.claims import CLAIMS
from sde_si.verify.report import repeat
from sde_si.verify.sheet import CODE, COLUMNS, LINK, OVERVIEW, READING, TERMS, Fact, cells, facts, measured, overview

CSS = Path(__file__).with_name("report.css")


def check_file(path: Path) -> None:
    """Refuse a report that could not be written, before any work.

    Raises
    ------
    BadInput
        If `path` is a folder.
    DiskProblem
        If its folder cannot be made or written.
    """
    require(not path.is_dir(), "report", "a file", f"the folder {path}", str(path / "report.html"))
    above = next(p for p in (path.resolve().parent, *path.resolve().parent.parents) if p.exists())
    if not above.is_dir():
        raise DiskProblem(f"--report: {above} is no folder; try another place")


def write_report(
    results: Sequence[Result], path: Path, *, seed: int, full: bool, pictures: Mapping[str, Path] | None = None
) -> None:
    """Write the page.

    Parameters
    ----------
    results : sequence of Result
    path : Path
    seed, full
        As the claims were measured.
    pictures : mapping of str to Path
        Figures already on disk, by claim id; others are drawn.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    from sde_si.verify.figures import png

    known = pictures or {}
    drawn = {r.claim.id: known[r.claim.id].read_bytes() if r.claim.id in known else png(r) for r in results}
    write_bytes(page(results, drawn, seed=seed, full=full).encode(), path)


def page(results: Sequence[Result], pictures: Mapping[str, bytes], *, seed: int, full: bool) -> str:
    """The whole page."""
    shown = {result.claim.id for result in results}
    body = [
        header(results, seed=seed, full=full),
        '<main><section aria-labelledby="all"><h2 id="all">All claims</h2>',
        f"<p>{escape(READING[0].upper() + READING[1:])}</p>",
        overview_table(results),
        "</section>",
        *(section(result, pictures[result.claim.id], shown, seed=seed, full=full) for result in results),
        "</main>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Claims of sde_si, measured</title><style>{CSS.read_text()}</style></head>\n<body>"
        + "\n".join(body)
        + "\n</body></html>\n"
    )


def header(results: Sequence[Result], *, seed: int, full: bool) -> str:
    """Title, how the page was made, and how many claims came out how."""
    from sde_si.provenance import provenance

    made: dict[str, Any] = provenance()
    good = sum(result.as_expected for result in results)
    counts = Counter(result.verdict for result in results)
    names = [*VERDICTS, *(name for name in counts if name not in VERDICTS)]
    said = ", ".join(f"{counts[name]} {badge(name)}" for name in names if counts[name])
    asked = [result.claim.id for result in results]
    some = "" if asked == list(CLAIMS) else f" --claims {','.join(asked)}"
    command = f"python -m sde_si.verify{some} --seed {seed}" + " --full" * full
    versions = ", ".join(f"{name} {made[name]}" for name in ("sde_si", "python", "numpy", "numba", "scipy", "xarray"))
    where = f" (commit {made['commit']})" if made["commit"] else ""
    return (
        "<header><h1>Claims of the theory, measured</h1>"
        f'<p class="lead"><strong>{good} of {len(results)} claims as expected</strong>: {said}.</p>'
        f"<dl><dt>Command</dt><dd><code>{escape(command)}</code>, or one claim at a time as printed below</dd>"
        f"<dt>Seed</dt><dd>{seed}</dd><dt>Versions</dt><dd>{escape(versions + where)}</dd>"
        f"<dt>Date</dt><dd>{escape(made['written'])}</dd>"
        f"<dt>Time</dt><dd>{sum(r.seconds for r in results):.0f} s</dd></dl></header>"
    )


def badge(verdict: str) -> str:
    """A verdict, set off from the text."""
    kind = verdict if verdict in VERDICTS else "bad"
    return f'<span class="badge {kind}">{escape(verdict)}</span>'


def table(rows: Sequence[Mapping[str, str]], columns: Mapping[str, bool]) -> str:
    """Rows as a table; on a narrow screen each row becomes a card."""
    names = [name for name in columns if rows and name in rows[0]]
    return _framed(names, columns, ["".join(_cell(n, row[n], columns[n]) for n in names) for row in rows])


def overview_table(results: Sequence[Result]) -> str:
    """All measurements; a claim's id, which links to its section, and its statement stand beside all of its own."""
    lines = []
    for result in results:
        claim, rows = result.claim, overview(result)
        link = f'<a href="#{escape(claim.id)}">{escape(claim.id)}</a><br><small>{escape(claim.statement)}</small>'
        for i, row in enumerate(rows):
            whole = f'<td data-label="claim" rowspan="{len(rows)}"><div>{link}</div></td>' if i == 0 else ""
            surprise = ' class="surprise"' if row["verdict"] != row["expected"] else ""
            lines.append((surprise, whole + "".join(_cell(n, row[n], OVERVIEW[n]) for n in OVERVIEW if n != "claim")))
    return _framed(list(OVERVIEW), OVERVIEW, [text for _, text in lines], [kind for kind, _ in lines])


def _framed(names: Sequence[str], columns: Mapping[str, bool], rows: Sequence[str], kinds: Sequence[str] = ()) -> str:
    head = "".join(f'<th scope="col"{_number(columns[n])}>{escape(n)}</th>' for n in names)
    body = "".join(f"<tr{kind}>{row}</tr>" for row, kind in zip(rows, kinds or [""] * len(rows), strict=True))
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _cell(name: str, text: str, is_number: bool) -> str:
    shown = badge(text) if name in ("verdict", "expected") and text else escape(text)
    first, lines, rest = shown.partition("\n")
    if lines:
        shown = f"<div>{first}<br><small>{rest}</small></div>"
    return f'<td data-label="{escape(name)}"{_number(is_number)}>{shown}</td>'


def section(result: Result, picture: bytes, shown: set[str], *, seed: int, full: bool) -> str:
    """One claim: what it says, what was measured, how to repeat it."""
    from sde_si.verify.figures import describe_figure

    claim = result.claim
    listed = [*facts(claim), measured(result), Fact("Repeat", repeat(claim, seed=seed, full=full), CODE)]
    inner = "".join(f"<dt>{escape(fact.label)}</dt><dd>{_fact(fact, shown)}</dd>" for fact in listed)
    source = base64.b64encode(picture).decode()
    rejected = "rejected by every system" if result.controls else "NOT rejected by every system"
    return (
        f'<section id="{escape(claim.id)}" aria-labelledby="h-{escape(claim.id)}">'
        f'<h2 id="h-{escape(claim.id)}">{escape(claim.id)} {badge(result.verdict)}</h2>'
        f'<p class="statement">{escape(claim.statement)}</p><dl>{inner}</dl>'
        f'<figure><img alt="{escape(describe_figure(result))}" src="data:image/png;base64,{source}"></figure>'
        f"{table(cells(result), COLUMNS)}"
        f"<p>Wrong variant ({escape(claim.wrong)}): {rejected}. Measured in {result.seconds:.1f} s.</p>"
        f'<p class="up"><a href="#all">All claims</a></p></section>'
    )


def terms(fact: Fact) -> str:
    """Terms and what they mean."""
    parts = (line.partition("\t") for line in fact.text.split("\n"))
    return "; ".join(f"<code>{escape(name)}</code> {escape(text)}" for name, _, text in parts)


def _fact(fact: Fact, shown: set[str]) -> str:
    if fact.kind == CODE:
        return f"<pre><code>{escape(fact.text)}</code></pre>"
    if fact.kind == TERMS:
        return terms(fact)
    if fact.kind == LINK:
        links = [f'<a href="#{escape(i)}">{escape(i)}</a>' if i in shown else escape(i) for i in fact.text.split()]
        return ", ".join(links)
    return escape(fact.text)
