"""A drop of the learning rate: the angle per step falls too far and recovers slowly; rescaling spares the wait.

At the drop the angle falls with lr, while its new equilibrium is lower by the root only. Dividing the weights by the fourth
root of the drop puts them at the new equilibrium at once.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records

SOURCE = "Wan et al. 2021, LR drops and rescaling; theory.md 6.5"
EXPERIMENTS = ("wan-lr-drop",)


def draw(records: Records) -> Drawn:
    """Angle per step over Wan's equilibrium value of the present rate; a panel a momentum."""
    record = records["wan-lr-drop"]
    momenta = np.unique(record["momentum"].values)
    figure, axes = style.panels(len(momenta), width=4.6, height=3.3, sharey=True)
    said, kept = [], []
    for axis, mu in zip(np.ravel(axes), momenta, strict=True):
        for series, rescaled in enumerate((0.0, 1.0)):
            for i in networks.pick(record, momentum=mu, rescaled=rescaled):
                hp, epoch = networks.hyperparameters(record, i), record["epoch"].values
                lr = record["lr_end"].isel(cell=i).values
                wan = np.sqrt(2 * lr * hp.wd / (1 + mu))
                mean, error = networks.mean_and_error(networks.of_cell(record, i, "angle_step"))
                style.measured(
                    axis, epoch, mean / wan, error / wan, i=series, label="rescaled" if rescaled else "as it is"
                )
                drop, at = float(record["drop"][i]), int(record["drop_epoch"][i])
                after = np.arange(epoch.size - at) + 0.5
                u, steps = hp.intrinsic_lr / drop, float(record["steps_per_epoch"][i][-1])
                style.exact(axis, epoch, networks.exact(record, i).angle_step / wan, i=series)
                if not rescaled:
                    # theory.md 6.5: constant gradients, from equilibrium
                    law = 1 / np.sqrt(1 + (drop - 1) * np.exp(-4 * u * after * steps / (1 - mu)))
                    axis.plot(epoch[at:], law, ":", color="0.2", lw=1.2, label="constant gradient (6.5)")
                    simulated = networks.sde(record, i, "angle_step")
                    if simulated is not None:
                        style.sde(axis, epoch, simulated / wan, i=0, points=12)
                gradient = networks.mean_and_error(networks.of_cell(record, i, "gradient"))[0]
                kept.append(np.mean(gradient[at : at + 3]) / np.mean(gradient[at - 3 : at]))
                said.append(f"mu={mu:g} {'rescaled' if rescaled else 'as it is'}: {mean[at] / wan[at]:.2f} in the first epoch, "
                            f"{mean[-1] / wan[-1]:.2f} in the last")  # fmt: skip
        style.paper(axis, [1, record.sizes["epoch"]], [1, 1])
        axis.set(xlabel="epoch", yscale="log", title=f"μ = {mu:g}")
    axes[0].set_ylabel("angle per step / Wan's formula")
    style.below(figure, axes[0])
    seen = (f"{networks.caption(record)}. Angle per step after the drop over its new equilibrium value: {'; '.join(said)}. The squared "
            f"gradient itself changes by a factor of {min(kept):.2f} to {max(kept):.2f} at the drop (three epochs after over three before), which the "
            "constant gradient of the formula leaves out: so recovery starts lower, and rescaling by the fourth root of the drop does "
            "not spare all of the wait. With the measured gradients the recursion (solid) follows both.")  # fmt: skip
    return Drawn(figure, seen)
