"""The one style of all figures, and pictures in it. What it looks like stands in ``sde_si.mplstyle``."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.disk import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = Path(__file__).with_name("sde_si.mplstyle")


def styled(changes: Mapping[str, Any] | None = None) -> AbstractContextManager[None]:
    """Matplotlib in the style: for drawing and for saving. `changes` are settings of matplotlib beside it."""
    import matplotlib as mpl

    settings: Any = dict(changes or {})
    return mpl.rc_context(settings, fname=str(STYLE))


def png(draw: Callable[[], Figure], *, dpi: float | None = None) -> bytes:
    """What `draw` returns as a PNG, of the style's dots per inch by default; equal figures give equal bytes."""
    buffer = io.BytesIO()
    with styled({"savefig.dpi": dpi} if dpi else None):
        draw().savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def save(draw: Callable[[], Figure], path: Path, *, dpi: float | None = None) -> Path:
    """Write `png` and return its path.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    write_bytes(png(draw, dpi=dpi), path)
    return path
