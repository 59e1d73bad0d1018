"""Spherical motion dynamics: approach to equilibrium, and an LR drop with and without rescaling.

Wan et al.: length and angle per step approach their equilibrium values at a linear rate, (1 - 4 lr wd) a step, and
after a drop of the learning rate the angle first falls below its new value. Multiplying the weights by the fourth root
of the ratio of the learning rates puts them at the new length, and spares the recovery.
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.grid import with_error
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
    base: dict[str, Any] = {"N": STEPS * 64, "B": 64, "lr": 0.1, "wd": U / 0.1, "dim": 128, "paths": 24}
    later: dict[str, Any] = base | {"lr": 0.1 / DROP}
    made = {}
    for method in ("sgd", "splitting"):
        made |= {f"{method} from {s:g}eq": run(**base, epochs=40, init_norm=f"{s:g}eq", method=method, seed=i)
                 for i, s in enumerate(STARTS)}  # fmt: skip
        made[f"{method}, drop"] = run(
            **base, epochs=BEFORE + AFTER, schedule=f"multi-step:{BEFORE}", method=method, seed=5
        )
        made[f"{method}, rescaled"] = run(**later, epochs=AFTER, method=method, seed=6)
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
                   label="kept length")  # fmt: skip
    style.sde(axes[2], epoch, style.DEGREES * record.sel(cell="splitting, drop")["angle_step"], i=3, points=10)
    style.exact(axes[2], epoch[BEFORE:], style.DEGREES * np.asarray(theory.lr_drop_angle(steps, U / DROP, DROP)), i=3)
    fresh = [style.DEGREES * rescaled[name][:AFTER] for name in ("angle_step", "angle_step_stderr")]
    style.measured(axes[2], epoch[BEFORE:], *fresh, i=4, label="started at the new length")
    style.paper(axes[2], [-BEFORE + 1, 0], [style.DEGREES * np.sqrt(2 * U)] * 2)
    style.paper(axes[2], [1, AFTER], [style.DEGREES * np.sqrt(2 * U / DROP)] * 2)
    axes[0].set(xlabel="epoch (100 steps)", ylabel="weight norm", yscale="log", title="length")
    axes[1].set(xlabel="epoch (100 steps)", ylabel="rms angle per step [deg]", yscale="log", title="angle")
    axes[2].set(xlabel="epochs after the drop", ylabel="rms angle per step [deg]", yscale="log", title="lr / 10")
    axes[2].legend(loc="upper right")
    style.below(figure, axes[0], columns=3)
    new = np.sqrt(2 * U / DROP)
    first, last, kept = (
        with_error(*(float(of[name][e]) / new for name in ("angle_step", "angle_step_stderr")))
        for of, e in ((drop, BEFORE), (drop, BEFORE + AFTER - 1), (rescaled, 0))
    )
    laws = [float(np.asarray(theory.lr_drop_angle(steps[e], U / DROP, DROP))) / new for e in (0, -1)]
    ends, away = [], []
    for start in STARTS:
        cell = record.sel(cell=f"sgd from {start:g}eq").isel(epoch=39)
        law = float(predict(known[f"sgd from {start:g}eq"])["angle_step_predicted"][39])
        angle, error = (float(cell[name]) for name in ("angle_step", "angle_step_stderr"))
        ends.append(f"{with_error(style.DEGREES * angle, style.DEGREES * error, 4)} ({style.DEGREES * law:.4f})")
        away.append(abs(angle - law) / error)
    seen = f"""degrees a step in epoch 40 after a start at {", ".join(f"{s:g}" for s in STARTS)} times the equilibrium
    length, and by the exact course: {", ".join(ends)}, at most {max(away):.1f} standard errors away; equilibrium,
    sqrt(2u), is {style.DEGREES * np.sqrt(2 * U):.4f}. In the first epoch after the drop the angle is {first} of its new
    equilibrium value (theory {laws[0]:.3f}), after {AFTER} epochs {last} ({laws[1]:.3f}). Nothing is rescaled here: the
    other points are a fresh run that starts at the new equilibrium length, where rescaling would put the weights; it
    has {kept} in its first epoch. That a running optimizer gets there by rescaling is the claim `lr-drop-rescaled`
    (6.5); for a network see wan-lr-drop. The paper's rate is that near equilibrium; from far above, the length falls as
    exp(-u k), four times slower (theory 12, P5)."""
    return Drawn(figure, " ".join(seen.split()))
