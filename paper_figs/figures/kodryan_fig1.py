"""Training on the sphere at fixed effective learning rates: loss, error and gradient norm.

Kodryan et al. train scale-invariant networks at fixed effective learning rates and find three regimes: convergence at
different speeds and to different minima, a level of the loss that depends on the rate, and the loss of random guessing.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.figures.kodryan_toy import MARKS
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

SOURCE = "Kodryan et al. 2022, fig. 1; theory.md 5.1"
EXPERIMENTS = ("kodryan-regimes",)


def draw(records: Records) -> Drawn:
    """Training loss and effective gradient norm over epochs; final loss, test error and regime against the rate."""
    from matplotlib import colormaps

    record = records["kodryan-regimes"]
    cells = np.array(networks.pick(record, training="sphere"))
    cells = cells[np.argsort(record["fixed"].values[cells])]
    fixed, epoch = record["fixed"].values[cells], record["epoch"].values
    figure, axes = style.panels(3, width=3.7, height=3.4)
    final = []
    for k, i in enumerate(cells):
        shade = {"color": colormaps["viridis"](0.9 * (1 - k / max(1, cells.size - 1))), "lw": 1.1}
        loss, norm = (
            networks.mean_and_error(networks.of_cell(record, i, name))[0] for name in ("train_loss", "gradient")
        )
        axes[0].loglog(epoch, loss, label=f"{fixed[k]:.2g}", **shade)
        axes[1].loglog(epoch, np.sqrt(norm), **shade)
        late = networks.of_cell(record, i, "train_loss")[:, -max(1, epoch.size // 10) :].mean(axis=1)
        error = 100 * (1 - networks.of_cell(record, i, "test_accuracy"))
        final.append([seed_mean(late), seed_error(late), np.nanmean(error[:, -1])])
    level, stderr, error = np.array(final).T
    regime = record["regime"].values[cells].astype(str)
    for name, mark in MARKS.items():
        which = regime == name
        if which.any():
            axes[2].errorbar(fixed[which], level[which], np.nan_to_num(stderr[which]), fmt=mark, ms=4.5, color="0.2",
                             mfc="white" if mark == "s" else "0.2", label=name)  # fmt: skip
    other = axes[2].twinx()
    other.plot(fixed, error, "-", color=style.color(1), lw=1.0)
    other.set_ylabel("test error [%] (line)", color=style.color(1))
    other.spines["right"].set_visible(True)
    other.grid(visible=False)
    axes[0].set(xlabel="epoch", ylabel="training loss")
    axes[1].set(xlabel="epoch", ylabel="effective gradient norm, rms")
    axes[2].set(xscale="log", yscale="log", xlabel="effective LR", ylabel="training loss, last tenth")
    axes[2].set_ylim(top=3e3 * level.max())  # room for the legend
    axes[2].legend(loc="upper left", fontsize=7)
    figure.legend(*axes[0].get_legend_handles_labels(), title="effective LR", loc="outside lower center", ncols=7)
    counts = ", ".join(
        f"{name}: {', '.join(f'{r:.2g}' for r in fixed[regime == name])}" for name in MARKS if (regime == name).any()
    )
    best = int(np.nanargmin(error))
    seen = (f"{networks.caption(record)}. By sde_si.regimes: {counts}. Lowest test error {error[best]:.1f} % at effective LR "
            f"{fixed[best]:.2g}. There is no closed form for a network's threshold; the toy's is on kodryan-toy.")  # fmt: skip
    return Drawn(figure, seen)
