"""Every layer reaches its predicted norm and turns by the same angle per step.

Wan et al.: at equilibrium each scale-invariant weight turns by sqrt(2 lr wd/(1+mu)) a step, whatever its gradients are, and
its norm follows from its own gradient.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error
from paper_figs.spread import transient_end

SOURCE = "Wan et al. 2021, theorems on norm and angular update; theory.md 6.3, 9.2, 15.1"
EXPERIMENTS = ("wan-equilibrium",)


def draw(records: Records) -> Drawn:
    """Courses of the whole network; then layer by layer at the end, measured over Wan's formula."""
    record = records["wan-equilibrium"]
    layers = [g for g in record["group"].values.tolist() if g != "all"]
    figure, axes = style.panels(2, 2, width=4.6, height=3.0)
    angles, norms = [], []
    for series, i in enumerate(range(record.sizes["cell"])):
        hp = networks.hyperparameters(record, i)
        label = f"μ={hp.momentum:g}, lr={hp.lr:g}, wd={hp.wd:.2g}" + (
            ", reshuffled" if record["sampling"].values[i] == "reshuffle" else ""
        )
        for axis, quantity in zip(axes[:2], ("weight_norm", "angle_step"), strict=True):
            networks.draw_course(axis, record, i, quantity, series, label, with_paper=quantity == "angle_step")
        first = min(int(transient_end(hp.tuning_factor)), record.sizes["epoch"] - 1)
        u, mu = hp.intrinsic_lr, hp.momentum
        for axis, quantity, store in ((axes[2], "weight_norm", norms), (axes[3], "angle_step", angles)):
            found = []
            for layer in layers:
                mean = networks.of_cell(record, i, quantity, layer)[:, first:]
                heat = np.nanmean(networks.of_cell(record, i, "gradient", layer)[:, first:])
                wan = (
                    np.sqrt(2 * u / (1 + mu))
                    if quantity == "angle_step"
                    else (hp.lr * heat / (hp.wd * (1 - mu) * (2 - u / (1 + mu)))) ** 0.25
                )
                found.append([np.nanmean(mean) / wan, seed_error(mean.mean(axis=1)) / wan])
            ratio = np.array(found)
            style.measured(axis, np.arange(1, len(layers) + 1), ratio[:, 0], ratio[:, 1], i=series, band=False)
            store.append(ratio[:, 0])
    for axis in axes[2:]:
        style.paper(axis, [1, len(layers)], [1, 1])
        axis.set(xlabel="layer, from the input on")
        axis.set_xticks(range(1, len(layers) + 1))
    axes[0].set(xlabel="epoch", ylabel="weight norm, all layers", yscale="log")
    axes[1].set(xlabel="epoch", ylabel="rms angle per step [deg]", yscale="log")
    axes[2].set(ylabel="norm / Wan's formula")
    axes[3].set(ylabel="angle per step / Wan's formula")
    style.below(figure, axes[0], columns=3)
    a, n, mu = np.array(angles), np.array(norms), record["momentum"].values
    split = "; ".join(f"mu={m:g}: {np.nanmin(n[mu == m]):.3f} to {np.nanmax(n[mu == m]):.3f}" for m in np.unique(mu))
    seen = (f"{networks.caption(record)}. After the transient the angle per step of a layer is {np.nanmin(a):.3f} to {np.nanmax(a):.3f} of "
            f"sqrt(2u/(1+mu)), its norm, over what its own gradient gives, {split}. With momentum the norm needs steps whose "
            "gradients are uncorrelated; the angle needs only a stationary norm.")  # fmt: skip
    return Drawn(figure, seen)
