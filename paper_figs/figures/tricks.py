"""Which tricks of training keep the law of the angle.

The tuning factor is read off plain SGDM. The bag of tricks changes losses, optimizers, schedules and normalisation; the law
needs scale invariance, coupled decay, noise and a settled norm, so most tricks should keep it once their norm has settled, and
the control without normalisation not. The rule, and all numbers, stand in `tricks-table`.
"""

from typing import Any

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 9.2, 9.5, 6.7, 1.11"
EXPERIMENTS = ("tricks",)
SAID = {"keeps": "keep it", "breaks": "break it"}


def draw(records: Records) -> Drawn:
    """Measured over predicted angle per step and per epoch, at equilibrium and in the transient, trick by trick."""
    from validation.experiments import verdict

    record = records["tricks"]
    rows = verdict.rows(record)
    y = np.arange(len(rows))
    figure, axes = style.panels(3, width=3.6, height=5.2, sharey=True, gridspec_kw={"width_ratios": (1.2, 1.2, 0.6)})
    faces = {
        verdict.KEEPS: style.color(0),
        verdict.BREAKS: "white",
        verdict.UNSETTLED: "0.75",
        verdict.UNDECIDED: "0.75",
    }
    marks = {verdict.KEEPS: "o", verdict.BREAKS: "o", verdict.UNSETTLED: "s", verdict.UNDECIDED: "^"}
    for axis, name in zip(axes, ("step", "epoch"), strict=False):
        angles = [getattr(row, name) for row in rows]
        for word, face in faces.items():
            which = [i for i, one in enumerate(angles) if one.equilibrium == word]
            x, error = (
                np.array([getattr(angles[i], key) / angles[i].predicted for i in which])
                for key in ("measured", "stderr")
            )
            axis.errorbar(x, y[which], xerr=np.nan_to_num(error), fmt=marks[word], color=style.color(0), mfc=face, ms=5.5,
                          label=f"law of equilibrium: {word}")  # fmt: skip
        axis.plot([one.followed for one in angles], y, "x", color=style.color(1), ms=5, zorder=3,
                  label="against the transient")  # fmt: skip
        axis.axvline(1, color="0.4", ls="--", lw=1.0, zorder=1)
        axis.axvspan(1 - verdict.TOLERANCE, 1 + verdict.TOLERANCE, color="0.9", zorder=0)
        axis.set(xlabel=f"{networks.SHOWN[f'angle_{name}'][0].split(' [')[0]}: measured / predicted")
        axis.locator_params(axis="x", nbins=6)
    axes[2].barh(y, [row.share for row in rows], color="0.75", ec="0.3", lw=0.6)
    axes[2].set(xlabel="scale-invariant share", xlim=(0, 1.02))
    axes[0].set_yticks(y, [row.trick for row in rows], fontsize=8)
    axes[0].set(ylim=(len(rows) - 0.4, -0.6))
    # Outside: inside there is a marker or the reference line wherever a legend might stand.
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, fontsize=7.5)
    return Drawn(figure, f"{networks.caption(record)}. {counted(rows)}")


def counted(rows: list[Any]) -> str:
    """How many rows got which verdict, per step and per epoch."""
    from validation.experiments import verdict

    said = []
    words = (verdict.KEEPS, verdict.BREAKS, verdict.UNDECIDED, verdict.UNSETTLED, verdict.NOTHING)
    for name in ("step", "epoch"):
        for key, against in (("equilibrium", "the law of the equilibrium"), ("course", "the transient")):
            found = {word: [row.trick for row in rows if getattr(getattr(row, name), key) == word] for word in words}
            parts = [
                f"{len(tricks)} {SAID.get(word, word)}"
                + (f" ({'; '.join(tricks)})" if len(tricks) <= len(rows) // 3 else "")
                for word, tricks in found.items()
                if tricks
            ]
            said.append(f"Angle per {name} against {against}, of {len(rows)} rows: {', '.join(parts)}")
    left = [verdict.free(row.epoch, row.split) for row in rows if row.share >= 0.5]
    if np.isfinite(left).any():
        said.append("What keeps the angle per epoch below the law is the drift term of the split (theory.md 1.11): gradients pull back; "
                    f"without it scale-invariant rows would turn {np.nanmin(left):.2f} to {np.nanmax(left):.2f} of the prediction")  # fmt: skip
    return ". ".join(said) + "."
