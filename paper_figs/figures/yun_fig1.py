"""Figure 1: effective learning rates of well-tuned combinations.

The effective learning rate of well-tuned combinations settles at different values, and so does the effective learning rate
per epoch when N differs.
"""

import numpy as np

from paper_figs import networks, phases, style
from paper_figs.scripts import Drawn, Records
from paper_figs.searches import best_of_combinations, how_well_tuned

SOURCE = "Yun et al. 2022, fig. 1; theory.md 2.3"
EXPERIMENTS = ("yun-fig1-2",)


def draw(records: Records) -> Drawn:
    """Effective LR and effective LR per epoch of the best cell of every search."""
    record = records["yun-fig1-2"]
    figure, axes = style.panels(2, width=4.8, height=3.3)
    levels = []
    for series, i in enumerate(best_of_combinations(record)):
        for axis, quantity in zip(axes, ("effective_lr", "effective_lr_epoch"), strict=True):
            networks.draw_course(axis, record, i, quantity, series, networks.combination(record, i))
            axis.set(xlabel="epoch", ylabel=networks.SHOWN[quantity][0], yscale="log")
        some = phases.late(record, i)
        levels.append([networks.mean_and_error(networks.of_cell(record, i, q))[0][max(some.stop - 1, 0)]
                       for q in ("effective_lr", "effective_lr_epoch")])  # fmt: skip
    style.below(figure, axes[0], columns=3, title="N, B, lr, wd")
    spans = np.nanmax(levels, axis=0) / np.nanmin(levels, axis=0)
    seen = (f"{networks.caption(record)}. {how_well_tuned(record)}. At the end of the first phase the largest effective learning rate of a well-tuned "
            f"combination is {spans[0]:.1f} times the smallest, per epoch {spans[1]:.1f} times. The solid lines follow from each run's "
            "measured gradient alone.")  # fmt: skip
    return Drawn(figure, seen)
