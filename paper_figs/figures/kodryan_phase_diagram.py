"""Phase diagram: gradient norm against training loss at fixed rates, with ordinary training drawn into it.

Kodryan et al.: each effective learning rate goes to minima of its own sharpness, along a line of its own; ordinary
training with weight decay moves through the regimes as its effective learning rate changes.
"""

from typing import Any

from paper_figs import style
from paper_figs.findings.kodryan_phase_diagram import Found, blocks, find, seen
from paper_figs.rates import Training
from paper_figs.scripts import Drawn, Records

SOURCE = "Kodryan et al. 2022, phase diagrams; theory.md 5.1, 2.3"
EXPERIMENTS = ("kodryan-regimes",)
CROWDED = 0.03  # fixed rate whose line ends there


def draw(records: Records) -> Drawn:
    """Above the effective rates of ordinary training, below the diagram of one seed; a column a run."""
    found = find(records["kodryan-regimes"])
    columns, seeds = len(found.ordinary), len(next(iter(found.ordinary.values())))
    figure, axes = style.panels(columns, 2, width=3.9, height=3.2, sharey="row")
    for top, axis, (name, each) in zip(axes[:columns], axes[columns:], found.ordinary.items(), strict=True):
        top.set_title(name)
        _rates(top, each, found)
        _diagram(axis, each[0], found)
    axes[0].set(ylabel="effective LR [per step]")
    axes[columns].set(ylabel="gradient norm / training loss")
    style.below(figure, axes[0], (style.EXACT,), columns=seeds + 2)
    return Drawn(figure, seen(found))


def _rates(axis: Any, each: list[Training], found: Found) -> None:
    """Effective rates of ordinary training, and the recursion's, over epochs, among the fixed rates."""
    for k, one in enumerate(each):
        style.measured(axis, found.epoch, one.course.rate, i=k, label=f"measured, seed {one.seed}")
        style.exact(axis, found.epoch, one.course.law, i=k)
    axis.set(xlabel="epoch", yscale="log")
    fixed, lowest = found.fixed.rates, min(one.course.rate.min() for one in each)
    axis.hlines(fixed[fixed > lowest / 2], 0, found.epoch.size, color="0.8", lw=0.8, zorder=0, label="fixed rates")
    axis.axhspan(*found.fixed.threshold, color="0.85", lw=0, zorder=0, label="threshold of fixed rates")


def _diagram(axis: Any, one: Training, found: Found) -> None:
    """Gradient norm against loss of one seed, from collapse to collapse, over the lines of fixed rates."""
    for rate, line in found.lines.items():
        x, y = blocks(line.loss), blocks(line.slope)
        axis.loglog(x, y, "-", color="0.6", lw=1.0, zorder=1)
        # among the points of ordinary training only the left is free
        left = {"xytext": (-5, -4), "ha": "right"} if rate == CROWDED else {"xytext": (0, 7), "ha": "center"}
        axis.annotate(f"{rate:g}", (x[-1], y[-1]), textcoords="offset points", fontsize=7, weight="bold", **left)
    for k, (a, b) in enumerate(one.parts):
        loss, slope, rate = (values[a:b] for values in one.course[:3])
        axis.loglog(blocks(loss), blocks(slope), style.MARKERS[k % 10] + "-", color=style.color(k), ms=4, lw=0.6,
                    label=f"{a + 1} to {b}: {rate[0]:.2g} to {rate[-1]:.2g}")  # fmt: skip
    axis.legend(fontsize=7, loc="lower left", title=f"seed {one.seed}: epochs, effective LR", title_fontsize=7)
    axis.set(xlabel="training loss")
