"""Which tricks of training keep the law of the angle.

The tuning factor is read off plain SGDM. The bag of tricks changes losses, optimizers, schedules and normalisation; the law
needs scale invariance, coupled decay, noise and a settled norm, so most tricks should keep it once their norm has settled, and
the control without normalisation not. Per epoch the gradients' pull back, which is no noise, breaks it with and without a trick:
there a trick shows in the comparison with the baseline `none`. The rule, and all numbers, stand in `tricks-table`.
"""

from typing import Any

import numpy as np

from paper_figs import networks, style
from paper_figs.findings.tricks import Ratios, find, seen
from paper_figs.scripts import Drawn, Records
from validation.experiments import verdict

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 9.2, 9.5, 6.7, 1.11"
EXPERIMENTS = ("tricks",)


def draw(records: Records) -> Drawn:
    """Measured over predicted angle per step and per epoch, at equilibrium and in the transient, and over the baseline's."""
    found, widths = find(records["tricks"]), {"width_ratios": (1.2, 1.2, 1.2, 0.5)}
    figure, axes = style.panels(4, width=3.3, height=5.6, sharey=True, gridspec_kw=widths)
    marks = {verdict.KEEPS: ("o", style.color(0)), verdict.BREAKS: ("o", "white"), verdict.UNSETTLED: ("s", "0.75"),
             verdict.UNDECIDED: ("^", "0.75"), verdict.NO_CLAIM: ("D", "white")}  # fmt: skip
    for axis, (name, angle) in zip(axes, found.angles.items(), strict=False):
        for word, ratios in angle.equilibrium.items():
            mark, face = marks[word]
            _points(axis, ratios, mark, 0, mfc=face, label=f"law of equilibrium: {word}")
        _points(axis, angle.course, "x", 1, label="against the transient")
        axis.set(xlabel=f"{networks.SHOWN[f'angle_{name}'][0].split(' [')[0]}:\nmeasured / predicted")
    for name, mark, series in (("step", "v", 2), ("epoch", "D", 3)):
        _points(axes[2], found.angles[name].beside, mark, series, mfc="white", label=f"over none: angle per {name}")
    axes[2].set(xlabel="measured / predicted\nover that of none")
    for axis in axes[:3]:
        axis.axvline(1, color="0.4", ls="--", lw=1.0, zorder=1)
        axis.axvspan(1 - verdict.TOLERANCE, 1 + verdict.TOLERANCE, color="0.9", zorder=0)
        axis.locator_params(axis="x", nbins=6)
    y = np.arange(len(found.rows))
    axes[3].barh(y, [row.share for row in found.rows], color="0.75", ec="0.3", lw=0.6)
    axes[3].set(xlabel="scale-invariant\nshare", xlim=(0, 1.02))
    axes[0].set_yticks(y, [row.trick for row in found.rows], fontsize=8)
    axes[0].set(ylim=(y.size - 0.4, -0.6))
    # Outside: inside there is a marker or the reference line wherever a legend might stand.
    legends = (zip(*axis.get_legend_handles_labels(), strict=True) for axis in axes[:3])
    handles = {label: handle for legend in legends for handle, label in legend}
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=4, fontsize=7.5)
    return Drawn(figure, seen(found))


def _points(axis: Any, ratios: Ratios, mark: str, series: int, **kwargs: Any) -> None:
    """Ratios with their errors."""
    axis.errorbar(ratios.mean, ratios.row, xerr=np.nan_to_num(ratios.stderr), fmt=mark, color=style.color(series), ms=5,
                  zorder=3, **kwargs)  # fmt: skip
