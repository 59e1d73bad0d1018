"""What a script drew, as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from paper_figs.scripts import Drawn, Script, styled
from paper_figs.style import picture
from sde_si.disk import write_bytes


def write(script: Script, drawn: Drawn, folder: Path, formats: Sequence[str]) -> list[Path]:
    """The figure in every format; its tables as Markdown and LaTeX.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    with styled():
        content = {form: picture(drawn.figure, form) for form in formats}
    if drawn.tables:
        content["md"] = "\n\n".join(one.markdown() for one in drawn.tables).encode() + b"\n"
        content["tex"] = "\n\n".join(one.latex() for one in drawn.tables).encode() + b"\n"
    paths = []
    for suffix, data in content.items():
        paths.append(folder / f"{script.name}.{suffix}")
        write_bytes(data, paths[-1])
    return paths
