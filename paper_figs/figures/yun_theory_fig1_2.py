"""Yun et al.'s figures 1 and 2 with noise alone: what the six combinations do without a network.

Six well-tuned combinations of N, B, lr and wd reach different effective learning rates and different effective learning
rates per epoch, but turn by similar angles per epoch; poorly tuned ones do not. The schedule is the paper's: 300 epochs, lr
divided by ten at 150 and 225.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.theory import predict
from sde_si.verify.claims.common import run

SOURCE = "Yun et al. 2022, figs. 1-2; theory.md 10.7, 10.8, 14.6"
KEEP = ("angle_epoch", "effective_lr")
# N, B, lr, wd: the best of each of the paper's six searches in its tables 1 and 3
WELL = ((50000, 256, 0.4, 1e-4), (50000, 256, 0.1, 8e-4), (50000, 1024, 0.4, 4e-4), (25000, 128, 0.4, 1e-4),
        (12500, 128, 0.1, 8e-4), (6250, 128, 0.2828, 2.828e-4))  # fmt: skip
POOR = ((50000, 128, 0.1, 6.4e-3), (50000, 256, 3.2, 1e-4), (6250, 128, 0.1, 1e-4), (12500, 128, 0.1, 2e-4))
SCHEDULE = "multi-step:150,225"


def label(N: int, B: int, lr: float, wd: float) -> str:
    """A combination in words."""
    return f"{N // 1000 if N % 1000 == 0 else N / 1000:g}k, {B}, {lr:g}, {wd:g}"


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
    record, known = records["simulated"], runs()
    figure, axes = style.panels(2, 2, width=4.6, height=3.0)
    quarter = {}
    for group, panel in ((WELL, (0, 1, 2)), (POOR, (3,))):
        for i, one in enumerate(group):
            name, said = f"sgd-torch: {label(*one)}", predict(known[f"sgd-torch: {label(*one)}"])
            found, sde, per_epoch = record.sel(cell=name), record.sel(cell=f"splitting: {label(*one)}"), one[0] / one[1]
            shown = (("effective_lr", 1.0), ("effective_lr", per_epoch), ("angle_epoch", style.DEGREES))
            for axis, (quantity, unit) in zip(axes[list(panel)], shown[-len(panel) :], strict=True):
                style.measured(axis, record["epoch"], unit * found[quantity], unit * found[f"{quantity}_stderr"], i=i,
                               label=label(*one))  # fmt: skip
                style.sde(axis, record["epoch"], unit * sde[quantity], i=i, points=12)
                style.exact(axis, record["epoch"], unit * said[f"{quantity}_predicted"], i=i)
            style.paper(axes[panel[-1]], record["epoch"], style.DEGREES * said["angle_epoch_paper"], i=i, lw=0.7)
            quarter[one] = [style.DEGREES * float(found["angle_epoch"][e]) for e in (139, 219, 299)]
    for axis, title in zip(
        axes, ("(1a) well tuned", "(1b) well tuned", "(2a) well tuned", "(2b) poorly tuned"), strict=True
    ):
        axis.set(yscale="log", xlabel="epoch", title=title)
    axes[0].set_ylabel("effective LR [per step]")
    axes[1].set_ylabel("effective LR per epoch")
    for axis in axes[2:]:
        axis.set(ylabel="angle per epoch [deg]", ylim=(0.08, 2000))
    axes[3].legend(
        title="N, B, lr, wd",
        ncols=2,
        loc="upper right",
        title_fontsize="small",
        fontsize=7,
    )
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="well tuned: N, B, lr, wd", loc="outside lower center", ncols=3, fontsize=7,
                  title_fontsize="small")  # fmt: skip
    style.kinds(figure, loc="outside upper center", ncols=4)
    known_factors = [known[f"sgd-torch: {label(*one)}"].hyperparameters.tuning_factor for one in WELL]
    well, poor = (np.array([quarter[one] for one in group]) for group in (WELL, POOR))
    naive = style.DEGREES * predict(known[f"sgd-torch: {label(*WELL[0])}"])["angle_epoch_paper"].values[-1]
    seen = (
        f"without any network the well-tuned combinations turn by {well[:, 0].min():.1f} to {well[:, 0].max():.1f} degrees an epoch "
        f"before the first drop, because their tuning factors are {min(known_factors):.3f} to {max(known_factors):.3f} (the grids have steps "
        f"of 2), and the poorly tuned by {poor[:, 0].min():.1f} to {poor[:, 0].max():.1f}: figure 2 shows tuning factors, nothing of the network. "
        "The drops are not what eq. 27 says: there the angle falls with lr, not with its root, and in the last phase the "
        f"first combination turns by {well[0, 2]:.2f} degrees instead of {naive:.2f}, because the length has no time to follow."
    )
    return Drawn(figure, seen)
