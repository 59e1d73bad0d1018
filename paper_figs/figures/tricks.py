"""Which tricks of training keep the law of the angle.

The tuning factor is read off plain SGDM. The bag of tricks changes losses, optimizers, schedules and normalisation; the law
needs scale invariance, coupled decay and noise, so most tricks should keep it and the control without normalisation not.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 9.2, 9.5, 6.7"
EXPERIMENTS = ("tricks",)


def draw(records: Records) -> Drawn:
    """Measured over predicted angle per step and per epoch, trick by trick, with the scale-invariant share."""
    record = records["tricks"]
    names = record["trick"].values.astype(str)
    y = np.arange(names.size)
    figure, axes = style.panels(3, width=3.6, height=5.0, sharey=True)
    said = []
    for series, (axis, name) in enumerate(zip(axes, ("angle_step", "angle_epoch"), strict=False)):
        law = record[f"{name}_equilibrium"].values
        ratio, error = record[f"{name}_mean"].values / law, np.nan_to_num(record[f"{name}_stderr"].values / law)
        verdict = record[f"{name}_verdict"].values.astype(str)
        for word, face in (("keeps", style.color(series)), ("breaks", "white")):
            which = verdict == word
            axis.errorbar(ratio[which], y[which], xerr=error[which], fmt=style.MARKERS[series], color=style.color(series), mfc=face,
                          ms=5.5, label=f"{word} the law")  # fmt: skip
        axis.axvline(1, color="0.4", ls="--", lw=1.0)
        axis.set(xlabel=f"{networks.SHOWN[name][0].split(' [')[0]}: measured / predicted")
        axis.locator_params(axis="x", nbins=5)
        axis.legend(fontsize=7, loc="lower right")
        title = networks.SHOWN[name][0].split(" [")[0]
        said.append(f"{title}: {list(verdict).count('keeps')} of {names.size} keep the law")
        if name == "angle_step":
            reasons = zip(names, record["why"].values.astype(str), verdict, strict=True)
            told = [f"{trick} ({why or 'no reason known'})" for trick, why, word in reasons if word == "breaks"]
            said[-1] += f"; it is broken by {'; '.join(told) or 'none'}"
        else:
            like = names[1:][np.abs(ratio[1:] / ratio[0] - 1) <= 0.05]
            said[-1] += (f": plain training turns {ratio[0]:.2f} of it, because its gradients pull back, and within 5 % of "
                         f"that so do {', '.join(like)}; the others {np.nanmin(ratio):.2f} to {np.nanmax(ratio):.2f}")  # fmt: skip
    axes[2].barh(y, record["invariant_share"].values, color="0.75", ec="0.3", lw=0.6)
    axes[2].set(xlabel="scale-invariant share of the weights", xlim=(0, 1.02))
    axes[0].set_yticks(y, names, fontsize=8)
    axes[0].set(ylim=(names.size - 0.4, -0.6))
    return Drawn(figure, f"{networks.caption(record)}. {'. '.join(said)}.")
