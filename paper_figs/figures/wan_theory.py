"""Spherical motion dynamics: approach to equilibrium, and an LR drop with and without rescaling.

Wan et al.: length and angle per step approach their equilibrium values at a linear rate, (1 - 4 lr wd) a step, and after a
drop of the learning rate the angle first falls below its new value. Multiplying the weights by the fourth root of the
ratio of the learning rates spares the recovery.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si import theory
from sde_si.run import Run
from sde_si.theory import predict
from sde_si.verify.claims.common import run

SOURCE = "Wan et al. 2021, theorems on norm and angular update; theory.md 6.4, 6.5, 9.4"
KEEP = ("angle_step", "weight_norm")
STARTS, DROP, BEFORE, AFTER = (0.3, 1.0, 3.0), 10.0, 10, 50
U, STEPS = 5e-4, 100


def runs() -> dict[str, Run]:
    """Three starts; a drop by ten; and a run that starts as the rescaled weights would: at the new length."""
    base = {"N": STEPS * 64, "B": 64, "lr": 0.1, "wd": U / 0.1, "dim": 128, "paths": 24}
    made = {}
    for method in ("sgd", "splitting"):
        made |= {f"{method} from {s:g}eq": run(**base, epochs=40, init_norm=f"{s:g}eq", method=method, seed=i)
                 for i, s in enumerate(STARTS)}  # fmt: skip
        made[f"{method}, drop"] = run(
            **base, epochs=BEFORE + AFTER, schedule=f"multi-step:{BEFORE}", method=method, seed=5
        )
        made[f"{method}, rescaled"] = run(**(base | {"lr": 0.1 / DROP}), epochs=AFTER, method=method, seed=6)
    return made


def draw(records: Records) -> Drawn:
    """Length and angle per step from three starts, and the angle per step through a drop."""
    record, known = records["simulated"], runs()
    figure, axes = style.panels(3, width=3.5, height=3.1)
    for i, start in enumerate(STARTS):
        name = f"sgd from {start:g}eq"
        said, found, sde = (
            predict(known[name]),
            record.sel(cell=name),
            record.sel(cell=name.replace("sgd", "splitting")),
        )
        for axis, quantity, unit in ((axes[0], "weight_norm", 1.0), (axes[1], "angle_step", style.DEGREES)):
            x = record["epoch"].values[:40]
            style.measured(axis, x, unit * found[quantity][:40], unit * found[f"{quantity}_stderr"][:40], i=i,
                           label=f"from {start:g} × equilibrium")  # fmt: skip
            style.sde(axis, x, unit * sde[quantity][:40], i=i, points=10)
            style.exact(axis, x, unit * said[f"{quantity}_predicted"][:40], i=i)
    one = known["sgd from 1eq"]
    paper = theory.first_order(one.hyperparameters, noise_trace=one.arrays.noise_variance * 127 / 64)
    for axis, value in ((axes[0], paper["weight_norm"]), (axes[1], style.DEGREES * (paper["angle_step"] or 0))):
        style.paper(axis, [1, 40], [value, value])
    drop, rescaled = record.sel(cell="sgd, drop"), record.sel(cell="sgd, rescaled")
    epoch = record["epoch"].values - BEFORE
    steps = STEPS * (np.arange(1, AFTER + 1) - 0.5)
    style.measured(axes[2], epoch, style.DEGREES * drop["angle_step"], style.DEGREES * drop["angle_step_stderr"], i=3,
                   label="lr / 10")  # fmt: skip
    style.sde(axes[2], epoch, style.DEGREES * record.sel(cell="splitting, drop")["angle_step"], i=3, points=10)
    style.exact(axes[2], epoch[BEFORE:], style.DEGREES * np.asarray(theory.lr_drop_angle(steps, U / DROP, DROP)), i=3)
    style.measured(
        axes[2], epoch[BEFORE:], style.DEGREES * rescaled["angle_step"][:AFTER], i=4, label="lr / 10, rescaled"
    )
    style.paper(axes[2], [-BEFORE + 1, 0], [style.DEGREES * np.sqrt(2 * U)] * 2)
    style.paper(axes[2], [1, AFTER], [style.DEGREES * np.sqrt(2 * U / DROP)] * 2)
    axes[0].set(xlabel="epoch (100 steps)", ylabel="weight norm", yscale="log", title="length")
    axes[1].set(xlabel="epoch (100 steps)", ylabel="rms angle per step [deg]", yscale="log", title="angle")
    axes[2].set(
        xlabel="epochs after the drop", ylabel="rms angle per step [deg]", yscale="log", title="drop of lr by 10"
    )
    axes[2].legend(loc="upper right")
    style.below(figure, axes[0], columns=3)
    first, last = (float(drop["angle_step"][e]) / np.sqrt(2 * U / DROP) for e in (BEFORE, -1))
    kept = float(rescaled["angle_step"][0]) / np.sqrt(2 * U / DROP)
    seen = (f"all three starts reach the same angle, {style.DEGREES * float(record.sel(cell='sgd from 1eq')['angle_step'][39]):.4f} "
            f"degrees a step (sqrt(2u): {style.DEGREES * np.sqrt(2 * U):.4f}). In the first epoch after the drop the angle is "
            f"{first:.2f} of its new equilibrium value (theory {np.asarray(theory.lr_drop_angle(STEPS / 2, U / DROP, DROP)) / np.sqrt(2 * U / DROP):.2f}), "
            f"after {AFTER} epochs still {last:.2f}; with rescaled weights it is {kept:.3f} at once. The rate of the papers "
            "is right near equilibrium; from far above, the length falls as exp(-u k), four times slower.")  # fmt: skip
    return Drawn(figure, seen)
