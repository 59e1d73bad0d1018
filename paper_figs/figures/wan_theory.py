"""Spherical motion dynamics: approach to equilibrium, and an LR drop with and without rescaling.

Wan et al.: length and angle per step approach their equilibrium values at a linear rate, (1 - 4 lr wd) a step, and
after a drop of the learning rate the angle first falls below its new value. Multiplying the weights by the fourth root
of the ratio of the learning rates puts them at the new length, and spares the recovery.
"""

from typing import Any

from paper_figs import style
from paper_figs.findings.wan_theory import AFTER, ANGLES, APPROACH, BEFORE, DROP, STARTS, STEPS, Course, U, find, seen
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Wan et al. 2021, theorems on norm and angular update; theory.md 6.4, 6.5, 9.4"
KEEP = ("angle_step", "weight_norm")


def runs() -> dict[str, Run]:
    """Three starts; a drop by ten; and a run that starts as the rescaled weights would: at the new length."""
    base: dict[str, Any] = {"N": STEPS * 64, "B": 64, "lr": 0.1, "wd": U / 0.1, "dim": 128, "paths": 24}
    later: dict[str, Any] = base | {"lr": 0.1 / DROP}
    made = {}
    for method in ("sgd", "splitting"):
        made |= {f"{method} from {s:g}eq": run(**base, epochs=APPROACH, init_norm=f"{s:g}eq", method=method, seed=i)
                 for i, s in enumerate(STARTS)}  # fmt: skip
        made[f"{method}, drop"] = run(
            **base, epochs=BEFORE + AFTER, schedule=f"multi-step:{BEFORE}", method=method, seed=5
        )
        made[f"{method}, rescaled"] = run(**later, epochs=AFTER, method=method, seed=6)
    return made


def draw(records: Records) -> Drawn:
    """Length and angle per step from three starts, and the angle per step through a drop."""
    found = find(records["simulated"], runs())
    figure, axes = style.panels(3, width=3.5, height=3.1)
    for axis, (quantity, starts) in zip(axes, found.starts.items(), strict=False):
        unit = style.DEGREES if quantity == "angle_step" else 1.0
        for i, (start, one) in enumerate(starts.items()):
            _course(axis, one, unit, i, f"from {start:g} × equilibrium")
        style.paper(axis, [1, APPROACH], [unit * found.formula[quantity]] * 2)
    _course(axes[2], found.drop, style.DEGREES, 3, "kept length")
    _course(axes[2], found.rescaled, style.DEGREES, 4, "started at the new length")
    for angle, ends in zip(ANGLES, ([-BEFORE + 1, 0], [1, AFTER]), strict=True):
        style.paper(axes[2], ends, [style.DEGREES * angle] * 2)
    axes[0].set(xlabel="epoch (100 steps)", ylabel="weight norm", yscale="log", title="length")
    axes[1].set(xlabel="epoch (100 steps)", ylabel="rms angle per step [deg]", yscale="log", title="angle")
    axes[2].set(xlabel="epochs after the drop", ylabel="rms angle per step [deg]", yscale="log", title="lr / 10")
    axes[2].legend(loc="upper right")
    style.below(figure, axes[0], columns=3)
    return Drawn(figure, seen(found))


def _course(axis: Any, one: Course, unit: float, i: int, label: str) -> None:
    style.measured(axis, one.epoch, unit * one.mean, unit * one.error, i=i, label=label)
    style.sde(axis, one.epoch, unit * one.sde, i=i, points=10)
    style.exact(axis, one.epoch, unit * one.exact, i=i)
