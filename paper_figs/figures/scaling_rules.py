"""Scaling rules on a network: what keeps angle and accuracy when the batch grows, and how far noise dominates.

Linear scaling keeps the tuning factor, and so do a growing weight decay or both by the root; lr by the root and no
change do not. Li et al.: it fails where noise is no stronger than signal. Smith et al.: a growing batch does what a
falling learning rate does.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import final_accuracy
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import listed, seed_error, seed_mean

SOURCE = "Goyal et al. 2017, Smith et al. 2018, Li et al. 2021, Yun et al. 2022 sec. 4; theory.md 4.5, 7.2, 7.6, 8.9"
EXPERIMENTS = ("scaling-rules",)
RULES = {"lr": "lr × k", "wd": "wd × k", "both": "both × √k", "root lr": "lr × √k", "nothing": "nothing"}
NAMES = ("angle_epoch", "angle_epoch_predicted", "weight_norm", "noise_trace", "signal", "SDE")
ANGLE, RATIO, GAINED = "angle per epoch, first phase [deg]", "noise / signal, τ/G", "accuracy - that at k = 1 [points]"


def draw(records: Records) -> Drawn:
    """Angle, accuracy and noise over signal against the growth k of the batch; lr decay against batch growth."""
    record = records["scaling-rules"]
    start, place = networks.pick(record, rule="start"), record["times"].values.astype(float)
    cells = [start + sorted(networks.pick(record, rule=rule), key=lambda i: place[i]) for rule in RULES]
    found, times = _first_phase(record, cells), place[cells[0]]
    figure, axes = style.panels(2, 2, width=4.7, height=3.1)
    for series, label in enumerate(RULES.values()):
        apart = times * 2 ** (0.13 * (series - 2))  # side by side: bars would hide each other
        for axis, name, scale in zip(axes, (ANGLE, GAINED, RATIO), ("linear", "linear", "log"), strict=False):
            seeds = found[name][series]
            style.measured(axis, apart, seed_mean(seeds), seed_error(seeds), i=series, label=label, band=False, ms=4.6)
            axis.set(xscale="log", xlabel="k: batch size over its first value", ylabel=name, yscale=scale)
            axis.set_xticks(times, [f"{k:g}" for k in times])
            axis.minorticks_off()
        style.exact(axes[0], times, seed_mean(found["exact"][series]), i=series)
        style.paper(axes[0], times, seed_mean(found["paper"][series]), i=series)
        style.sde(axes[0], apart, seed_mean(found["SDE"][series]), i=series)
    for level, axis in enumerate(axes[1:3]):
        axis.axhline(level, color="0.4", lw=0.8)
    axes[2].plot(times, seed_mean(found[RATIO])[0, 0] / times, ":", color="0.35", lw=1.2, label="(τ/G at k = 1) / k")
    growth = [networks.pick(record, rule=rule)[0] for rule in ("lr decay", "batch growth")]
    for series, i in enumerate(growth):
        networks.draw_course(axes[3], record, i, "angle_epoch", 5 * series, str(record["rule"].values[i]))
    axes[3].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log")
    axes[3].legend(fontsize=7)
    style.below(figure, axes[2], columns=6)
    ends = [[networks.of_cell(record, i, name)[:, -10:].mean(axis=1) for i in growth] for name in NAMES[:2]]
    said = listed(np.diff(final_accuracy(record)[growth], axis=0), 1), listed(np.array([b / a for a, b in ends]), 2)
    seen = (
        f"{networks.caption(record)}. {_rules(found, times, float(record['B'][start[0]]))} Batch growth less lr decay: "
        f"accuracy {said[0]} points, angle in the last ten epochs × {said[1]} (measured, exact; paper 1): larger batches, fewer steps."
    )
    return Drawn(figure, seen)


def _first_phase(record, cells: list[list[int]]) -> dict[str, np.ndarray]:
    """After the transient of the first learning rate, (rule, k, seed), and what the final accuracy gained."""

    def late(i: int, name: str) -> np.ndarray:
        course = networks.sde(record, i, "angle_epoch") if name == "SDE" else None
        values = networks.of_cell(record, i, name) if course is None else course[None]
        return values[:, networks.late(record, i)].mean(axis=1)

    angle, exact, norm, noise, signal, sde = (
        np.array([[late(i, name) for i in row] for row in cells]) for name in NAMES
    )
    paper, accuracy = record["angle_epoch_paper"].values[cells][:, :, :1], final_accuracy(record)[cells]
    turned = {ANGLE: angle, "exact": exact, "SDE": sde, "paper": paper}
    rest = {"norm": norm, RATIO: noise / signal, GAINED: accuracy - accuracy[:, :1]}  # one subset and one start a seed
    return {name: style.DEGREES * values for name, values in turned.items()} | rest


def _rules(found, times, batch: float) -> str:
    """Whether tuning factor or noise decide on the largest batch, and the norm of linear scaling beside 4.5."""
    angle, exact, sde, paper = (found[name][:, -1] / found[name][:, 0] for name in (ANGLE, "exact", "SDE", "paper"))
    gained, ratio, k, keeps = found[GAINED], found[RATIO], times[-1], np.isin(list(RULES), ("lr", "wd", "both"))
    lost, mean = seed_mean(gained[:, -1]) < -2 * seed_error(gained[:, -1]), seed_mean(ratio[:, -1])
    fails = mean[lost].max(initial=-np.inf) > mean[~lost].min(initial=np.inf)
    told = "No rule loses more than two s.e"
    if lost.any():
        told = f"A small τ/G {'does not single' if fails else 'singles'} out the rules that lose more than two s.e"
    above = gained[keeps, 1:].mean(axis=0) - gained[~keeps, 1:].mean(axis=0)
    norm, first = (found["norm"][:1, -1] / found["norm"][:1, 0]) ** 4, ratio[:1, 0]
    return (
        f"k = {k:g} against 1, seed by seed, of {', '.join(RULES.values())}: angle × {listed(angle, 2)} (exact "
        f"{listed(exact, 2)}; SDE {listed(sde, 2)}; paper {listed(paper, 2)}); accuracy {listed(gained[:, -1], 1)} "
        f"points; τ/G {listed(ratio[:, -1], 2)}. {told}. Rules that keep the tuning factor are above the others by "
        f"{listed(above, 2)} points at k = {', '.join(f'{one:g}' for one in times[1:])}; of them lr × k less wd × k is "
        f"{listed(gained[:1, -1] - gained[1:2, -1], 1)} at the last. The noise scale Bτ/G of lr × k is "
        f"{listed(batch * times[:, None] * ratio[0], 0)} at B = {', '.join(f'{batch * one:g}' for one in times)}. By "
        f"theory 4.5, without momentum, |x|^4 of lr × k doubles at k = 2 + τ/G = {listed(2 + first, 1)}; at {k:g} it is × "
        f"{listed((first + k) / (first + 1), 2)}, and × {listed(norm, 2)} was measured. The SDE has neither accuracy "
        "nor G. With fewer steps an epoch the velocity's memory, not in the paper's eq. 27, takes more of the angle. "
        f"At k = 1 it is {listed(found[ANGLE][:1, 0] / found['exact'][:1, 0], 2)} of the exact one: the basin (18.2)."
    )
