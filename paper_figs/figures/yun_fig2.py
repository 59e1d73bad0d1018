"""Figure 2: angle per epoch of well-tuned and of poorly tuned combinations.

Well-tuned combinations of different N, B, lr and wd turn by similar angles per epoch, poorly tuned ones do not.
"""

import numpy as np

from paper_figs import networks, phases, style
from paper_figs.scripts import Drawn, Records
from paper_figs.searches import best_of_combinations, how_well_tuned

SOURCE = "Yun et al. 2022, fig. 2; theory.md 9.2, 9.10, 10.8"
EXPERIMENTS = ("yun-fig1-2",)


def draw(records: Records) -> Drawn:
    """The best and the worst cell of every search."""
    record = records["yun-fig1-2"]
    figure, axes = style.panels(2, width=4.8, height=3.4, sharey=True)
    spans, off, settled, shown = [], [], [], 0
    for axis, worst, title in zip(
        axes, (False, True), ("(a) best of each search", "(b) worst of each search"), strict=True
    ):
        ends = []
        for series, i in enumerate(best_of_combinations(record, worst=worst)):
            networks.draw_course(axis, record, i, "angle_epoch", series, networks.combination(record, i))
            angle = networks.mean_and_error(networks.of_cell(record, i, "angle_epoch"))[0]
            ends.append(angle[max(phases.phase_end(record, i) - 1, 0)])
            if phases.settles(record, i):
                off.append(networks.ratio(record, i))
        settled.append(len(off) - sum(settled))
        shown += len(ends)
        spans.append(np.nanmax(ends) / np.nanmin(ends))
        axis.set(xlabel="epoch", yscale="log", title=title)
        axis.legend(title="N, B, lr, wd", fontsize=7, title_fontsize="small", ncols=2, loc="upper center",
                    bbox_to_anchor=(0.5, -0.22))  # fmt: skip
    axes[0].set_ylabel(networks.SHOWN["angle_epoch"][0])
    style.kinds(figure, loc="outside upper center", ncols=4)
    seen = (f"{networks.caption(record)}. {how_well_tuned(record)}. At the end of the first phase the largest angle over the smallest is {spans[0]:.2f} among the "
            f"best and {spans[1]:.2f} among the worst; but only {settled[0]} of the best and {settled[1]} of the worst are past their "
            "transient by then, and the paper speaks of angles after it.")  # fmt: skip
    if off:
        seen += (f" In those {len(off)} of {shown} 1 - cos is {np.nanmin(off):.2f} to {np.nanmax(off):.2f} of what the gradients' size "
                 "alone would give (exact): the rest is correlation between steps.")  # fmt: skip
    return Drawn(figure, seen)
