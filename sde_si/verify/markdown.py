"""The claims as pages of the documentation: one for each file of claims, and a table of all; executed when built."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sde_si.disk import write_bytes
from sde_si.verify.claim import Claim
from sde_si.verify.claims import CLAIMS
from sde_si.verify.glossary import SYMBOLS
from sde_si.verify.report import repeat
from sde_si.verify.sheet import CODE, LINK, READING, TERMS, Fact, Subject, facts, subjects

RECORDS = "../../build/records"  # seen from a page
HEAD = """---
file_format: mystnb
kernelspec:
  name: python3
---
"""


def plain(text: str) -> str:
    """Text that MyST shows as it is."""
    return re.sub(r"([\\`*_{}\[\]<>|$#~^])", r"\\\1", text)


def cited(text: str) -> str:
    """A source, with links to the sections of the theory page."""
    before, found, after = text.partition("theory.md ")
    links = re.sub(r"\b(\d+)\.(\d+)\b", r"[\1.\2](#t-\1-\2)", plain(after))
    return plain(before) + (f"[theory](../theory.md) {links}" if found else "")


def write_pages(folder: Path) -> list[Path]:
    """Write all pages into `folder`; pages of files that are gone are removed, unchanged ones are not touched.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    found = subjects()
    pages = {"index.md": index(found)} | {f"{one.name}.md": subject(one) for one in found}
    for path in folder.glob("*.md"):
        if path.name not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            write_bytes(text.encode(), path)
    return [folder / name for name in pages]


def index(found: Sequence[Subject]) -> str:
    """The table of all claims."""
    said = (
        f"{len(CLAIMS)} statements of the papers and of the theory, each measured when this documentation was built. "
        "A statement of a paper that fails stands beside what holds instead. `sde-si verify` measures all of them, "
        "`--report report.html` writes everything into one page, `--full` takes eight times as many paths."
    )
    lines = ["# Claims", "", said, "", "| claim | statement | expected | source |", "|---|---|---|---|"]
    lines += [
        f"| [{c.id}](#claim-{c.id}) | {plain(c.statement)} | {c.expected} | {cited(c.source)} |"
        for one in found
        for c in one.claims
    ]
    lines += ["", "(claims-reading)=", "## How to read a table", "", plain(READING[0].upper() + READING[1:]), ""]
    lines += ["(claims-symbols)=", "## Symbols", "", "Those that a single claim has stand in its section.", ""]
    lines += ["| symbol | meaning |", "|---|---|", *(f"| `{name}` | {plain(text)} |" for name, text in SYMBOLS.items())]
    return "\n".join([*lines, "", "```{toctree}", ":hidden:", "", *(one.name for one in found), "```", ""])


def subject(one: Subject) -> str:
    """The page of one file of claims: what each says, and a cell that measures it and insists on the verdict."""
    first = ["```{code-cell}", "from sde_si.verify.notebook import check", "", f'records = "{RECORDS}"', "```", ""]
    about = "[How to read a table](#claims-reading), [all symbols](#claims-symbols)."
    lines = [HEAD + f"# {plain(one.title.rstrip('.'))}", "", about, "", *first]
    for claim in one.claims:
        lines += [*section(claim), "```{code-cell}", f'check("{claim.id}", records)', "```", ""]
    return "\n".join(lines)


def section(claim: Claim) -> list[str]:
    """What is said of a claim before it is measured."""
    lines = [f"(claim-{claim.id})=", f"## {claim.id}", "", plain(claim.statement), ""]
    for fact in [*facts(claim), Fact("Repeat", repeat(claim), CODE)]:
        lines += [plain(fact.label), f": {_fact(fact)}", ""]
    return lines


def _fact(fact: Fact) -> str:
    if fact.kind == CODE:
        return f"`{fact.text}`"
    if fact.kind == TERMS:
        return ";\n  ".join(
            f"`{name}` {plain(text)}" for name, _, text in (s.partition("\t") for s in fact.text.split("\n"))
        )
    if fact.kind == LINK:
        return ", ".join(f"[{name}](#claim-{name})" for name in fact.text.split())
    return cited(fact.text) if fact.label == "Source" else plain(fact.text)
