"""Scaling rules on a network: what keeps angle and accuracy when the batch grows, and how far noise dominates.

Linear scaling keeps the tuning factor, and so do a growing weight decay or both by the root; lr by the root and no
change do not. Li et al.: it fails where noise is no stronger than signal. Smith et al.: a growing batch does what a
falling learning rate does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from paper_figs import networks, style
from paper_figs.findings.scaling_rules import COURSES, RULES, Found, find, seen
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes

SOURCE = "Goyal et al. 2017, Smith et al. 2018, Li et al. 2021, Yun et al. 2022 sec. 4; theory.md 4.5, 7.2, 7.6, 8.9"
EXPERIMENTS = ("scaling-rules",)


def draw(records: Records) -> Drawn:
    """Angle, accuracy and noise over signal against the growth k of the batch; lr decay against batch growth."""
    found = find(record := records["scaling-rules"])
    figure, axes = style.panels(2, 2, width=4.7, height=3.1)
    _against_growth(axes[0], found, found.angle["measured"], "angle per epoch, first phase [deg]")
    for i in range(len(RULES)):
        style.exact(axes[0], found.growth, seed_mean(found.angle["exact"][i]), i=i)
        style.paper(axes[0], found.growth, seed_mean(found.angle["paper"][i]), i=i)
        style.sde(axes[0], _apart(found, i), seed_mean(found.angle["SDE"][i]), i=i)
    axes[0].set_title("paper's formula: where the transient ends before the drop", fontsize="small")
    _against_growth(axes[1], found, found.gained, "accuracy - that at k = 1 [points]")
    _against_growth(axes[2], found, found.ratio, "noise / signal, τ/G", scale="log")
    for level, axis in enumerate(axes[1:3]):
        axis.axhline(level, color="0.4", lw=0.8)
    axes[2].plot(found.growth, seed_mean(found.ratio)[0, 0] / found.growth, ":", color="0.35", lw=1.2,
                 label="(τ/G at k = 1) / k")  # fmt: skip
    for series, rule in enumerate(COURSES):
        networks.draw_course(axes[3], record, networks.pick(record, rule=rule)[0], "angle_epoch", 5 * series, rule)
    axes[3].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log")
    axes[3].legend(fontsize=7)
    style.below(figure, axes[2], columns=6)
    return Drawn(figure, seen(found))


def _against_growth(axis: Axes, found: Found, values: np.ndarray, label: str, scale: str = "linear") -> None:
    """Measured values (rule, k, seed) of every rule."""
    for i, (rule, seeds) in enumerate(zip(RULES.values(), values, strict=True)):
        style.measured(axis, _apart(found, i), seed_mean(seeds), seed_error(seeds), i=i, label=rule, band=False, ms=4.6)
    axis.set(xscale="log", xlabel="k: batch size over its first value", ylabel=label, yscale=scale)
    axis.set_xticks(found.growth, [f"{k:g}" for k in found.growth])
    axis.minorticks_off()


def _apart(found: Found, i: int) -> np.ndarray:
    """Places of rule `i`, side by side: bars would hide each other."""
    return found.growth * 2 ** (0.13 * (i - 2))
