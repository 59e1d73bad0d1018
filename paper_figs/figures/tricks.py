"""Which tricks of training keep the law of the angle.

The tuning factor is read off plain SGDM. The bag of tricks changes losses, optimizers, schedules and normalisation; the law
needs scale invariance, coupled decay, noise and a settled norm, so most tricks should keep it once their norm has settled, and
the control without normalisation not. Per epoch the gradients' pull back, which is no noise, breaks it with and without a trick:
there a trick shows in the comparison with the baseline `none`. The rule, and all numbers, stand in `tricks-table`.
"""

from typing import Any

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 9.2, 9.5, 6.7, 1.11"
EXPERIMENTS = ("tricks",)
SAID = {"keeps": ("keeps it", "keep it"), "breaks": ("breaks it", "break it"), "as none": ("turns as it does", "turn as it does"),
        "differs": ("differs", "differ")}  # fmt: skip


def draw(records: Records) -> Drawn:
    """Measured over predicted angle per step and per epoch, at equilibrium and in the transient, and over the baseline's."""
    from validation.experiments import verdict

    record = records["tricks"]
    rows = verdict.rows(record)
    y = np.arange(len(rows))
    figure, axes = style.panels(
        4, width=3.3, height=5.6, sharey=True, gridspec_kw={"width_ratios": (1.2, 1.2, 1.2, 0.5)}
    )
    faces = {
        verdict.KEEPS: ("o", style.color(0)),
        verdict.BREAKS: ("o", "white"),
        verdict.UNSETTLED: ("s", "0.75"),
        verdict.UNDECIDED: ("^", "0.75"),
        verdict.NO_CLAIM: ("D", "white"),
    }
    for axis, name in zip(axes, ("step", "epoch"), strict=False):
        angles = [getattr(row, name) for row in rows]
        for word, (mark, face) in faces.items():
            which = [i for i, one in enumerate(angles) if one.equilibrium.verdict == word]
            if which or word != verdict.NO_CLAIM:  # the legend needs no word that a whole record lacks
                _points(axis, y[which], [angles[i].equilibrium for i in which], mark, 0, mfc=face,
                        label=f"law of equilibrium: {word}")  # fmt: skip
        _points(axis, y, [one.course for one in angles], "x", 1, label="against the transient")
        axis.set(xlabel=f"{networks.SHOWN[f'angle_{name}'][0].split(' [')[0]}:\nmeasured / predicted")
    for name, mark, series in (("step", "v", 2), ("epoch", "D", 3)):
        _points(axes[2], y, [getattr(row, name).beside for row in rows], mark, series, mfc="white",
                label=f"over none: angle per {name}")  # fmt: skip
    axes[2].set(xlabel="measured / predicted\nover that of none")
    for axis in axes[:3]:
        axis.axvline(1, color="0.4", ls="--", lw=1.0, zorder=1)
        axis.axvspan(1 - verdict.TOLERANCE, 1 + verdict.TOLERANCE, color="0.9", zorder=0)
        axis.locator_params(axis="x", nbins=6)
    axes[3].barh(y, [row.share for row in rows], color="0.75", ec="0.3", lw=0.6)
    axes[3].set(xlabel="scale-invariant\nshare", xlim=(0, 1.02))
    axes[0].set_yticks(y, [row.trick for row in rows], fontsize=8)
    axes[0].set(ylim=(len(rows) - 0.4, -0.6))
    # Outside: inside there is a marker or the reference line wherever a legend might stand.
    handles = {
        label: handle for axis in axes[:3] for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles, loc="outside upper center", ncols=4, fontsize=7.5)
    return Drawn(figure, f"{networks.caption(record)}. {counted(rows)}")


def _points(axis: Any, y: Any, ratios: list[Any], mark: str, series: int, **kwargs: Any) -> None:
    """Ratios with their errors, which are those that were judged."""
    mean, error = (np.array([getattr(one, key) for one in ratios], float) for key in ("mean", "stderr"))
    axis.errorbar(mean, y, xerr=np.nan_to_num(error), fmt=mark, color=style.color(series), ms=5, zorder=3, **kwargs)


def counted(rows: list[Any]) -> str:
    """How many rows got which verdict, per step and per epoch."""
    from validation.experiments import verdict

    said = []
    for name in ("step", "epoch"):
        for key, against in (
            ("equilibrium", "the law of the equilibrium"),
            ("course", "the transient"),
            ("beside", "the baseline none"),
        ):
            found: dict[str, list[str]] = {}
            for row in rows:
                found.setdefault(getattr(getattr(row, name), key).verdict, []).append(row.trick)
            found.pop(verdict.BASELINE, None)
            parts = [
                f"{len(tricks)} {SAID.get(word, (word, word))[len(tricks) > 1]}"
                + (f" ({'; '.join(tricks)})" if len(tricks) <= len(rows) // 3 else "")
                for word, tricks in sorted(found.items(), key=lambda one: -len(one[1]))
            ]
            said.append(
                f"Angle per {name} against {against}, of {sum(map(len, found.values()))} rows: {', '.join(parts)}"
            )
    said += [
        f"{row.trick} {verdict.SAME}, since it changes what is evaluated, not what is trained"
        for row in rows
        if verdict.SAME in row.step.why
    ]
    return ". ".join(said) + "."
