"""Every schedule on a network: measured angle per epoch beside the recursion with the network's own gradients.

As for the simulated schedules, but with real training: here the gradients change under way, they pull back into the basin, and
the minibatches are drawn with replacement.
"""

import numpy as np

from paper_figs import networks
from paper_figs.figures.schedules import SCHEDULES, panels, shade
from paper_figs.scripts import Drawn, Records

SOURCE = "Yun et al. 2022, eq. 27, table 6; bag of tricks; theory.md 9.10, 18.2"
EXPERIMENTS = ("schedules",)


def draw(records: Records) -> Drawn:
    """One panel a schedule."""
    record = records["schedules"]
    figure, axes = panels()
    ends, steps = {}, {}
    for axis, name in zip(axes, SCHEDULES, strict=False):
        for i in networks.pick(record, schedule=name):
            networks.draw_course(axis, record, i, "angle_epoch", 0)
            some = slice(record.sizes["epoch"] // 2, None)
            measured, step = (
                networks.mean_and_error(networks.of_cell(record, i, q))[0][some] for q in ("angle_epoch", "angle_step")
            )
            said = networks.exact(record, i)
            ends[name] = float(np.nanmedian(measured / said.angle_epoch[some]))
            steps[name] = float(np.nanmedian(step / said.angle_step[some]))
            shade(axis, record["lr_end"].isel(cell=i).values / record["batch"].isel(cell=i).values)
    low, high = (f(ends, key=lambda name: ends[name]) for f in (min, max))
    seen = (f"{networks.caption(record)}. Over the second half the angle per step is {min(steps.values()):.2f} to {max(steps.values()):.2f} of the "
            f"exact prediction under all schedules, the angle per epoch {ends[low]:.2f} ({low}) to {ends[high]:.2f} ({high}): the recursion "
            "knows the gradients' size, not that they pull back.")  # fmt: skip
    return Drawn(figure, seen)
