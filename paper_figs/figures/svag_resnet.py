"""SGD, SVAG and the SDE on a residual network: norm, angle and loss.

Li, Malladi and Arora: SVAG's curves approach those of the SDE as l grows, and SGD is among them where noise dominates.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

SOURCE = "Li, Malladi, Arora 2021, sec. 4; theory.md 4.1-4.4"
EXPERIMENTS = ("svag-resnet",)


def draw(records: Records) -> Drawn:
    """Courses for l = 1, 2, 4, 8, with the exact course and the SDE of SGD's own gradients; |x|^4 over theory."""
    record = records["svag-resnet"]
    figure, axes = style.panels(2, 2, width=4.6, height=2.9)
    order = sorted(range(record.sizes["cell"]), key=lambda i: float(record["svag"][i]))
    ratios, errors, share = [], [], []
    for series, i in enumerate(order):
        count = float(record["svag"][i])
        for axis, quantity in zip(axes, ("weight_norm", "angle_epoch", "train_loss"), strict=False):
            unit, epoch = networks.SHOWN[quantity][1], record["epoch"].values
            mean, error = networks.mean_and_error(networks.of_cell(record, i, quantity))
            style.measured(
                axis, epoch, unit * mean, unit * error, i=series, label="SGD" if count == 1 else f"SVAG, l = {count:g}"
            )
            if quantity != "train_loss":
                style.exact(axis, epoch, unit * getattr(networks.exact(record, i), quantity), i=series)
            if count == 1 and quantity != "train_loss":
                simulated = networks.sde(record, i, quantity)
                if simulated is not None:
                    style.sde(axis, epoch, unit * simulated, i=5, points=14)
            if count == 1 and quantity == "angle_epoch":
                style.paper(axis, epoch, unit * record["angle_epoch_paper"].isel(cell=i).values, i=series)
        hp, half = networks.hyperparameters(record, i), slice(record.sizes["epoch"] // 2, None)
        tau, signal, norm = (  # of each seed
            networks.of_cell(record, i, name)[:, half].mean(axis=1) for name in ("noise_trace", "signal", "weight_norm")
        )
        ratio = norm**4 / (hp.lr * (tau + signal / count) / (2 * hp.wd))
        ratios.append(seed_mean(ratio))
        errors.append(seed_error(ratio))
        share.append(signal.mean() / tau.mean())
    axes[3].errorbar(
        [float(record["svag"][i]) for i in order], ratios, np.nan_to_num(errors), fmt="o", color=style.color(0)
    )
    style.exact(axes[3], [1, 8], [1, 1])
    axes[3].set(xscale="log", xlabel="l", ylabel="|x|⁴ / (lr (τ + G/l) / 2 wd)", title="second half of the run")
    axes[3].set_xticks([1, 2, 4, 8], ["1", "2", "4", "8"])
    axes[3].minorticks_off()
    for axis, quantity in zip(axes, ("weight_norm", "angle_epoch", "train_loss"), strict=False):
        axis.set(xlabel="epoch", ylabel=networks.SHOWN[quantity][0])
    style.below(figure, axes[0])
    seen = (f"{networks.caption(record)}. Over the second half |x|^4 is {min(ratios):.2f} to {max(ratios):.2f} of lr (tau + G/l)/(2 wd) with the "
            f"measured G and tau, of which G/tau is {min(share):.2f} to {max(share):.2f}.")  # fmt: skip
    return Drawn(figure, seen)
