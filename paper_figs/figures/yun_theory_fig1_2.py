"""Yun et al.'s figures 1 and 2 with noise alone: what the six combinations do without a network.

Six well-tuned combinations of N, B, lr and wd reach different effective learning rates and different effective learning
rates per epoch, but turn by similar angles per epoch; poorly tuned ones do not. The schedule is the paper's: 300 epochs, lr
divided by ten at 150 and 225.
"""

from paper_figs import style
from paper_figs.findings.yun_theory_fig1_2 import ANGLE, POOR, RATE, RATE_PER_EPOCH, WELL, find, label, seen
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Yun et al. 2022, figs. 1-2; theory.md 10.7, 10.8, 14.6"
KEEP = ("angle_epoch", "effective_lr")
SCHEDULE = "multi-step:150,225"


def runs() -> dict[str, Run]:
    """The optimizer and the SDE; all start at the length that the first combination keeps."""
    start = float(run(N=50000, B=256, lr=0.4, wd=1e-4, momentum=0.9, dim=64, epochs=1).start_norm)
    return {
        f"{method}: {label(*one)}": run(N=one[0], B=one[1], lr=one[2], wd=one[3], momentum=0.9, epochs=300, seed=i,
                                        schedule=SCHEDULE, paths=8, dim=64, method=method, init_norm=start)
        for i, one in enumerate(WELL + POOR) for method in ("sgd-torch", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """Effective LR, effective LR per epoch, angle per epoch of the well-tuned and of the poorly tuned."""
    found = find(records["simulated"], runs())
    figure, axes = style.panels(2, 2, width=4.6, height=3.0)
    panels = (
        (RATE, found.well, "(1a) well tuned", "effective LR [per step]"),
        (RATE_PER_EPOCH, found.well, "(1b) well tuned", "effective LR per epoch"),
        (ANGLE, found.well, "(2a) well tuned", "angle per epoch [deg]"),
        (ANGLE, found.poor, "(2b) poorly tuned", "angle per epoch [deg]"),
    )
    for axis, (quantity, courses, title, axis_label) in zip(axes, panels, strict=True):
        for i, one in enumerate(courses):
            style.measured(axis, found.epoch, one.measured[quantity], one.error[quantity], i=i, label=one.name)
            style.sde(axis, found.epoch, one.sde[quantity], i=i, points=12)
            style.exact(axis, found.epoch, one.exact[quantity], i=i)
            if quantity == ANGLE:
                style.paper(axis, found.epoch, one.paper, i=i, lw=0.7)
        axis.set(yscale="log", xlabel="epoch", ylabel=axis_label, title=title)
    for axis in axes[2:]:
        axis.set_ylim(0.08, 2000)
    axes[3].legend(title="N, B, lr, wd", ncols=2, loc="upper right", title_fontsize="small", fontsize=7)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="well tuned: N, B, lr, wd", loc="outside lower center", ncols=3, fontsize=7,
                  title_fontsize="small")  # fmt: skip
    style.kinds(figure, loc="outside upper center", ncols=4)
    return Drawn(figure, seen(found))
