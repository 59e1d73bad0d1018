"""Scaling rules: linear scaling, its competitors, and batch growth instead of a falling learning rate.

Goyal et al. multiply lr with the batch, Smith et al. grow the batch instead of lowering lr; Yun et al. add that wd may grow
instead of lr, since only the tuning factor counts.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si import theory
from sde_si.run import Run
from sde_si.theory import predict
from sde_si.verify.claims.common import run

SOURCE = "Goyal et al. 2017, Smith et al. 2018, Yun et al. 2022 table 3; theory.md 4.5, 7.2, 8.9"
KEEP = ("angle_epoch", "versine_epoch_level", "weight_norm_level", "signal_level")
GROWTH, N, B, LR, WD, MU = (1, 2, 4, 8, 16), 12_800, 16, 0.02, 2e-3, 0.9
RULES = {"lr × k": (1.0, 0.0), "wd × k": (0.0, 1.0), "lr × √k": (0.5, 0.0), "nothing": (0.0, 0.0)}
COURSES = {"lr / 4": "multi-step:10,20,30,factor=0.25", "B × 4": "batch-growth:10,4"}


def runs() -> dict[str, Run]:
    """Four rules at five batch sizes on noise alone; linear scaling on a field; two courses of 40 epochs."""
    made = {}
    for i, k in enumerate(GROWTH):
        for rule, (a, b) in RULES.items():
            hp = {"N": N, "B": B * k, "lr": LR * k**a, "wd": WD * k**b, "momentum": MU}
            factor = hp["N"] * hp["lr"] * hp["wd"] / hp["B"] / (1 - MU)
            made[f"{rule}, k={k}"] = run(**hp, epochs=int(np.ceil(7 / (4 * factor))) + 15, dim=64, paths=16, seed=i)
        made[f"field, k={k}"] = run("vmf", N=200 * 16, B=16 * k, lr=LR * k, wd=0.05, dim=16, epochs=60, paths=96, seed=i,
                                    parameters={"signal": 0.5})  # fmt: skip
    grown = {"N": 25_600, "B": 16, "lr": 0.02, "wd": 5e-4, "momentum": MU, "dim": 64, "paths": 32}
    for i, (name, text) in enumerate(COURSES.items()):
        for method in ("sgd-torch", "splitting"):
            made[f"{method}, {name}"] = run(**grown, epochs=40, schedule=text, method=method, seed=20 + i)
    return made


def draw(records: Records) -> Drawn:
    """Angle per epoch under four rules; length under linear scaling on a field; two courses."""
    record, known = records["simulated"], runs()
    figure, axes = style.panels(3, width=3.5, height=3.2)
    for i, rule in enumerate(RULES):
        names = [f"{rule}, k={k}" for k in GROWTH]
        cells = record.sel(cell=names)
        angle = np.array([theory.angle_of(float(v)) for v in cells["versine_epoch_level"]])
        error = cells["versine_epoch_level_stderr"].values / np.sin(angle)
        hps = [known[name].hyperparameters for name in names]
        exact = [
            theory.angle_of(float(1 - theory.lag_cosines(hp.steps_per_epoch, hp.intrinsic_lr, MU)[-1])) for hp in hps
        ]
        style.measured(axes[0], GROWTH, style.DEGREES * angle, style.DEGREES * error, i=i, label=rule, ms=6.5 - i)
        style.exact(axes[0], GROWTH, style.DEGREES * np.array(exact), i=i)
        style.paper(axes[0], GROWTH, style.DEGREES * np.arccos([1 - hp.tuning_factor for hp in hps]), i=i)
    field = record.sel(cell=[f"field, k={k}" for k in GROWTH])
    one = known["field, k=1"]
    tau, norm, signal = (
        one.arrays.noise_variance * 15 / 16,
        field["weight_norm_level"].values,
        field["signal_level"].values,
    )
    base = np.sqrt(0.02 * tau / (2 * 0.05))  # lr/B, and so this, is the same for all k
    style.measured(axes[1], GROWTH, norm**2 / base, 2 * norm / base * field["weight_norm_level_stderr"].values, i=4,
                   label="SGD, lr × k, B × k")  # fmt: skip
    style.exact(axes[1], GROWTH, np.sqrt(1 + signal * np.array(GROWTH) / tau), i=4)
    style.paper(axes[1], GROWTH, np.ones(len(GROWTH)), label="noise alone")
    for i, name in enumerate(COURSES):
        found, said = record.sel(cell=f"sgd-torch, {name}"), predict(known[f"sgd-torch, {name}"])
        x = record["epoch"].values[:40]
        style.measured(axes[2], x, style.DEGREES * found["angle_epoch"][:40], style.DEGREES * found["angle_epoch_stderr"][:40],
                       i=i, label=f"{name} every 10 epochs")  # fmt: skip
        style.sde(axes[2], x, style.DEGREES * record.sel(cell=f"splitting, {name}")["angle_epoch"][:40], i=i, points=10)
        style.exact(axes[2], x, style.DEGREES * said["angle_epoch_predicted"], i=i)
        style.paper(axes[2], x, style.DEGREES * said["angle_epoch_paper"], i=i)
    for axis in axes[:2]:
        axis.set(xscale="log", xlabel="k: batch size over its first value")
        axis.set_xticks(GROWTH, [str(k) for k in GROWTH])
        axis.minorticks_off()
    axes[0].set(ylabel="angle per epoch [deg]", title="noise alone, equilibrium")
    axes[1].set(ylabel="E|x|² / noise alone", title="with a mean gradient")
    axes[2].set(xlabel="epoch", yscale="log", ylabel="angle per epoch [deg]", title="lr falls or batch grows")
    for axis in axes:
        axis.legend(fontsize=7)
    style.kinds(figure, loc="outside upper center", ncols=4)
    ends = [style.DEGREES * float(record.sel(cell=f"sgd-torch, {name}")["angle_epoch"][39]) for name in COURSES]
    seen = ("lr × k and wd × k keep the angle as long as an epoch has many more steps than the velocity remembers (here 800 to 50, "
            "memory 10); lr × √k and no change do not. With a mean gradient linear scaling lets the length grow, by "
            f"{100 * (norm[-1] ** 2 / norm[0] ** 2 - 1):.0f} % in E|x|^2 at k = 16, where the noise dominates less. A falling lr and a growing "
            f"batch turn alike as long as epochs have many steps: {ends[0]:.2f} against {ends[1]:.2f} degrees in the last epoch, of 25 steps "
            "with the grown batch.")  # fmt: skip
    return Drawn(figure, seen)
