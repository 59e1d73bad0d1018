"""``docs/gallery.md``: every figure with what the paper says and what is seen, written from scripts and records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paper_figs.scripts import Drawn, scripts, styled
from paper_figs.style import png
from sde_si.disk import write_bytes

PICTURES = "gallery"
LARGEST = 100 * 1024  # bytes of a picture
HEAD = """# Gallery

Every figure here is drawn by `python -m paper_figs` from committed records, in under two minutes and without torch;
`python -m paper_figs --list` names them, `--check` fails if a record does not belong to the present configuration, and
`--recompute` simulates again, and trains what has no present record (with torch). This page is written by
`python -m paper_figs --gallery docs`: the numbers under each picture are taken from its records.

Points with a band of one standard error are measured, solid lines are exact predictions, dashed lines the papers'
formulas, crosses simulations of the stochastic differential equation; where a figure uses a mark for anything else
its legend says so. In figures of networks the exact prediction is the recursion of the second moments ([theory
9.10](theory.md)), fed with each epoch's measured mean squared gradient: exact for steps that are uncorrelated. What
it misses is correlation: the signal, the basin, the order of the samples. The crosses are the equation for noise
alone, with one noise trace for the whole run: that measured after the transient, or, where none was recorded, the
mean squared gradient. They know no basin either, and no loss.
"""


def section(name: str, entry: Mapping[str, Any]) -> str:
    """One figure's part of the page."""
    one = scripts()[name]
    lines = [f"## {one.title}", "", f"`{name}` ({plain(one.source)})", "", plain(one.text), ""]
    if "seen" not in entry:
        return "\n".join([*lines, f"*Not drawn yet: no record of {', '.join(entry['pending'])}.*", ""])
    if "foreign" in entry:
        lines += [f"*Drawn from a record of an older configuration: {', '.join(entry['foreign'])}.*", ""]
    lines += [
        f"![{plain(one.title)}]({PICTURES}/{name}.png)",
        "",
        f"**Seen.** {plain(entry['seen'][0].upper() + entry['seen'][1:])}",
        "",
    ]
    for table in entry["tables"]:
        lines += [table, ""]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Text that MyST shows as it is; literals keep their backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_\[\]<>|$#~])", r"\\\1", part) for part in parts)


def write_picture(name: str, drawn: Drawn, folder: Path) -> None:
    """Write one figure's picture.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    with styled():
        content = smallest(drawn.figure)
    write_bytes(content, folder / PICTURES / f"{name}.png")


def write_page(folder: Path, shown: Mapping[str, Mapping[str, Any]]) -> Path:
    """Write the page of all figures, entries as of `paper_figs.drawing.one`; returns its path.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    page = folder / "gallery.md"
    write_bytes("\n".join([HEAD, *(section(name, entry) for name, entry in shown.items())]).encode(), page)
    return page


def smallest(figure: Any) -> bytes:
    """The picture at the finest of some resolutions that keeps it small."""
    for dpi in (110, 95, 80, 65):
        content = png(figure, dpi)
        if len(content) <= LARGEST:
            break
    return content
