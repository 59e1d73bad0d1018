"""Loss curves of a network at equal learning rate and at equal product lr wd.

Li et al.: curves of AdamW overlap early where lr is equal, late where lr wd is equal. One product is one colour here, one
learning rate one marker.
"""

import json

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records

SOURCE = "Li et al. 2025, trajectory invariance; theory.md 7.8"
EXPERIMENTS = ("li-trajectory-invariance",)


def draw(records: Records) -> Drawn:
    """Training loss and angle per step of AdamW and SGDM."""
    record = records["li-trajectory-invariance"]
    methods = list(dict.fromkeys(record["method"].values.tolist()))
    figure, axes = style.panels(2, len(methods), width=4.6, height=3.0)
    products, rates = (np.unique(record[name].values).tolist() for name in ("product", "lr_factor"))
    epoch = record["epoch"].values
    for row, method in enumerate(methods):
        for i in networks.pick(record, method=method):
            product, rate = (float(record[name][i]) for name in ("product", "lr_factor"))
            shade, mark = style.color(products.index(product)), style.MARKERS[rates.index(rate)]
            for axis, quantity, unit in (
                (axes[2 * row], "train_loss", 1.0),
                (axes[2 * row + 1], "angle_step", style.DEGREES),
            ):
                mean = networks.mean_and_error(networks.of_cell(record, i, quantity))[0]
                label = f"lr wd × {product:g}" if rate == 1 or product in (0.0625, 16) else None
                axis.loglog(epoch, unit * mean, "-", color=shade, marker=mark, ms=3.5, markevery=max(1, epoch.size // 8), lw=0.9,
                            mec="white", mew=0.3, label=label if not row else None)  # fmt: skip
            hp = networks.hyperparameters(record, i)
            share = (1 - hp.momentum) / (1 + hp.momentum) if method == "adamw" else 1 / (1 + hp.momentum)
            style.paper(
                axes[2 * row + 1],
                epoch[-epoch.size // 4 :],
                np.full(epoch[-epoch.size // 4 :].size, style.DEGREES * np.sqrt(2 * hp.intrinsic_lr * share)),
                color=shade,
            )
        axes[2 * row].set(xlabel="epoch", ylabel="training loss", title=method)
        axes[2 * row + 1].set(xlabel="epoch", ylabel="rms angle per step [deg]", title=f"{method}; dashed: equilibrium")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, title="markers: lr × " + ", ".join(f"{r:g}" for r in rates) + " = "
                  + ", ".join(style.MARKERS[k] for k in range(len(rates))), title_fontsize="small")  # fmt: skip
    found = json.loads(record.attrs["collapse"])
    said = "; ".join(f"{method}, {window}: {of['lr_factor']:.2f} at equal lr, {of['product']:.2f} at equal lr wd"
                     for method, windows in found.items() for window, of in windows.items())  # fmt: skip
    return Drawn(
        figure,
        f"{networks.caption(record)}. Spread of the logarithm of the loss within groups over that of all (0: one curve, 1: no collapse): {said}.",
    )
