"""Scaling rules: linear scaling, its competitors, and batch growth instead of a falling learning rate.

Goyal et al. multiply lr with the batch, Smith et al. grow the batch instead of lowering lr; Yun et al. add that wd may grow
instead of lr, since only the tuning factor counts.
"""

from paper_figs import style
from paper_figs.findings.scaling_theory import COURSES, EPOCHS, FIELD_DIM, GROWTH, MU, RULES, epochs, find, seen
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Goyal et al. 2017, Smith et al. 2018, Yun et al. 2022 table 3; theory.md 4.5, 7.2, 8.9"
KEEP = ("angle_epoch", "versine_epoch_level", "weight_norm_level", "signal_level")
N, B, LR, WD = 12_800, 16, 0.02, 2e-3


def runs() -> dict[str, Run]:
    """Four rules at five batch sizes on noise alone; linear scaling on a field; two courses of 40 epochs."""
    made = {}
    for i, k in enumerate(GROWTH):
        for rule, (a, b) in RULES.items():
            hp = {"N": N, "B": B * k, "lr": LR * k**a, "wd": WD * k**b, "momentum": MU}
            factor = hp["N"] * hp["lr"] * hp["wd"] / hp["B"] / (1 - MU)
            made[f"{rule}, k={k}"] = run(**hp, epochs=epochs(factor), dim=64, paths=16, seed=i)
        made[f"field, k={k}"] = run("vmf", N=200 * 16, B=16 * k, lr=LR * k, wd=0.05, dim=FIELD_DIM, epochs=60, paths=96,
                                    seed=i, parameters={"signal": 0.5})  # fmt: skip
    grown = {"N": 25_600, "B": 16, "lr": 0.02, "wd": 5e-4, "momentum": MU, "dim": 64, "paths": 32}
    return made | {
        f"{method}, {name}": run(**grown, epochs=EPOCHS.size, schedule=text, method=method, seed=20 + i)
        for i, (name, text) in enumerate(COURSES.items()) for method in ("sgd-torch", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """Angle per epoch under four rules; length under linear scaling on a field; two courses."""
    found = find(records["simulated"], runs())
    figure, axes = style.panels(3, width=3.5, height=3.2)
    for i, (rule, curve) in enumerate(found.rules.items()):
        style.measured(axes[0], GROWTH, curve.measured, curve.error, i=i, label=rule, ms=6.5 - i)
        style.exact(axes[0], GROWTH, curve.exact, i=i)
        style.paper(axes[0], GROWTH, curve.paper, i=i)
    style.measured(axes[1], GROWTH, found.length.measured, found.length.error, i=4, label="SGD, lr × k, B × k")
    style.exact(axes[1], GROWTH, found.length.exact, i=4)
    style.paper(axes[1], GROWTH, found.length.paper, label="noise alone")
    for i, (name, curve) in enumerate(found.courses.items()):
        style.measured(axes[2], EPOCHS, curve.measured, curve.error, i=i, label=f"{name} every 10 epochs")
        style.sde(axes[2], EPOCHS, curve.sde, i=i, points=10)
        style.exact(axes[2], EPOCHS, curve.exact, i=i)
        style.paper(axes[2], EPOCHS, curve.paper, i=i)
    for axis in axes[:2]:
        axis.set(xscale="log", xlabel="k: batch size over its first value", xticks=GROWTH, xticklabels=GROWTH)
        axis.minorticks_off()
    axes[0].set(ylabel="angle per epoch [deg]", title="noise alone, equilibrium")
    axes[1].set(ylabel="E|x|² / noise alone", title="with a mean gradient")
    axes[2].set(xlabel="epoch", yscale="log", ylabel="angle per epoch [deg]", title="lr falls or batch grows")
    for axis in axes:
        axis.legend(fontsize=7)
    style.kinds(figure, loc="outside upper center", ncols=4)
    return Drawn(figure, seen(found))
