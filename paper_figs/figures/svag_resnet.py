"""SGD, SVAG and the SDE on a residual network: norm, angle and loss.

Li, Malladi and Arora: SVAG's curves approach those of the SDE as l grows, and SGD is among them where noise dominates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.findings.svag_resnet import ANGLE, NORM, QUANTITIES, Found, find, seen, shown_losses
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SOURCE = "Li, Malladi, Arora 2021, sec. 4; theory.md 4.1-4.4"
EXPERIMENTS = ("svag-resnet",)


def draw(records: Records) -> Drawn:
    """Courses of norm, angle and loss for l = 1, 2, 4, 8, with the SDE of the noise alone; the norm against 1/l."""
    record = records["svag-resnet"]
    found, epoch = find(record), record["epoch"].values
    figure, axes = style.panels(2, 2, width=4.6, height=2.9)
    for axis, quantity in zip(axes, QUANTITIES, strict=False):
        _courses(axis, epoch, found, quantity)
    style.paper(axes[1], epoch, networks.SHOWN[ANGLE][1] * networks.formula(record, 0, ANGLE))
    limits, outside = shown_losses(found)  # the first epochs differ most and say least
    axes[2].set(ylabel="training loss - that of SGD", ylim=limits, title=outside)
    _second_half(axes[3], found)
    style.below(figure, axes[0], columns=5)
    return Drawn(figure, f"{networks.caption(record)}; second half. {seen(found)}")


def _courses(axis: Axes, epoch: np.ndarray, found: Found, quantity: str) -> None:
    name, unit = networks.SHOWN[quantity]
    for i, count in enumerate(found.substeps):
        mean, error = networks.mean_and_error(found.measured[quantity][i])
        label = "SGD (l = 1)" if count == 1 else f"SVAG, l = {count:g}"
        style.measured(axis, epoch, unit * mean, unit * error, i=i, label=label)
        if quantity in found.exact:
            style.exact(axis, epoch, unit * found.exact[quantity][i], i=i)
    if quantity in found.sde:
        style.sde(axis, epoch, unit * found.sde[quantity], color="0.25", points=20, label="SDE (l = ∞)")
    axis.set(xlabel="epoch", ylabel=name)


def _second_half(axis: Axes, found: Found) -> None:
    place = np.append(1 / found.substeps, 0)
    style.exact(axis, place, seed_mean(found.law), color="0.25")
    for i, norm in enumerate(found.late[NORM]):
        style.measured(axis, place[[i]], [seed_mean(norm)], [seed_error(norm)], i=i, ms=5.5)
    style.sde(axis, [0], [found.limit], color="0.25", ms=6)
    axis.set(xlabel="l, spaced by 1/l", ylabel="weight norm", title="second half; line: (lr (τ + G/l)/(2 wd))^(1/4)")
    axis.set_xticks(place, [*(f"{count:g}" for count in found.substeps), "∞"])
