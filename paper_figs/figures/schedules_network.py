"""Every schedule on a network: measured angle per epoch beside the recursion with the network's own gradients.

As for the simulated schedules, but with real training: here the gradients change under way, they pull back into the
basin, and the minibatches are drawn with replacement.
"""

from typing import Any

import numpy as np

from paper_figs import networks, style
from paper_figs.findings.schedules import SCHEDULES
from paper_figs.findings.schedules_network import find, seen
from paper_figs.scripts import Drawn, Records

SOURCE = "Yun et al. 2022, eq. 27, table 6; bag of tricks; theory.md 9.10, 18.2"
EXPERIMENTS = ("schedules",)


def draw(records: Records) -> Drawn:
    """One panel a schedule."""
    record = records["schedules"]
    found = find(record)
    figure, axes = panels()
    panel = dict(zip(SCHEDULES, axes, strict=False))
    for (name, i), rate in zip(found.cells.items(), found.rate, strict=True):
        networks.draw_course(panel[name], record, i, "angle_epoch", 0)
        shade(panel[name], rate)
    return Drawn(figure, seen(found))


def panels() -> Any:
    """A panel for every schedule, with its name; the last place holds the legend."""
    figure, axes = style.panels(5, 3, width=2.3, height=2.0, sharex=True, sharey=True)
    for axis, name in zip(axes, SCHEDULES, strict=False):
        axis.set_title(name, fontsize="small")
        axis.set(yscale="log", ylim=(0.03, 60.0))
    for axis in axes[len(SCHEDULES) :]:
        axis.set_axis_off()
    for axis in axes[5 * 2 :]:
        axis.set_xlabel("epoch")
    for axis in axes[::5]:
        axis.set_ylabel("angle/epoch [deg]")
    axes[9].tick_params(labelbottom=True)
    style.kinds(axes[-1], loc="center left", bbox_to_anchor=(-0.1, 0.5))
    axes[-1].text(-0.1, 0.05, "grey: lr/B, linear scale", transform=axes[-1].transAxes, fontsize="small", color="0.4")
    return figure, axes


def shade(axis: Any, rate: Any) -> None:
    """The course of lr/B in grey at the foot of a panel."""
    low, rate = axis.get_ylim()[0], np.asarray(rate, float)
    axis.fill_between(
        np.arange(1, rate.size + 1), low, low * 10 ** (rate / np.nanmax(rate)), color="0.82", lw=0, zorder=0
    )
