"""Figure 8: weight decay searched on a sixteenth of the data, for a network with scale-variant parts.

EfficientNet-B0 on ImageNet: the best wd on 80k samples is 1.6e-3; the tuning factor then says 1e-4 on all 1.28M, where 5e-5 is
best and 1e-4 second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.findings.yun_fig8 import find, seen
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCE = "Yun et al. 2022, fig. 8, sec. 6; theory.md 10.13, 8.9"
EXPERIMENTS = ("yun-fig8",)
PLATEAU = 4.0  # points of accuracy below the best that are shown


def draw(records: Records) -> Drawn:
    """Accuracy against wd on the part and on the whole; angle per epoch of the transferred choice."""
    record = records["yun-fig8"]
    found = find(record)
    figure, axes = style.panels(3, width=3.7, height=3.3)
    for series, (axis, search) in enumerate(zip(axes, (found.part, found.whole), strict=False)):
        mean = seed_mean(search.accuracy)
        joined = {"ls": "-", "lw": 0.8, "label": "measured, joined"}
        style.measured(axis, search.wd, mean, seed_error(search.accuracy), i=series, **joined)
        _zoom(axis, mean)
        axis.axvline(search.best, color="0.3", ls=":", lw=1.2, label=f"best (parabola) {search.best:.2g}")
        axis.set(xscale="log", xlabel="weight decay", ylabel="test accuracy [%]", title=f"N = {search.N}")
    axes[1].axvline(found.transferred, color=style.color(1), ls="--", lw=1.2,
                    label=f"from the part: {found.transferred:.2g}")  # fmt: skip
    for axis in axes[:2]:
        axis.legend(fontsize=7)
    for series, i in enumerate(found.pair):
        label = f"N = {int(record['N'][i])}, wd = {float(record['wd'][i]):.2g}"
        networks.draw_course(axes[2], record, i, "angle_epoch", series, label)
    axes[2].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log", title="equal tuning factor")
    axes[2].legend(fontsize=7)
    style.kinds(figure, loc="outside upper center", ncols=4)
    return Drawn(figure, seen(found))


def _zoom(axis: Axes, values: np.ndarray) -> None:
    """The plateau, on which all is decided; how many points lie below is written into the corner."""
    low = np.nanmax(values) - PLATEAU
    below = int((values < low).sum())
    if below:
        axis.set_ylim(bottom=low - 0.05 * PLATEAU)
        axis.text(0.03, 0.03, f"{below} below {low:.0f} %", transform=axis.transAxes, fontsize=7, color="0.3",
                  bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})  # fmt: skip
