"""Phase diagram: training loss against effective gradient norm, with ordinary training drawn into it.

Each effective learning rate follows a line of its own; ordinary training with weight decay moves through the regimes as its
effective learning rate changes.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records

SOURCE = "Kodryan et al. 2022, phase diagrams; theory.md 5.1, 2.3"
EXPERIMENTS = ("kodryan-regimes",)


def draw(records: Records) -> Drawn:
    """The diagram, and the effective learning rate of ordinary training beside its prediction."""
    from matplotlib import colormaps

    record = records["kodryan-regimes"]
    sphere, ordinary = (networks.pick(record, training=kind) for kind in ("sphere", "ordinary"))
    figure, axes = style.panels(2, width=4.8, height=3.7)
    rates = record["fixed"].values
    order = sorted(sphere, key=lambda i: rates[i])
    for k, i in enumerate(order):
        shade = colormaps["viridis"](0.9 * (1 - k / max(1, len(order) - 1)))
        loss, norm = (
            networks.mean_and_error(networks.of_cell(record, i, name))[0] for name in ("train_loss", "gradient")
        )
        axes[0].loglog(np.sqrt(norm), loss, ".", ms=2.5, color=shade, label=f"{rates[i]:.2g}")
        axes[0].loglog(np.sqrt(norm[:1]), loss[:1], "*", ms=8, color=shade, mec="k", mew=0.4, zorder=4)
    off = []
    for k, i in enumerate(ordinary):
        loss, norm = (
            networks.mean_and_error(networks.of_cell(record, i, name))[0] for name in ("train_loss", "gradient")
        )
        label = f"ordinary, lr {float(record['lr'][i]):g}, wd {float(record['wd'][i]):g}"
        axes[0].loglog(np.sqrt(norm), loss, "-", color=style.color(k), lw=1.3, marker=style.MARKERS[k], ms=4,
                       markevery=max(1, loss.size // 8), label=label)  # fmt: skip
        networks.draw_course(axes[1], record, i, "effective_lr", k, label)
        end = networks.mean_and_error(networks.of_cell(record, i, "effective_lr"))[0][-1]
        lr = float(record["lr_end"][i][-1])
        off.append(end / (lr / networks.exact(record, i).weight_norm[-1] ** 2))
    axes[0].set(xlabel="effective gradient norm, rms", ylabel="training loss", title="* = first epoch")
    axes[1].set(xlabel="epoch", ylabel="effective LR [per step]", yscale="log", title="ordinary training")
    axes[1].legend(fontsize=7)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=7)
    style.kinds(axes[0], (style.MEASURED, style.EXACT), loc="lower right", fontsize=7) if not sphere else None
    seen = (f"{networks.caption(record)}. Ordinary training crosses the lines of fixed rates as its effective learning rate "
            f"changes; that rate is {min(off):.3f} to {max(off):.3f} of the value that its measured gradients predict at the end "
            "(solid line).") if off else networks.caption(record)  # fmt: skip
    return Drawn(figure, seen)
