"""One figure a claim: curves beside the theory's lines, or every system's number beside what the claim says of it."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import style
from sde_si.disk import write_bytes
from sde_si.verify.claim import EXPLAINED, FAILS, Claim, Measurement, Result
from sde_si.verify.sheet import PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.2  # inches: a page
SMALL = 7.5  # points
ROUNDING = 1e-12  # the narrowest band drawn
MEASURED, RIGHT, WRONG, BAND = "0.15", "C0", "C1", "C2"
OTHER = "corrected or exact theory"
LEGEND = ("measured ± s.e.", "claim", "tolerance", OTHER, "deviation that passes", "wrong variant")
POINT = re.compile(r", (lag|epoch) [\d.]+$")  # what tells one point of a curve from the others
FEW = 8.0  # tolerances that a linear axis may span
FEW_IF_WRONG = 60.0  # the same for a claim that fails: its deviation is what is shown


def figure(result: Result) -> Figure:
    """Draw a claim.

    Parameters
    ----------
    result : Result
        Measurements that carry a `Curve` get a panel each, measurements without one a row each.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    drawn = list({id(one.curve): one for one in result.measurements if one.curve is not None}.values())
    # Where some numbers have no curve the rows show all of them.
    rows = [] if drawn and all(one.curve is not None for one in result.measurements) else list(result.measurements)
    columns = min(2, len(drawn)) or 1
    lines = -(-len(drawn) // columns)
    heights = [3.4 * lines] * bool(drawn)
    heights += [1.5 + 0.2 * sum(len(_wrapped(_label(one), 46)) + 1 for one in rows)] * bool(rows or not drawn)
    with style.styled():
        made = Figure(figsize=(WIDTH * (1 if columns == 1 else 1.25), sum(heights)), layout="constrained")
        parts = np.ravel(made.subfigures(len(heights), 1, height_ratios=heights, squeeze=False))
        for i, one in enumerate(drawn):
            place = (lines, columns, i + 1)
            _curve(parts[0].add_subplot(*place), one, width=78 if columns == 1 else 50)
        if rows:
            _rows(parts[-1].add_subplot(), result.claim, rows)
        title = f"{result.claim.id}: {result.verdict}"
        title += "" if result.as_expected else f", expected {result.claim.expected}"
        made.suptitle(title, fontsize="medium", fontweight="bold")
    return made


def png(result: Result) -> bytes:
    """The claim's figure as a PNG; equal results give equal bytes."""
    return style.png(lambda: figure(result))


def save_figure(result: Result, folder: Path) -> Path:
    """Write the claim's figure into `folder`, named by its id.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    path = folder / f"{result.claim.id}.png"
    write_bytes(png(result), path)
    return path


def describe_figure(result: Result) -> str:
    """The figure in words, for those who do not see it."""
    curves = {id(one.curve): one.curve for one in result.measurements if one.curve is not None}
    said = [f"{c.ylabel} against {c.xlabel}: measured points, lines {', '.join(c.lines)}" for c in curves.values()]
    if not curves or any(one.curve is None for one in result.measurements):
        systems = f"{len(result.measurements)} system{'s' * (len(result.measurements) != 1)}"
        said.append(f"measured minus predicted of {systems}, with the tolerance and the wrong variant")
    return "; ".join(said)


def _label(one: Measurement) -> str:
    return f"{one.quantity.name}: {one.system}"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width) or [""]


def _scale(axis: Axes, which: str, values: np.ndarray) -> None:
    """Make an axis logarithmic; one that also holds zero or negative values is linear around zero."""
    from matplotlib.ticker import NullLocator

    set_scale = getattr(axis, f"set_{which}scale")
    values = values[np.isfinite(values)]
    positive = values[values > 0]
    if not positive.size:
        return
    if (values <= 0).any():
        set_scale("symlog", linthresh=float(positive.min()))
        if values.min() == 0:
            getattr(axis, f"set_{which}lim")(0.0, None)
    else:
        set_scale("log")
        if positive.max() > 30 * positive.min():
            # Minor ticks and set formulas take most of the time of a drawing.
            line = getattr(axis, f"{which}axis")
            line.set_minor_locator(NullLocator())
            line.set_major_formatter("{x:g}")


def _curve(axis: Axes, one: Measurement, width: int) -> None:
    """Points with error bars, the right line solid, the others dashed."""
    curve = one.curve
    assert curve is not None
    x, measured, stderr = (np.asarray(v, dtype=float) for v in (curve.x, curve.measured, curve.stderr))
    order = np.argsort(x, kind="stable")
    axis.errorbar(x, measured, np.broadcast_to(stderr, x.shape), fmt="o", color=MEASURED, markersize=3.5,
                  label="measured ± s.e.", zorder=3)  # fmt: skip
    for i, (name, values) in enumerate(curve.lines.items()):
        line = np.broadcast_to(np.asarray(values, dtype=float), x.shape)
        style: dict[str, Any] = {"color": f"C{i % 7}", "ls": "--" if i else "-", "lw": 1.6 if i == 0 else 1.2}
        axis.plot(x[order], line[order], label=name, zorder=2 - 0.1 * i, **style)
    if "x" in curve.log:
        _scale(axis, "x", x)
    if "y" in curve.log:
        _scale(axis, "y", measured)
    else:
        _not_beyond(axis, measured, stderr, list(curve.lines.values()))
    axis.set(xlabel=curve.xlabel, ylabel=curve.ylabel)
    whole = POINT.sub("", one.system)
    axis.set_title("\n".join(_wrapped(whole, width)), fontsize="small")
    axis.legend(frameon=True, framealpha=0.8, edgecolor="none")


def _not_beyond(axis: Axes, measured: np.ndarray, stderr: np.ndarray, lines: Sequence[Any]) -> None:
    """Keep a wrong line that runs off from flattening everything else."""
    right = np.asarray(lines[0], dtype=float) if lines else measured
    kept = np.concatenate(
        [np.ravel(v[np.isfinite(v)]) for v in (measured - stderr, measured + stderr, np.atleast_1d(right))]
    )
    every = np.concatenate([kept, *(np.ravel(np.asarray(v, dtype=float)) for v in lines)])
    every = every[np.isfinite(every)]
    if not kept.size:
        return
    low, high, spread = kept.min(), kept.max(), np.ptp(kept)
    if spread > 0 and np.ptp(every) > 4 * spread:
        axis.set_ylim(low - 1.5 * spread, high + 1.5 * spread)


def _rows(axis: Axes, claim: Claim, rows: Sequence[Measurement]) -> None:
    """Each system's measured number minus the predicted one, relative; tolerance, wrong variant, corrected theory."""
    unit = 100.0 if claim.allowed >= PERCENT else 1.0
    band, reach = max(unit * claim.allowed, ROUNDING), 0.0
    labels: list[str] = []
    for i, one in enumerate(rows):
        size = abs(one.predicted) or 1.0
        at, error = unit * (one.measured - one.predicted) / size, unit * one.stderr / size
        marks = [at]
        if one.truth is not None:
            truth = unit * (one.truth - one.predicted) / size
            marks.append(truth)
            if claim.expected == FAILS:
                axis.plot(
                    [truth * (1 - EXPLAINED), truth * (1 + EXPLAINED)],
                    [i, i],
                    color=RIGHT,
                    alpha=0.35,
                    lw=6,
                    solid_capstyle="butt",
                    label="deviation that passes",
                )
                marks.append(truth * (1 + EXPLAINED))
            axis.plot(truth, i, "D", color=RIGHT, mfc="none", ms=8, label=OTHER)
        wrong = unit * (one.wrong - one.predicted) / size
        if math.isfinite(wrong):
            axis.plot(wrong, i, "X", color=WRONG, ms=7, label="wrong variant")
            marks.append(wrong)
        axis.errorbar(at, i, xerr=error, fmt="o", color=MEASURED, ms=4, zorder=4,
                      label="measured ± s.e.")  # fmt: skip
        reach = max(reach, *(abs(m) for m in marks if math.isfinite(m)), 0.0)
        against = one.z if one.truth is None else one.z_truth
        z = f", z = {against:+.1f}" if math.isfinite(against) else ""
        z += " against the diamond" if z and one.truth is not None else ""
        axis.annotate(f"{claim.verdict(one)}{z}", (1.01, i), xycoords=("axes fraction", "data"), va="center",
                      fontsize=SMALL)  # fmt: skip
        labels.append("\n".join(_wrapped(_label(one), 46)))
    axis.axvspan(-band, band, color=BAND, alpha=0.2, lw=0, label="tolerance", zorder=0)
    axis.axvline(0, color=BAND, lw=1.2, label="claim", zorder=1)
    axis.set_yticks(range(len(rows)), labels, fontsize=SMALL)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
    _reach(axis, band, reach, FEW_IF_WRONG if claim.expected == FAILS else FEW)
    zero = all(one.predicted == 0 for one in rows)
    label = "measured - predicted" if zero else "measured / predicted - 1"
    label = f"{label} [%]" if unit > 1 and not zero else label
    axis.set_xlabel(label + (", logarithmic beyond the tolerance" if axis.get_xscale() == "symlog" else ""))
    handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    names = [name for name in LEGEND if name in handles]
    columns = len(names) if len(names) < 5 else 3
    axis.figure.legend([handles[n] for n in names], names, loc="outside lower center", ncols=columns, columnspacing=1.2)


def _reach(axis: Axes, band: float, reach: float, few: float) -> None:
    """The x axis: linear if the marks lie within a few tolerances, else logarithmic outside the tolerance."""
    if reach <= few * band:
        end = 1.15 * max(reach, 1.3 * band)
        axis.set_xlim(-end, end)
        axis.locator_params(axis="x", nbins=7)
        return
    axis.set_xscale("symlog", linthresh=band, linscale=1.0)
    end = 2.5 * reach
    axis.set_xlim(-end, end)
    # Ticks apart by a quarter of the logarithmic part, so that their numbers do not run into each other.
    apart = 0.25 * math.log10(end / band)
    decades: list[float] = []
    for power in range(math.floor(math.log10(end) - 0.1), math.ceil(math.log10(band)) - 1, -1):
        if power - math.log10(band) >= apart and (not decades or math.log10(decades[-1]) - power >= apart):
            decades.append(10.0**power)
    ticks = [*(-d for d in decades), -band, 0.0, band, *reversed(decades)]
    wide = math.log10(end / band) < 6  # else the tolerance is too narrow for three numbers
    axis.set_xticks(ticks, [_tick(t) if t or wide else "" for t in ticks])
    axis.set_xticks([], minor=True)


def _tick(value: float) -> str:
    return f"{value:.0e}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.12g}"
