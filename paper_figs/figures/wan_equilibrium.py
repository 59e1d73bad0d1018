"""Every layer reaches its predicted norm and turns by the same angle per step.

Wan et al.: at equilibrium each scale-invariant weight turns by sqrt(2 lr wd/(1+mu)) a step, whatever its gradients are,
and its norm follows from its own gradient.
"""

from typing import Any

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import of_seeds, seed_error, seed_mean
from paper_figs.spread import transient_end

SOURCE = "Wan et al. 2021, theorems on norm and angular update; theory.md 1.3, 4.3, 6.3, 9.2, 15.1"
EXPERIMENTS = ("wan-equilibrium",)
Array = np.ndarray
EXPLAINED, WHOLE = 0.002, 0.02  # what the drift may leave of the angle's ratio; how far a norm's power may be off


def ratios(record: Any, i: int, layer: str) -> Array:
    """Norm and angle per step over Wan's after the transient, then the same as a drifting norm has them: (4, seed).

    |x'|^2 - |x|^2 = 2 <x', v'> - |v'|^2 and <x', v'> = mu <x, v> - u |x|^2 + |v'|^2 are identities: if <x, v>/|x|^2 is
    the same at both ends, |v|^2/|x|^2 is on average 2u/(1 + mu) (1 + (1 - mu)/u times the change of ln|x| per step).
    |x|^4 has the mean of Wan's less its change per 4u/(1 - mu), if gradients are uncorrelated (9.4).
    """
    hp = networks.hyperparameters(record, i)
    first, u, mu = min(int(transient_end(hp.tuning_factor)), record.sizes["epoch"] - 2), hp.intrinsic_lr, hp.momentum
    angle, norm, gradient = (networks.of_cell(record, i, q, layer) for q in ("angle_step", "weight_norm", "gradient"))
    wan = hp.lr * gradient[:, first:].mean(axis=1) / (hp.wd * (1 - mu) * (2 - u / (1 + mu)))
    turned = np.sqrt((angle[:, first:] ** 2).mean(axis=1) * (1 + mu) / (2 * u))
    ends, memory = norm[:, [first - 1, -1]], (norm.shape[1] - first) * hp.tuning_factor
    late = 1 - np.diff(ends**4)[:, 0] / (4 * memory) / wan
    level = np.mean(norm[:, first:] ** 4, axis=1) / wan
    return np.array([level**0.25, turned, late**0.25, np.sqrt(1 + np.diff(np.log(ends))[:, 0] / memory)])


def draw(records: Records) -> Drawn:
    """Courses of the whole network and layers at the end over Wan's formula, a column a momentum."""
    record = records["wan-equilibrium"]
    layers = [g for g in record["group"].values.tolist() if g != "all"]
    momenta = np.unique(record["momentum"].values).tolist()
    figure, axes = style.panels(len(momenta), 4, width=4.6, height=2.4)
    axes, found, noise, fall = axes.reshape(4, len(momenta)), {}, [], []
    for column, mu in enumerate(momenta):
        cells = networks.pick(record, momentum=mu)
        lr, wd = record["lr"].values[cells].max(), record["wd"].values[cells].min()
        for series, i in enumerate(cells):
            again = ", reshuffled" if record["sampling"].values[i] == "reshuffle" else ""
            label = f"lr × {record['lr'].values[i] / lr:g}, wd × {record['wd'].values[i] / wd:.2g}" + again
            for axis, quantity in zip(axes[:2, column], ("weight_norm", "angle_step"), strict=True):
                # noise alone knows no order of samples
                networks.draw_course(axis, record, i, quantity, series, label, with_sde=not again)
            gradient, trace = (networks.of_cell(record, i, q) for q in ("gradient", "noise_trace"))
            gradient, trace = gradient[:, networks.late(record, i)], trace[:, networks.late(record, i)]
            quarter = max(1, gradient.shape[1] // 4)
            fall.append(gradient[:, -quarter:].mean() / gradient[:, :quarter].mean())
            noise.append((trace.mean() / gradient.mean()) ** 0.25)
            values = np.array([ratios(record, i, layer) for layer in layers])  # layer, quantity, seed
            found[mu, series] = values
            x = np.arange(1, len(layers) + 1) + 0.16 * (series - (len(cells) - 1) / 2)
            for k, axis in enumerate(axes[2:, column]):
                style.measured(axis, x, seed_mean(values[:, k]), seed_error(values[:, k]), i=series, band=False)
                axis.hlines(seed_mean(values[:, k + 2]), x - 0.09, x + 0.09, color=style.color(series), lw=1.1)
        for axis, name in zip(axes[:2, column], ("weight norm, all layers", "rms angle per step [deg]"), strict=True):
            axis.set(xlabel="epoch", ylabel=name, yscale="log")
        axes[0, column].set_title(f"μ = {mu:g}, lr = {lr:g}, wd = {wd:g}")
        axes[2, column].set_title("short lines: with the norm's drift", fontsize="medium")
        for axis, name in zip(axes[2:, column], ("norm", "angle per step"), strict=True):
            style.paper(axis, [0.5, len(layers) + 0.5], [1, 1])
            axis.set(xlabel="layer, from the input on", ylabel=f"{name} / formula", xticks=range(1, len(layers) + 1))
    style.below(figure, axes[0, 0])
    every = np.concatenate(list(found.values()))
    angle, error = seed_mean(every[:, 1]), seed_error(every[:, 1])
    left = max(every[:, 1] - every[:, 3], key=lambda x: abs(x.mean()))
    drifts = abs(left.mean()) <= EXPLAINED
    split, good = [], []
    for mu in momenta:
        mine = np.array([values for (m, _), values in found.items() if m == mu])  # cell, layer, quantity, seed
        norm, rest = seed_mean(mine[:, :, 0]), (mine[:, :, 0] / mine[:, :, 2]) ** 4 - 1
        ends = " and ".join(of_seeds(rest[:, k].mean(axis=0), 3) for k in (0, -1))
        split.append(f"μ={mu:g}: {norm.min():.3f} to {norm.max():.3f} ± {seed_error(mine[:, :, 0]).max():.3f}, {ends}")
        good += [f"μ={mu:g}"] if abs(rest.mean()) <= WHOLE else []
    seen = f"""{networks.caption(record)}. After the transient the rms angle per step of a layer is {angle.min():.3f} to
    {angle.max():.3f} of sqrt(2u/(1+μ)), ± {error.max():.3f} at most, below 1 in {(angle < 1).sum()} of {angle.size}
    cases. {"The reason is" if drifts else "Only a part of it is"} that no norm is stationary yet: by identities the
    ratio is sqrt(1 + change of ln norm per epoch/tuning factor) (short lines), and the furthest measured one is
    {of_seeds(left, 4)} from it. Norms follow the squared gradient, which goes to {min(fall):.2f} to {max(fall):.2f} of
    itself from the first to the last quarter of these epochs. Norm over Wan's; its fourth power over that of a norm
    drifting so with uncorrelated gradients, less 1, in the first and in the last layer: {"; ".join(split)}. That rest
    is 2 Σ μ^k ρ_k with ρ_k the correlation of gradients k steps apart, negative where they pull back; without momentum
    it is not there, and the angle does not feel it. The SDE knows no signal: its norm is {min(noise):.2f} to
    {max(noise):.2f} of the formula (4.3). Wan et al. take gradients as constant in size and uncorrelated: their angle
    holds {"but for the drift" if drifts else "roughly"}, their norm for: {", ".join(good) or "none"}."""
    return Drawn(figure, " ".join(seen.split()))
