"""Reshuffled and with replacement, with and without augmentation: what a network's angle per epoch owes to sampling.

Yun et al.'s formula holds for noise drawn with replacement. Reshuffled epochs should turn less between their ends, and
with momentum have a smaller norm, unless fresh augmentation makes the noise new; confinement in a basin turns less too.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.findings.reshuffling import ENDS, MIDDLES, OWN_NORM, Found, find, seen
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCE = "Yun et al. 2022, figs. 2-7 for each way of sampling; theory.md 1.12, 1.13, 9.2, 18.4"
EXPERIMENTS = ("reshuffling",)
LABELS = {ENDS: ("end to end", "end to end"), MIDDLES: ("middle to middle",) * 2, OWN_NORM: ("measured", "1.13")}


def draw(records: Records) -> Drawn:
    """1 - cos per epoch and norm at equilibrium over 9.2, with the laws of reshuffled noise; one schedule four ways."""
    record = records["reshuffling"]
    found = find(record)
    figure, axes = style.panels(3, width=3.9, height=3.9)
    names = [f"{a}, augment: {b}" for a, b in zip(record["sampling"].values, record["augment"].values, strict=True)]
    rows = [f"μ={float(record['momentum'][i]):g}, " + names[i].replace(", ", ",\n") for i in found.cells]
    _levels(axes[0], found, "1 - cos per epoch", {ENDS: -0.13, MIDDLES: 0.13}, rows)
    _levels(axes[1], found, "norm", {OWN_NORM: 0.0}, [""] * len(rows))
    for series, i in enumerate(found.schedules):
        networks.draw_course(axes[2], record, i, ENDS, series, names[i], with_paper=series == 0)
    axes[2].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log", title="one cell of Yun et al., four ways")
    style.below(figure, axes[2])
    return Drawn(figure, seen(found))


def _levels(axis: Axes, found: Found, title: str, shifts: dict[str, float], ticks: list[str]) -> None:
    """Levels cell by cell over noise with replacement; `shifts` lays quantities of one cell side by side."""
    for k, name in product(range(len(ticks)), shifts):
        seeds, row, series = found.measured[name][k], k + shifts[name], list(LABELS).index(name)
        shade, hide, (label, law) = style.color(series), "_" * bool(k), LABELS[name]
        axis.errorbar(seed_mean(seeds), row, xerr=np.nan_to_num(seed_error(seeds)), ms=5, fmt=style.MARKERS[series],
                      color=shade, label=hide + label)  # fmt: skip
        if k % 4 == 0:  # augmentation makes the noise new (1.12)
            axis.plot(found.noise_alone[name][k // 4], row, "|", ms=12, mew=1.6, color=shade, zorder=1,
                      label=f"{hide}exact, no basin: {law}")  # fmt: skip
    axis.axvline(1, color="0.4", ls="--", lw=1.0)
    axis.set_yticks(range(len(ticks)), ticks, fontsize=7)
    axis.set(xlabel=f"{title} / noise with replacement (9.2)", ylim=(len(ticks) - 0.5, -0.6))
    axis.legend(fontsize=6.5, markerscale=0.6, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, columnspacing=1)
