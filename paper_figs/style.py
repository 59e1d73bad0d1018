"""How everything is drawn: the same four marks in every figure, told apart without colour, too.

Exact prediction: solid line. The paper's formula: dashed line. SDE simulation: small crosses. Measurement (a network or
the discrete optimizer): filled markers, a different one for every series, with a band of one standard error.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray
MARKERS = "os^Dv<>P*X"
DEGREES = 180 / math.pi
POINTS = 26  # markers along a curve
EXACT, PAPER, SDE, MEASURED = "exact prediction", "paper's formula", "SDE simulation", "measured ± s.e."


def panels(columns: int, rows: int = 1, *, width: float = 3.6, height: float = 3.1, **kwargs: Any) -> Any:
    """A figure and its axes as a flat array, row by row; sizes of one panel in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, np.ravel(figure.subplots(rows, columns, squeeze=False, **kwargs))


def color(i: int) -> str:
    """Colour of series `i`, from the style that is in force."""
    from matplotlib.colors import to_hex

    # The yellow of the cycle is too light for lines.
    return to_hex((*(f"C{k}" for k in range(6)), "C7", "0.55")[i % 8])


def picks(size: int, i: int = 0, points: int = POINTS, log: bool = False) -> Array:
    """Which points of a curve get a marker: spread evenly (on a logarithmic axis with `log`), those of series apart."""
    if log and size > points:
        grid = np.geomspace(1, size, points + 1)[:-1] * (size ** (i / 7 / points))
        return np.unique(np.minimum(grid.astype(int), size) - 1)
    step = max(1, size // points)
    return np.arange(min(size - 1, (i * step) // 7), size, step)


def measured(
    axis: Axes, x: Any, mean: Any, error: Any = None, *, i: int = 0, label: str | None = None, **kwargs: Any
) -> None:
    """Measured points of series `i` with a band of one standard error, or bars alone with ``band=False``."""
    x, mean = np.asarray(x, float), np.asarray(mean, float)
    some, band = picks(x.size, i, kwargs.pop("points", POINTS), kwargs.pop("log", False)), kwargs.pop("band", True)
    if error is not None and np.isfinite(error).any():
        error = np.broadcast_to(np.asarray(error, float), mean.shape)
        if band:
            axis.fill_between(x, mean - error, mean + error, color=color(i), alpha=0.25, lw=0)
        if x.size <= POINTS:
            axis.errorbar(x, mean, error, fmt="none", ecolor=color(i), elinewidth=0.9, zorder=3)
    style: dict[str, Any] = {"ms": 3.6, "mew": 0.4, "mec": "white", "zorder": 3} | kwargs
    axis.plot(x[some], mean[some], MARKERS[i % len(MARKERS)], color=color(i), label=label, **style)


def exact(axis: Axes, x: Any, y: Any, *, i: int = 0, label: str | None = None, **kwargs: Any) -> None:
    """Exact prediction of series `i`."""
    axis.plot(x, y, "-", **{"color": color(i), "lw": 1.1, "zorder": 2, "label": label, **kwargs})


def paper(axis: Axes, x: Any, y: Any, *, i: int | None = None, label: str | None = None, **kwargs: Any) -> None:
    """The paper's formula; grey if it is one for all series."""
    shade = "0.35" if i is None else color(i)
    axis.plot(x, y, **{"color": shade, "ls": "--", "lw": 1.0, "zorder": 1, "label": label, **kwargs})


def sde(axis: Axes, x: Any, mean: Any, *, i: int = 0, label: str | None = None, **kwargs: Any) -> None:
    """Simulation of the SDE of series `i`."""
    x, mean = np.asarray(x, float), np.asarray(mean, float)
    some = picks(x.size, i + 3, kwargs.pop("points", POINTS), kwargs.pop("log", False))
    axis.plot(x[some], mean[some], "x", **{"color": color(i), "ms": 4.5, "mew": 0.9, "zorder": 2.5, "label": label,
                                          **kwargs})  # fmt: skip


def kinds(axis: Any, names: Sequence[str] = (MEASURED, EXACT, PAPER, SDE), **kwargs: Any) -> Any:
    """A legend of the four marks, in grey, for an axis or a whole figure."""
    from matplotlib.lines import Line2D

    grey: dict[str, Any] = {"color": "0.3", "lw": 1.2}
    made = {
        MEASURED: Line2D([], [], ls="", marker="o", ms=4, color="0.3"),
        EXACT: Line2D([], [], ls="-", **grey),
        PAPER: Line2D([], [], ls="--", **grey),
        SDE: Line2D([], [], ls="", marker="x", ms=5, color="0.3"),
    }
    return axis.legend([made[name] for name in names], names, **kwargs)


def below(
    figure: Figure,
    axis: Axes,
    names: Sequence[str] = (MEASURED, EXACT, PAPER, SDE),
    columns: int = 4,
    title: str | None = None,
) -> None:
    """Under the figure: the series of `axis` by their labels, and the four marks."""
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.4,
                      title=title)  # fmt: skip
    kinds(figure, names, loc="outside upper center", ncols=len(names))


def tidy(figure: Figure) -> None:
    """Logarithmic axes of less than two decades: plain numbers at 1, 2 and 5."""
    from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

    for axis in figure.axes:
        for line, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            if line.get_scale() == "log" and not isinstance(line.get_major_locator(), FixedLocator):
                if max(limits) < 100 * min(limits):
                    line.set_major_locator(LogLocator(subs=(1, 2, 5)))
                    line.set_major_formatter("{x:g}")
                line.set_minor_formatter(NullFormatter())


def png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as a small PNG: 128 colours are more than a plot has, 8 greys enough for a table of words."""
    from PIL import Image

    buffer, small = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    with Image.open(buffer) as image:
        rgb = image.convert("RGB")
        grey = np.ptp(np.asarray(rgb), axis=2).max() == 0
        (rgb.convert("L").quantize(8) if grey else rgb.quantize(128)).save(small, "PNG", optimize=True)
    return small.getvalue()


def picture(figure: Figure, form: str) -> bytes:
    """The figure as ``png``, ``pdf`` or ``svg``; equal figures give equal bytes."""
    import matplotlib as mpl

    if form == "png":
        return png(figure)
    buffer = io.BytesIO()
    nothing = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}[form]
    with mpl.rc_context({"svg.hashsalt": "sde_si", "pdf.fonttype": 42}):
        figure.savefig(buffer, format=form, metadata=nothing)
    return buffer.getvalue()
