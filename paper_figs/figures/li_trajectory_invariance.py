"""Loss curves of a network at equal learning rate and at equal product lr wd.

Li et al.: curves of AdamW overlap early where lr is equal, late where lr wd is equal. By theory the change comes after
the memory of the norm: 1/(2 lr wd) steps of AdamW, (1-mu)/(4 lr wd) of SGDM.
"""

from typing import Any

import numpy as np

from paper_figs import networks, style
from paper_figs.grid import Table
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import of_seeds
from validation.experiments.catalogue.li_trajectory_invariance import changes, scores, since

SOURCE = "Li et al. 2025, trajectory invariance; theory.md 7.8, 9.10"
EXPERIMENTS = ("li-trajectory-invariance",)
GROUPS = {"lr_factor": "equal lr", "product": "equal lr wd"}
TITLE = "Epoch from which the curve at (lr, wd) stays nearer to that at (4 lr, wd/4) than to that at (lr, wd/4), ± s.e."
SHOWN = {"angle_step_predicted": "angle, recursion", "angle_step": "angle", "train_loss": "loss"}
PANELS = ("training loss / mean of all", "rms angle per step [deg]", "spread within / spread of all")


def course(axis: Any, values: np.ndarray, k: int, shade: str, joined: bool) -> float:
    """A measured curve (seed, epoch) with marker number k; returns where it ends."""
    mean, error = networks.mean_and_error(values)
    epoch, some = np.arange(1, mean.size + 1), style.picks(mean.size, k, 12, log=True)
    axis.fill_between(epoch, mean - error, mean + error, color=shade, alpha=0.25, lw=0)
    axis.plot(epoch, mean, "-", color=shade, lw=0.4 * joined)
    axis.plot(epoch[some], mean[some], style.MARKERS[k], color=shade, ms=4, mec="white", mew=0.4)
    return float(mean[-1])


def label(axis: Any, ends: dict[float, float], shades: dict[float, str]) -> None:
    """Products at the right of a panel, each beside its last curve, pushed apart."""
    low = -np.inf
    for product, end in sorted(ends.items(), key=lambda one: one[1]):
        low = max(low + 0.05, axis.transAxes.inverted().transform(axis.transData.transform((1, end)))[1])
        axis.text(1.01, low, f"×{product:g}", transform=axis.transAxes, color=shades[product], fontsize=7, va="center")


def draw(records: Records) -> Drawn:
    """Loss over the mean of all, angle per step, and how well curves of equal lr and of equal lr wd collapse."""
    record = records["li-trajectory-invariance"]
    epoch, last = record["epoch"].values, record.sizes["epoch"]
    methods, products, rates = (np.unique(record[key].values).tolist() for key in ("method", "product", "lr_factor"))
    shades = {product: style.color(k) for k, product in enumerate(products)}
    (figure, axes), told, rows, order, memory = style.panels(3, len(methods), width=3.9, height=3.1), [], {}, [], {}
    for k, rate in enumerate(rates):
        axes[0].plot([], [], style.MARKERS[k], color="0.3", ms=4, label=f"lr × {rate:g}")
    for panels, method in zip(axes.reshape(-1, 3), methods, strict=True):
        cells, ends, name = (
            networks.pick(record, method=method),
            ({}, {}),
            {"adamw": "AdamW"}.get(method, method.upper()),
        )
        losses = np.array([networks.of_cell(record, i, "train_loss") for i in cells])  # cell, seed, epoch
        for i, loss in zip(cells, losses / np.exp(np.log(losses).mean(axis=0)), strict=True):
            product, k = float(record["product"][i]), rates.index(record["lr_factor"][i])
            hp, shade, law = networks.hyperparameters(record, i), shades[product], networks.exact(record, i).angle_step
            steps, share = (0.5, 1 - hp.momentum) if method == "adamw" else ((1 - hp.momentum) / 4, 1.0)
            memory[product] = steps / hp.intrinsic_lr / hp.steps_per_epoch
            level = style.DEGREES * networks.formula(record, i, "angle_step") * share**0.5
            style.paper(panels[1], epoch[-15:], level[-15:], color=shade)
            style.exact(panels[1], epoch, style.DEGREES * law, color=shade, lw=0.8)
            angle = style.DEGREES * networks.of_cell(record, i, "angle_step")
            ends[0][product] = course(panels[0], loss, k, shade, True)
            ends[1][product] = course(panels[1], angle, k, shade, not np.isfinite(law).any())
        score = {key: scores(record, method, key) for key in GROUPS}
        for k, (key, kind) in enumerate(GROUPS.items()):
            style.measured(panels[2], epoch, *networks.mean_and_error(score[key][:, :-2]), i=k, label=kind, log=True)
        gap = score["product"] - score["lr_factor"]
        order.append(gap[:, -2].mean() > 0 > gap[:, -1].mean())
        turn = of_seeds(np.array([since(one < 0) + 1 for one in gap[:, :-2]]), 1)
        at = [", ".join(f"{of_seeds(score[key][:, w])} at {kind}" for key, kind in GROUPS.items()) for w in (-2, -1)]
        told.append(f"{name}: first eighth {at[0]}; last quarter {at[1]}; equal lr wd is ahead from epoch {turn} on")
        found = {key: changes(record, method, key) for key in SHOWN if key in record}
        for a, b in found["train_loss"]:
            texts = (of_seeds(found[key][a, b], 1) if found.get(key) else "none" for key in SHOWN)
            rows[f"{name}, lr ×{a:g}, wd ×{b:g}"] = (f"×{a * b:g}", f"{memory[a * b]:.1f}", *texts)
        panels[1].set_yscale("log")
        panels[2].set_ylim(0, 1.3)
        for axis, text, end in zip(panels, PANELS, (*ends, {}), strict=True):
            axis.set(xscale="log", xlabel="epoch", ylabel=text, title=name, xlim=(0.92, last * 1.05))
            label(axis, end, shades)
        for product, place in ((one, max(at, 1.1)) for one, at in memory.items() if at <= last):
            panels[2].text(place, 1.14, f"×{product:g}\n|", ha="center", fontsize=7, color=shades[product])
    axes[2].legend(loc="center left")
    style.below(figure, axes[0], (style.MEASURED, style.EXACT, style.PAPER), title="×: lr wd; ticks: norm's memory")
    seen = f"""{networks.caption(record)}. Spread of ln loss within groups over that of all, seed by seed (0: one curve,
    1: no collapse). {". ".join(told)}. {"This is" if all(order) else "This is not"} the order of Li et al., equal lr
    first and equal lr wd later. The memory of the norm is {", ".join(f"{at:.3g} (×{p:g})" for p, at in memory.items())}
    epochs: {" and ".join(f"×{p:g}" for p, at in memory.items() if at > last) or "none"} cannot collapse in {last}. When
    the change comes product by product is in the table; why the loss does not change with the angle is not known.
    Dashed is the equilibrium of Wan et al. and, for AdamW, Kosson et al.: Li et al. have no formula, and AdamW no
    recursion here. Theirs is a language model with AdamW; we have no number of their collapse. SGDM is not theirs."""
    columns = ("lr wd", "memory of the norm", *SHOWN.values())
    table = Table(title=TITLE, corner="", rows=tuple(rows), columns=columns, cells=tuple(rows.values()))
    return Drawn(figure, " ".join(seen.split()), (table,))
