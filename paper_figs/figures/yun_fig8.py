"""Figure 8: weight decay searched on a sixteenth of the data, for a network with scale-variant parts.

EfficientNet-B0 on ImageNet: the best wd on 80k samples is 1.6e-3; the tuning factor then says 1e-4 on all 1.28M, where 5e-5 is
best and 1e-4 second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import final_accuracy
from paper_figs.grid import with_error
from paper_figs.quantified import best_value
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean
from paper_figs.transfer import optima, turning_apart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCE = "Yun et al. 2022, fig. 8, sec. 6; theory.md 10.13, 8.9"
EXPERIMENTS = ("yun-fig8",)
PLATEAU = 4.0  # points of accuracy below the best that are shown


def draw(records: Records) -> Drawn:
    """Accuracy against wd on the part and on the whole; angle per epoch of the transferred choice."""
    record = records["yun-fig8"]
    accuracy = final_accuracy(record)
    figure, axes = style.panels(3, width=3.7, height=3.3)
    best, cells = {}, {}
    for series, (axis, data) in enumerate(zip(axes, ("subset", "whole"), strict=False)):
        cells[data] = sorted(networks.pick(record, data=data), key=lambda i: float(record["wd"][i]))
        wd, values = record["wd"].values[cells[data]], accuracy[cells[data]]
        style.measured(axis, wd, seed_mean(values), seed_error(values), i=series, ls="-", lw=0.8)
        _zoom(axis, seed_mean(values))
        best[data] = float(np.exp(best_value(seed_mean(values)[:, None], wd)[0]))
        axis.axvline(best[data], color="0.3", ls=":", lw=1.2, label=f"best (parabola) {best[data]:.2g}")
        axis.set(
            xscale="log",
            xlabel="weight decay",
            ylabel="test accuracy [%]",
            title=f"N = {int(record['N'][cells[data][0]])}",
        )
    share = float(record["N"][cells["whole"][0]] / record["N"][cells["subset"][0]])
    axes[1].axvline(
        best["subset"] / share,
        color=style.color(1),
        ls="--",
        lw=1.2,
        label=f"from the part: {best['subset'] / share:.2g}",
    )
    for axis in axes[:2]:
        axis.legend(fontsize=7)
    row = int(np.nanargmax(seed_mean(accuracy[cells["subset"]])))
    for series, data in enumerate(("subset", "whole")):
        i = cells[data][row]
        networks.draw_course(
            axes[2], record, i, "angle_epoch", series, f"N = {int(record['N'][i])}, wd = {float(record['wd'][i]):.2g}"
        )
    axes[2].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log", title="equal tuning factor")
    axes[2].legend(fontsize=7)
    style.kinds(figure, loc="outside upper center", ncols=4)
    whole = accuracy[cells["whole"]]
    lost = whole[int(np.nanargmax(seed_mean(whole)))] - whole[row]  # seed by seed
    seen = (f"{networks.caption(record)}. Best wd {best['subset']:.2g} on the part, {best['whole']:.2g} on the whole. "
            + optima(accuracy, record, cells, best["whole"] * share / best["subset"])
            + f" The transferred row costs {with_error(float(seed_mean(lost)), float(seed_error(lost)), 2)} points against the best "
            f"of the whole. {turning_apart(record, [cells[data][row] for data in ('subset', 'whole')])}")  # fmt: skip
    return Drawn(figure, seen)


def _zoom(axis: Axes, values: np.ndarray) -> None:
    """The plateau, on which all is decided; how many points lie below is written into the corner."""
    low = np.nanmax(values) - PLATEAU
    below = int((values < low).sum())
    if below:
        axis.set_ylim(bottom=low - 0.05 * PLATEAU)
        axis.text(0.03, 0.03, f"{below} below {low:.0f} %", transform=axis.transAxes, fontsize=7, color="0.3")
