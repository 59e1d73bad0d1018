"""SVAG between SGD and its SDE: the length of the weights keeps the mean gradient's share until l is large.

Li, Malladi and Arora: SVAG with l substeps tends to the SDE, and SGD is close to it only if the noise is strong enough
against the mean gradient.
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.findings.svag_theory import DIM, LENGTHS, SIGNALS, find, seen
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Li, Malladi, Arora 2021; theory.md 4.1-4.4"
KEEP = ("weight_norm_level", "signal_level")
U = 0.02  # lr wd
PLACE = 24  # of the SDE on the axis of l


def runs() -> dict[str, Run]:
    """SGD, SVAG with l = 2 to 16, and the SDE, for three strengths of the mean gradient."""
    made = {}
    for signal in SIGNALS:
        base: dict[str, Any] = {"N": 100, "B": 1, "lr": 0.1, "wd": U / 0.1, "epochs": 40, "dim": DIM, "paths": 96,
                                "parameters": {"signal": signal}}  # fmt: skip
        for k in LENGTHS:
            svag: dict[str, Any] = {"method": "svag", "substeps": k} if k > 1 else {}
            made[f"{signal:g}: l={k}"] = run("vmf", **base, **svag, seed=k)
        made[f"{signal:g}: SDE"] = run("vmf", **base, seed=99, method="em", substeps=32)
    return made


def draw(records: Records) -> Drawn:
    """Squared length over that of the noise alone, and its excess against 1/l."""
    found, inverse = find(records["simulated"], runs()), 1 / np.array(LENGTHS)
    figure, axes = style.panels(2, width=4.4, height=3.2)
    for i, one in enumerate(found):
        style.measured(axes[0], LENGTHS, one.ratio, one.error, i=i, label=f"G/τ = {one.share:.2f} at l = 1")
        style.exact(axes[0], LENGTHS, one.law, i=i)
        style.sde(axes[0], [PLACE], [one.sde], i=i)
        style.measured(axes[1], inverse, one.ratio**2 - 1, 2 * one.ratio * one.error, i=i)
        style.exact(axes[1], inverse, one.law**2 - 1, i=i)
        style.sde(axes[1], [0], [one.sde**2 - 1], i=i)
    style.paper(axes[0], [1, PLACE], [1, 1])
    axes[0].set(xscale="log", xlabel="l", ylabel="E|x|² / noise alone")
    axes[0].set_xticks([*LENGTHS, PLACE], [*map(str, LENGTHS), "SDE"], minor=False)
    axes[0].minorticks_off()
    axes[1].set(xlabel="1/l", ylabel="E|x|⁴ / noise alone - 1")
    style.below(figure, axes[0])
    return Drawn(figure, seen(found))
