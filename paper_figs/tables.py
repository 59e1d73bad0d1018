"""What the scripts of Yun et al.'s tables and of the figures to them share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import TITLES, correlation, ours, paper_of, theirs, verdicts
from paper_figs.scripts import Drawn
from paper_figs.spread import transient_end

if TYPE_CHECKING:
    import xarray as xr


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
        one = f"{TITLES[tuned]}: best cells {verdicts(part)}; slope {part.slope()} (predicted {part.expected_slope:+g})"
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
    return Drawn(figure, f"{networks.caption(record)}. {'. '.join(said)}.", tuple(tables))


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
    """Range of the angle at the start and after the transient; measured over exact."""
    angles = np.array([networks.mean_and_error(networks.of_cell(record, i, "angle_epoch"))[0] for i in cells])
    lr = record["lr_end"].isel(cell=cells[0]).values
    drops = np.flatnonzero(lr < 0.999 * lr[0])
    last = int(drops[0]) - 1 if drops.size else lr.size - 1
    first = min(1, last)
    exact = np.array([networks.exact(record, i).angle_epoch for i in cells])
    spans = [float(np.ptp(of[:, e]) / of[:, e].mean()) for of, e in ((angles, first), (angles, last), (exact, last))]
    off = [networks.ratio(record, i) for i in cells]
    past = last >= int(transient_end(float(record["tuning_factor"][cells[0]])))
    said = f"{TITLES[tuned]}: range of the angle over its mean {100 * spans[0]:.0f} % in epoch {first + 1}, "
    said += f"{100 * spans[1]:.0f} % in epoch {last + 1}" + ("" if past else ", still in the transient")
    said += f" (exact {100 * spans[2]:.0f} %)" if np.isfinite(spans[2]) else ""
    if np.isfinite(off).any():
        said += f"; 1 - cos is {np.nanmin(off):.2f} to {np.nanmax(off):.2f} of the exact prediction"
    return said + "."
