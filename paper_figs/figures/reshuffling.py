"""Reshuffled and with replacement, with and without augmentation: what a network's angle per epoch owes to sampling.

Yun et al.'s formula holds for noise drawn with replacement. Reshuffled epochs should turn less between their ends, unless
fresh augmentation makes the noise new, and confinement in a basin lowers both.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean
from sde_si import theory

SOURCE = "Yun et al. 2022, figs. 2-7 for each way of sampling; theory.md 1.12, 1.13, 9.2, 18.4"
EXPERIMENTS = ("reshuffling",)


def versine(record, i: int, name: str, some: slice) -> tuple[float, float]:
    """1 - cos and its standard error over seeds."""
    seeds = np.nanmean(2 * np.sin(networks.of_cell(record, i, name)[:, some] / 2) ** 2, axis=1)
    return float(seed_mean(seeds)), float(seed_error(seeds))


def draw(records: Records) -> Drawn:
    """Epoch ends against mid-epochs at equilibrium, over 9.2; and Yun et al.'s schedule in four ways."""
    record = records["reshuffling"]
    figure, axes = style.panels(2, width=4.9, height=3.8)
    cells, labels, said = networks.pick(record, part="equilibrium"), [], []
    found: dict[str, list[float]] = {}
    for k, i in enumerate(cells):
        hp, some = networks.hyperparameters(record, i), networks.late(record, i)
        n = int(record["steps_per_epoch"][i][0])
        free = 1 - theory.lag_cosines(n, hp.intrinsic_lr, hp.momentum)[-1]
        for series, name in enumerate(("angle_epoch", "angle_middle")):
            value, error = versine(record, i, name, some)
            axes[0].errorbar(value / free, k, xerr=error / free, fmt=style.MARKERS[series], color=style.color(series), ms=5,
                             label=("end to end", "middle to middle")[series] if not k else None)  # fmt: skip
        if record["sampling"].values[i] == "reshuffle":
            for series, start in enumerate((0, n // 2)):
                law = theory.reshuffled_versines(n, hp.intrinsic_lr, hp.momentum, n, start=start)[-1] / free
                axes[0].plot(law, k, "|", ms=15, mew=1.6, color=style.color(series),
                             label=("exact, no basin: ends", "exact, no basin: middles")[series] if len(said) == 0 else None)  # fmt: skip
        ends, middles = (versine(record, i, name, some)[0] / free for name in ("angle_epoch", "angle_middle"))
        found.setdefault(str(record["sampling"].values[i]), []).append(ends)
        labels.append(f"μ={hp.momentum:g}, {record['sampling'].values[i]},\naugment: {record['augment'].values[i]}")
        said.append(f"{labels[-1].replace(chr(10), ' ')}: {ends:.2f} and {middles:.2f}")
    axes[0].axvline(1, color="0.4", ls="--", lw=1.0)
    axes[0].set_yticks(range(len(cells)), labels, fontsize=7)
    axes[0].set(
        xlabel="1 - cos per epoch / noise with replacement (9.2)", xlim=(-0.03, 1.2), ylim=(len(cells) - 0.5, -0.6)
    )
    axes[0].legend(fontsize=7, loc="upper right")
    for series, i in enumerate(networks.pick(record, part="schedule")):
        label = f"{record['sampling'].values[i]}, augment: {record['augment'].values[i]}"
        networks.draw_course(
            axes[1], record, i, "angle_epoch", series, label, with_sde=series == 0, with_paper=series == 0
        )
    axes[1].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log", title="Yun et al.'s schedule")
    style.below(figure, axes[1], columns=2)
    spans = "; ".join(f"{how} {min(of):.2f} to {max(of):.2f}" for how, of in found.items())
    seen = (
        f"{networks.caption(record)}. 1 - cos per epoch over 9.2, ends and middles: {'; '.join(said)}. In all: {spans}."
    )
    if max(found["replacement"]) < 0.7:
        seen += " Even with replacement the network is far below the law of free noise: the basin holds it, and the order of the samples comes second."
    return Drawn(figure, seen)
