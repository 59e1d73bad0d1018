"""Scaling rules on a network: what keeps angle and accuracy when the batch grows.

Linear scaling keeps the tuning factor, and so do a growing weight decay or both by the root; lr by the root and no change do
not. Smith et al.: a growing batch does what a falling learning rate does.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import final_accuracy
from paper_figs.grid import with_error
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

SOURCE = "Goyal et al. 2017, Smith et al. 2018, Yun et al. 2022 sec. 4; theory.md 4.5, 7.2, 8.9"
EXPERIMENTS = ("scaling-rules",)
RULES = ("lr", "wd", "both", "root lr", "nothing")


def draw(records: Records) -> Drawn:
    """Angle per epoch and accuracy against the growth of the batch; lr decay against batch growth."""
    record = records["scaling-rules"]
    accuracy = final_accuracy(record)
    start = networks.pick(record, rule="start")[0]
    figure, axes = style.panels(3, width=3.6, height=3.3)
    said = []
    for series, rule in enumerate(RULES):
        cells = [start, *sorted(networks.pick(record, rule=rule), key=lambda i: float(record["times"][i]))]
        times = [float(record["times"][i]) for i in cells]
        angle = np.array([_level(record, i) for i in cells])
        law = [
            style.DEGREES * np.nanmean(networks.exact(record, i).angle_epoch[networks.late(record, i)]) for i in cells
        ]
        paper = [style.DEGREES * float(record["angle_epoch_paper"][i][0]) for i in cells]
        style.measured(axes[0], times, angle[:, 0], angle[:, 1], i=series, label=_name(rule))
        style.exact(axes[0], times, law, i=series)
        style.paper(axes[0], times, paper, i=series)
        ends, error = seed_mean(accuracy[cells]), seed_error(accuracy[cells])
        style.measured(axes[1], times, ends, error, i=series, label=_name(rule), ls="-", lw=0.8)
        gained = accuracy[cells[-1]] - accuracy[start]  # seed by seed: one subset and one start for both
        said.append(
            f"{_name(rule)}: angle × {angle[-1, 0] / angle[0, 0]:.2f} (exact {law[-1] / law[0]:.2f}, paper "
            f"{paper[-1] / paper[0]:.2f}), accuracy {_points(gained)}"
        )
    decays = []
    for series, rule in enumerate(("lr decay", "batch growth")):
        for i in networks.pick(record, rule=rule):
            networks.draw_course(axes[2], record, i, "angle_epoch", 5 * series, rule)
            value, error = float(seed_mean(accuracy[i])), float(seed_error(accuracy[i]))
            decays.append(f"{rule} {with_error(value, error, 1, absent='diverged, no')} %")
    for axis in axes[:2]:
        axis.set(xscale="log", xlabel="k: batch size over its first value")
        axis.set_xticks(times, [f"{k:g}" for k in times])
        axis.minorticks_off()
    axes[0].set(ylabel="angle per epoch, first phase [deg]")
    axes[1].set(ylabel="test accuracy [%]")
    axes[2].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log")
    axes[2].legend(fontsize=7)
    style.below(figure, axes[0], columns=5)
    shortest = min(int(record["steps_per_epoch"][i][0]) for i in cells)
    return Drawn(
        figure,
        f"{networks.caption(record)}. At the largest batch against the first: {'; '.join(said)}. Rules that keep the tuning "
        f"factor stay together, but do not keep the angle: of {shortest} steps an epoch, the velocity's memory of ten is no "
        f"small part, which eq. 27 leaves out and the exact recursion has. Final accuracy: {'; '.join(decays)}.",
    )


def _name(rule: str) -> str:
    return {"lr": "lr × k", "wd": "wd × k", "both": "both × √k", "root lr": "lr × √k", "nothing": "nothing"}[rule]


def _points(gained) -> str:
    """A difference of accuracies with its standard error over seeds."""
    value, error = float(seed_mean(gained)), float(seed_error(gained))
    return (
        f"{value:+.1f}" + (f" ± {error:.1f} points" if np.isfinite(error) else " points")
        if np.isfinite(value)
        else "none: a run diverged"
    )


def _level(record, i: int) -> tuple[float, float]:
    """Mean angle per epoch after the transient of the first phase, degrees, with its standard error over seeds."""
    seeds = style.DEGREES * np.nanmean(networks.of_cell(record, i, "angle_epoch")[:, networks.late(record, i)], axis=1)
    return float(seed_mean(seeds)), float(seed_error(seeds))
