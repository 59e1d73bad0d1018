"""What the scripts of Yun et al.'s tables and of the figures to them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, phases, style
from paper_figs.accuracy import TITLES, correlation, ours, paper_of, theirs, verdicts
from paper_figs.scripts import Drawn
from validation.experiments.by_seed import DEAD, living

if TYPE_CHECKING:
    import xarray as xr

ALIKE = 0.1  # range over mean of angles that need no explanation


def table(record: xr.Dataset, number: int) -> Drawn:
    """Every part: ours on the left, the paper's on the right; and both in words."""
    mine, paper = ours(record), theirs(paper_of(record))
    rows = max(len(part.lr) for part in (*mine.values(), *paper.values()))
    figure, axes = style.panels(2, len(mine), width=5.2, height=0.65 + 0.2 * rows)
    tables, said = [], []
    for row, (tuned, part) in enumerate(mine.items()):
        letter = f"({'abc'[row]}) " if len(mine) > 1 else ""
        tables.append(part.grid(f"Table {number} {letter}{TITLES[tuned]}: ours, accuracy in % ± s.e."))
        tables[-1].draw(axes[2 * row])
        one = f"{TITLES[tuned]}: {verdicts(part)}; slope {part.slope()} (predicted {part.expected_slope:+g})"
        if tuned in paper:
            tables.append(paper[tuned].grid(f"Table {number} {letter}{TITLES[tuned]}: Yun et al."))
            tables[-1].draw(axes[2 * row + 1])
            one += f", {correlation(part, paper[tuned])}"
        else:
            axes[2 * row + 1].set_axis_off()
            axes[2 * row + 1].text(0.5, 0.5, "no numbers of the paper at hand", ha="center", color="0.4")
        said.append(one)
    figure.suptitle(
        f"{networks.caption(record)}; framed: equal tuning factor, bold: best of the column", fontsize="small"
    )
    said += ["By chance: if all cells of a column were alike", *_guessing(record)]
    return Drawn(figure, f"{networks.caption(record)}. {'. '.join(said)}.", tuple(tables))


def _guessing(record: xr.Dataset) -> list[str]:
    """Which networks have learned nothing in the end, though they did not diverge; their cells are in the table."""
    guessing = ~living(record) & (record["diverged_step"].transpose("cell", "seed").values < 0)
    if not guessing.any():
        return []
    names = ("lr", "wd", paper_of(record)["columns"])
    cells = []
    for i in np.flatnonzero(guessing.any(axis=1)):
        setting = ", ".join(f"{name} = {float(record[name][i]):g}" for name in names)
        cells.append(f"{setting} ({guessing[i].sum()} of {guessing.shape[1]})")
    return [f"Networks that only guess at the end, an accuracy below {100 * DEAD:.0f} %: {'; '.join(cells)}"]


def diagonal(record: xr.Dataset) -> Drawn:
    """Angle per epoch of the cells of equal tuning factor, a panel a part."""
    parts = list(dict.fromkeys(record["what_changed"].values.tolist()))
    across = paper_of(record)["columns"]
    figure, axes = style.panels(len(parts), width=3.8 if len(parts) > 1 else 5.5, height=3.2, sharey=True)
    said = []
    for axis, tuned in zip(axes, parts, strict=True):
        cells = networks.pick(record, what_changed=tuned, constant_factor=1.0)
        for series, i in enumerate(cells):
            label = f"{across} = {float(record[across][i]):g}"
            label += f", B = {float(record['B'][i]):g}" if tuned == "B" else ""
            networks.draw_course(axis, record, i, "angle_epoch", series, label)
        axis.set(xlabel="epoch", yscale="log", title=TITLES[tuned])
        said.append(_spread(record, cells, tuned))
    axes[0].set_ylabel(networks.SHOWN["angle_epoch"][0])
    style.below(figure, axes[0], columns=5)
    return Drawn(figure, f"{networks.caption(record)}. {' '.join(said)}")


def _spread(record: xr.Dataset, cells: list[int], tuned: str) -> str:
    """Range of the angle in the transient and after it, and what the exact recursion has; measured over exact."""
    end = min(phases.phase_end(record, i) for i in cells)
    first = phases.transient(record, cells[0])
    measured = _range([networks.mean_and_error(networks.of_cell(record, i, "angle_epoch"))[0] for i in cells], end)
    exact = _range([networks.predicted(record, i, "angle_epoch") for i in cells], end)
    k = int(np.nanargmax(measured[:first]))
    said = f"{TITLES[tuned]}: range of the angle over its mean at most {100 * measured[k]:.0f} % in the transient "
    said += f"(epoch {k + 1})"
    if first >= end:
        return f"{said}, which does not end before the first phase does."
    said += f", {100 * np.nanmean(measured[first:]):.0f} % after it (epochs {first + 1} to {end})"
    if np.isfinite(exact[first:]).any():
        said += f"; by the exact recursion {100 * np.nanmean(exact[first:]):.0f} %"
        said += _why(record, cells) if np.nanmean(exact[first:]) > ALIKE else ""
    off = [networks.ratio(record, i) for i in cells]
    if np.isfinite(off).any():
        said += f"; 1 - cos of these epochs is {np.nanmin(off):.2f} to {np.nanmax(off):.2f} of the exact prediction"
    return said + "."


def _range(angles: list[np.ndarray], end: int) -> np.ndarray:
    """Largest minus smallest over the mean, epoch by epoch."""
    of = np.array(angles)[:, :end]
    return np.ptp(of, axis=0) / of.mean(axis=0)


def _why(record: xr.Dataset, cells: list[int]) -> str:
    """Why equal tuning factors do not turn alike even in the recursion, if epochs are short."""
    steps = [int(record["steps_per_epoch"][i][0]) for i in cells]
    memory = max(1 / (1 - networks.hyperparameters(record, i).momentum) for i in cells)
    if memory < 2:
        return ""
    return f" (epochs of {min(steps)} to {max(steps)} steps are not long against the velocity's memory of {memory:.0f})"
