"""SGD, SVAG and the SDE on a residual network: norm, angle and loss.

Li, Malladi and Arora: SVAG's curves approach those of the SDE as l grows, and SGD is among them where noise dominates.
"""

import numpy as np

from paper_figs import networks, style
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import listed, seed_error, seed_mean

SOURCE = "Li, Malladi, Arora 2021, sec. 4; theory.md 4.1-4.4"
EXPERIMENTS = ("svag-resnet",)
NORM, ANGLE, LOSS = QUANTITIES = ("weight_norm", "angle_epoch", "train_loss")


def draw(records: Records) -> Drawn:
    """Courses of norm, angle and loss for l = 1, 2, 4, 8, with the SDE of the noise alone; the norm against 1/l."""
    record = records["svag-resnet"]
    figure, axes = style.panels(2, 2, width=4.6, height=2.9)
    parts, half = record["svag"].values.astype(float), slice(record.sizes["epoch"] // 2, None)
    for axis, quantity in zip(axes, QUANTITIES, strict=False):
        _courses(axis, record, quantity)
    late = {name: np.array([networks.of_cell(record, i, name)[:, half].mean(axis=1) for i in range(parts.size)])
            for name in map(str, record) if {"seed", "epoch"} <= set(record[name].dims)}  # fmt: skip
    hp, tau = networks.hyperparameters(record, 0), late["noise_trace"]
    squares = np.vstack([tau + late["signal"] / parts[:, None], tau[-1:]])  # the last row is l = infinity
    law, place = (hp.lr * squares / (2 * hp.wd)) ** 0.25, np.append(1 / parts, 0)
    style.exact(axes[3], place, seed_mean(law), color="0.25")
    for i, norm in enumerate(late[NORM]):
        style.measured(axes[3], place[[i]], [seed_mean(norm)], [seed_error(norm)], i=i, ms=5.5)
    simulated = networks.sde(record, parts.size - 1, NORM)
    end = np.nan if simulated is None else float(simulated[half].mean())
    style.sde(axes[3], [0], [end], color="0.25", ms=6)
    axes[3].set(xlabel="l, spaced by 1/l", ylabel="weight norm", title="second half; line: (lr (τ + G/l)/(2 wd))^(1/4)")
    axes[3].set_xticks(place, [*(f"{count:g}" for count in parts), "∞"])
    style.below(figure, axes[0], columns=5)
    return Drawn(figure, f"{networks.caption(record)}; second half. {_seen(parts, late, law, end)}")


def _courses(axis, record, quantity: str) -> None:
    """Of every l; the loss beside that of SGD, for seeds differ more than l does."""
    epoch, unit = record["epoch"].values, networks.SHOWN[quantity][1]
    base = networks.of_cell(record, 0, LOSS) if quantity == LOSS else 0.0
    axis.set(xlabel="epoch", ylabel=networks.SHOWN[quantity][0])
    for i, count in enumerate(record["svag"].values):
        mean, error = networks.mean_and_error(networks.of_cell(record, i, quantity) - base)
        label = "SGD (l = 1)" if count == 1 else f"SVAG, l = {count:g}"
        style.measured(axis, epoch, unit * mean, unit * error, i=i, label=label)
        if quantity != LOSS:
            known = slice(int(count > 1), None)  # why not SVAG's first epoch is said below the figure
            style.exact(axis, epoch[known], unit * getattr(networks.exact(record, i), quantity)[known], i=i)
    if quantity == LOSS:  # the first epochs differ most and say least
        scale = 3 * np.abs((networks.of_cell(record, -1, LOSS) - base).mean(axis=0)[epoch.size // 2 :]).max()
        axis.set(ylabel="training loss - that of SGD", ylim=(-scale, scale / 2))
    elif (simulated := networks.sde(record, record.sizes["cell"] - 1, quantity)) is not None:
        style.sde(axis, epoch, unit * simulated, color="0.25", points=20, label="SDE (l = ∞)")
    if quantity == ANGLE:
        style.paper(axis, epoch, unit * record["angle_epoch_paper"].isel(cell=0).values)


def _seen(parts, late, law, end: float) -> str:
    """How norm, angle and loss go with l, where the limit is, and what the laws leave out."""
    norm, tau, signal, free = (late[name] for name in (NORM, "noise_trace", "signal", "angle_epoch_predicted"))
    away = parts[:, None] * (norm - law[-1])  # times l: all alike if the distance falls like 1/l
    fall, error = float(seed_mean(away[0] - away[-1])), float(seed_error(away[0] - away[-1]))
    how = "faster than" if fall > 2 * error else "more slowly than" if fall < -2 * error else "within two errors like"
    share, moves = (1 - 1 / parts[1:]) / (1 - 1 / parts[-1]), []
    for name, unit, digits in ((ANGLE, style.DEGREES, 2), (LOSS, 1.0, 4)):
        moved = unit * (late[name][1:] - late[name][0])
        rest = (moved - share[:, None] * moved[-1])[:-1]
        like = "not like 1/l" if (np.abs(seed_mean(rest)) > 2 * seed_error(rest)).any() else "like 1/l in two errors"
        text = f"{listed(unit * late[name][:1], 2)} by {listed(moved, digits)} ({like})"
        moves.append(f"{networks.SHOWN[name][0]} {text}")
    turned, steps = (1 - np.cos(late[ANGLE])) / (1 - np.cos(free)), late["angle_step"] / late["angle_step_predicted"]
    held = ": steps undo each other, for the basin pulls back (theory 18.2); neither exact course nor SDE has one"
    own, near = listed((1 + signal[:1] / tau[:1]) ** 0.25, 3), norm[[0, -1]] / law[-1]
    far = "As in the paper SVAG comes to the limit; SGD is not close, for noise does not dominate"
    paper = far if seed_mean(near)[0] > 1.05 > seed_mean(near)[1] else "SGD is as close as SVAG: noise dominates"
    return (
        f"The norm at l = {', '.join(f'{count:g}' for count in parts)} is {listed(norm, 2)}, over theory 4.3 with each "
        f"l's own τ and G {listed(norm / law[:-1], 3)}. The limit by 4.3 (τ of the largest l, no G) is "
        f"{listed(law[-1:], 2)}, the SDE's {end:.2f}. l times the distance to it is {listed(away, 2)}: it falls {how} "
        f"1/l (τ goes from {' to '.join(listed(tau[[k]], 2) for k in (0, -1))}, G from "
        f"{' to '.join(listed(signal[[k]], 2) for k in (0, -1))}). Against SGD, seed by seed, other l change "
        f"{'; '.join(moves)}; why the loss changes is not known from this record. Uncorrelated steps of SGD would turn "
        f"{listed(style.DEGREES * free[:1], 2)} deg an epoch: 1 - cos is {listed(turned[:1], 3)} of theirs, the angle "
        f"per step {listed(steps[:1], 3)} (largest l, over its substeps: {listed(turned[-1:], 3)}, "
        f"{listed(steps[-1:], 3)}){held if seed_mean(turned).max() < 0.7 else ''}. The SDE is noise "
        "alone, that of late epochs: it has no loss. Of SVAG's first epoch only moments at its end are known, so no "
        f"exact course. SGD and the largest l have {listed(near, 3)} of the limit; (1 + G/τ)^(1/4) of SGD is {own}. "
        f"{paper} (τ/G {listed(tau[:1] / signal[:1], 1)})."
    )
