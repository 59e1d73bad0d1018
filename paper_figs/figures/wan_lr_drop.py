"""A drop of the learning rate: how far the angle per step falls, how long it recovers, what rescaling spares.

Wan et al.: at the drop the angle falls with lr, while its new equilibrium is lower by the root only. Dividing the
weights by the fourth root of the drop puts them at the new equilibrium at once. Both suppose that the squared gradient
at the unit vector stays as it is.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.grid import Table
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import of_seeds
from sde_si import theory

SOURCE = "Wan et al. 2021, LR drops and rescaling; theory.md 6.5, 9.10"
EXPERIMENTS = ("wan-lr-drop",)
Array = np.ndarray
NEAR, FOLLOWS = 0.05, 0.03  # recovered; |measured/recursion - 1| of a recursion that follows
QUANTITIES = ("angle_step", "angle_epoch", "weight_norm")
NAMES = ("as it is", "rescaled")
TITLE = "After the drop: angle per step over its new equilibrium, ± s.e.; over the recursion in the worst epoch"
COLUMNS = ("first epoch", "least", f"epochs to {1 - NEAR:g}", "last epoch", "measured/recursion", "gradient kept")


def wait(ratio: Array) -> Array:
    """Epochs until the mean of three is within `NEAR` of 1, from its minimum on; shape (seed,), not a number: never."""
    smooth = (ratio[:, :-2] + ratio[:, 1:-1] + ratio[:, 2:]) / 3
    there = (smooth >= 1 - NEAR) & (np.arange(smooth.shape[1]) >= smooth.argmin(axis=1)[:, None])
    return np.where(there.any(axis=1), there.argmax(axis=1) + 2.0, np.nan)


def draw(records: Records) -> Drawn:
    """Angle per step over Wan's value, a panel a momentum; with the largest momentum what the recursion leaves out."""
    record = records["wan-lr-drop"]
    momenta, at = np.unique(record["momentum"].values).tolist(), int(record["drop_epoch"][0])
    (figure, axes), epoch = style.panels(len(momenta) + 1, width=3.9, height=3.3), record["epoch"].values
    rows, follows, waits, carried, turned, short, laws, kept = {}, {True: [], False: []}, {}, {}, {}, {}, [], []
    for k, series in np.ndindex(len(momenta), len(NAMES)):
        axis, mu, name = axes[k], momenta[k], NAMES[series]
        (i,) = networks.pick(record, momentum=mu, rescaled=float(series))
        hp, drop = networks.hyperparameters(record, i), float(record["drop"][i])
        wan = np.sqrt(2 * record["lr_end"].values[i] * hp.wd / (1 + mu))
        ratio, gradient = networks.of_cell(record, i, "angle_step") / wan, networks.of_cell(record, i, "gradient")
        angle, turned[mu, series], norm = (
            networks.of_cell(record, i, q) / networks.of_cell(record, i, f"{q}_predicted") for q in QUANTITIES
        )
        # 9.10: |v|^2 = lr^2 |g~|^2 (1 + c)/((1 - mu^2) |w|^2), of which the recursion has c = 0 and its own |w|
        carried[mu, series], short[mu] = angle**2 * norm**4 - 1, norm[:, at - 1]
        style.measured(axis, epoch, *networks.mean_and_error(ratio), i=series, label=name)
        style.exact(axis, epoch, networks.exact(record, i).angle_step / wan, i=series)
        if not series:
            u, steps = hp.intrinsic_lr / drop / (1 - mu), float(record["steps_per_epoch"][i][-1])
            law = theory.lr_drop_angle((np.arange(epoch.size - at) + 0.5) * steps, u, drop) / np.sqrt(2 * u)
            axis.plot(epoch[at:], law, ":", color="0.2", lw=1.2, label="constant gradient (6.5)")
            laws.append(theory.lr_drop_steps(u, drop, NEAR) / steps)
            simulated = networks.sde(record, i, "angle_step")
            if simulated is not None:
                style.sde(axis, epoch, simulated / wan, i=0, points=12)
            style.paper(axis, [1, epoch.size], [1, 1])
            axis.set(xlabel="epoch", yscale="log", title=f"μ = {mu:g}", ylim=(0.15, 2))
        waits[mu, series] = wait(ratio[:, at:])
        off = angle[:, at + int(np.argmax(np.abs(angle[:, at:].mean(axis=0) - 1)))]
        follows[bool(abs(off.mean() - 1) <= FOLLOWS)].append(f"μ={mu:g} {name}")
        share = gradient[:, at : at + 3].mean(axis=1) / gradient[:, at - 3 : at].mean(axis=1)
        kept.append(f"{share.mean():.2f}")
        shown = (ratio[:, at], ratio[:, at:].min(axis=1), waits[mu, series], ratio[:, -1], off, share)
        rows[f"μ={mu:g} {name}"] = tuple(of_seeds(x, 1 if j == 2 else 3) for j, x in enumerate(shown))
    mu, last = momenta[-1], axes[-1]
    for series in range(len(NAMES)):
        course = networks.mean_and_error(carried[mu, series][:, 5:])
        style.measured(last, epoch[5:], *course, i=series, points=epoch.size)
    style.exact(last, epoch[[5, -1]], [0, 0], color="0.3")
    last.set(xlabel="epoch", ylabel=r"$2\,\Sigma_k\,\mu^k\rho_k$ of the gradients", title=f"left out, μ = {mu:g}")
    axes[0].set_ylabel("angle per step / Wan's formula")
    style.below(figure, axes[0])
    parts = slice(at - 3, at), slice(at, at + 1), slice(-3, None)
    c = [carried[mu, 0][:, part].mean(axis=1) for part in parts]
    c = [f"{of_seeds(x)} {'(they pull back)' if x.mean() < 0 else '(they point the same way)'}" for x in c]
    spared = ", ".join(
        f"{of_seeds(waits[m, 0] - waits[m, 1], 1)} of {of_seeds(waits[m, 0], 1)} (μ={m:g})" for m in momenta
    )
    good, bad = (", ".join(follows[key]) or "none" for key in (True, False))
    turns = [f"{' to '.join(of_seeds(turned[m, 0][:, p].mean(axis=1)) for p in parts[:2])} (μ={m:g})" for m in momenta]
    seen = f"""{networks.caption(record)}. Of the epochs until the angle per step is within {NEAR:.0%} of its new
    equilibrium, rescaling spares {spared}. The recursion with the measured gradients stays within {FOLLOWS:.0%} of the
    measurement for: {good}; not for: {bad}. It has the optimizer's form of momentum (9.10, P), and lr changes between
    two epochs, so that no mean mixes two rates. Beside changes within an epoch it leaves out only <velocity, gradient>,
    and nothing at μ=0: there it is an identity (1.1), no test. The right panel has that, from angle, norm and gradient,
    in units of the squared gradient; ρ_k is the correlation of gradients k steps apart. As it is: {c[0]} before the
    drop, which leaves the angle, but makes the norm {of_seeds(short[mu])} of the recursion's, and so the angle after the
    drop {of_seeds(short[mu] ** -2)} times as large; {c[1]} in the first epoch after it; {c[2]} at last. The angle per epoch
    over that of uncorrelated steps goes at the drop from {", ".join(turns)}. With the paper's constant gradient the
    wait is {max(laws):.1f} epochs, and none after rescaling; here the squared gradient goes to {min(kept)} to
    {max(kept)} of what it was (means of three epochs)."""
    table = Table(title=TITLE, corner="", rows=tuple(rows), columns=COLUMNS, cells=tuple(rows.values()))
    return Drawn(figure, " ".join(seen.split()), (table,))
