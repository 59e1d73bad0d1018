"""What Yun et al.'s own tables say in numbers: accuracy against tuning factor, and slopes of the best hyperparameter.

The paper marks the cells of tuning factor 10/128 and finds the best or second-best accuracy there, "for all columns" of tables
1, 2, 3 and 5, and but for large batches in table 4. It prints means of three runs without errors.
"""

import numpy as np

from paper_figs import style
from paper_figs.accuracy import FACTOR, TITLES, theirs
from paper_figs.scripts import Drawn, Records

SOURCE = "Yun et al. 2022, tables 1-5, 7"
TABLES = (1, 2, 3, 4, 5, 7)


def draw(records: Records) -> Drawn:
    """Accuracy below the best of the column against the tuning factor, all columns of all parts; slopes."""
    from validation.experiments import EXPERIMENTS

    figure, axes = style.panels(4, 2, width=2.9, height=2.6)
    lead, chance, total = np.zeros(2), np.zeros(2), 0
    slopes: list[tuple[str, float, float]] = []
    others: list[str] = []
    for axis, number in zip(axes, TABLES, strict=False):
        for k, (tuned, part) in enumerate(theirs(EXPERIMENTS[f"yun-table{number}"].paper).items()):
            means = part.mean
            for j in range(means.shape[1]):
                axis.plot(FACTOR * 2 ** part.offset[:, j], means[:, j] - np.nanmax(means[:, j]), color=style.color(k), lw=0.7,
                          marker=style.MARKERS[k], ms=2.5, label=TITLES[tuned] if not j else None)  # fmt: skip
            counts = np.array([part.leading(places) for places in (1, 2)])
            lead, chance, total = lead + counts[:, 0], chance + counts[:, 1], total + means.shape[1]
            others += [f"table {number}, {TITLES[tuned]}, {said}" for said in part.behind(2)]
            slopes.append((f"{number} {tuned}", part.slope().value, part.expected_slope))
        axis.axvline(FACTOR, color="0.4", ls="--", lw=0.9)
        axis.set(xscale="log", ylim=(-8, 0.6), title=f"table {number}", xlabel="tuning factor")
    for axis in axes[::4]:
        axis.set_ylabel("accuracy minus best [points]")
    axes[len(TABLES)].set_axis_off()
    axes[len(TABLES)].legend(*axes[0].get_legend_handles_labels(), loc="center")
    last = axes[-1]
    names, found, said = zip(*slopes, strict=True)
    last.plot(found, range(len(names)), "o", ms=4, color="0.2", label="of the best cells")
    last.plot(said, range(len(names)), "|", ms=11, mew=1.6, color=style.color(1), label="predicted")
    last.set_yticks(range(len(names)), names, fontsize=6.5)
    last.set(ylim=(len(names) - 0.4, -3.4), xlabel="slope of log(best) against log(N or B)")
    last.legend(fontsize=6.5, loc="upper left", ncols=2)
    ratio = np.array(found) / np.array(said)
    seen = (f"in {lead[0]:.0f} of {total} columns the best printed value is on the diagonal, in {lead[1]:.0f} the best or the second "
            f"({chance[0]:.0f} and {chance[1]:.0f} if all cells of a column were alike); not in {'; '.join(others)}. The slope of the best hyperparameter against N or B "
            f"is {ratio.min():.2f} to {ratio.max():.2f} of the predicted one (median {np.median(ratio):.2f}). The optimum is flat: a factor of 2 "
            "costs a few tenths of a per cent, about what one would expect as error of a mean of three runs. Of table 6 the numbers are not "
            "at hand.")  # fmt: skip
    return Drawn(figure, seen)
