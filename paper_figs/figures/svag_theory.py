"""SVAG between SGD and its SDE: the length of the weights keeps the mean gradient's share until l is large.

Li, Malladi and Arora: SVAG with l substeps tends to the SDE, and SGD is close to it only if the noise is strong enough
against the mean gradient.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Li, Malladi, Arora 2021; theory.md 4.1-4.4"
KEEP = ("weight_norm_level", "signal_level")
LENGTHS, SIGNALS, DIM, U = (1, 2, 4, 8, 16), (1.0, 4.0, 12.0), 8, 0.02


def runs() -> dict[str, Run]:
    """SGD, SVAG with l = 2 to 16, and the SDE, for three strengths of the mean gradient."""
    made = {}
    for signal in SIGNALS:
        base = {
            "N": 100,
            "B": 1,
            "lr": 0.1,
            "wd": U / 0.1,
            "epochs": 40,
            "dim": DIM,
            "paths": 96,
            "parameters": {"signal": signal},
        }
        made |= {f"{signal:g}: l={k}": run("vmf", **base, seed=k, **({"method": "svag", "substeps": k} if k > 1 else {}))
                 for k in LENGTHS}  # fmt: skip
        made[f"{signal:g}: SDE"] = run("vmf", **base, seed=99, method="em", substeps=32)
    return made


def draw(records: Records) -> Drawn:
    """Squared length over that of the noise alone, and its excess against 1/l."""
    record, known = records["simulated"], runs()
    figure, axes = style.panels(2, width=4.4, height=3.2)
    shares, off = [], []
    for i, signal in enumerate(SIGNALS):
        names = [f"{signal:g}: l={k}" for k in LENGTHS]
        one = known[names[0]]
        tau, hp = one.arrays.noise_variance * (DIM - 1), one.hyperparameters
        square = np.sqrt(hp.lr * tau / (2 * hp.wd))
        cells, sde = record.sel(cell=names), record.sel(cell=f"{signal:g}: SDE")
        ratio = cells["weight_norm_level"].values ** 2 / square
        error = 2 * cells["weight_norm_level_stderr"].values / cells["weight_norm_level"].values * ratio
        signals = cells["signal_level"].values
        law = np.sqrt(1 + signals / tau / np.array(LENGTHS))
        shares.append(signals[0] / tau)
        off.append(np.max(np.abs(ratio / law - 1)))
        style.measured(axes[0], LENGTHS, ratio, error, i=i, label=f"G/τ = {signals[0] / tau:.2f} at l = 1")
        style.exact(axes[0], LENGTHS, law, i=i)
        style.sde(axes[0], [24], [float(sde["weight_norm_level"]) ** 2 / square], i=i)
        style.measured(axes[1], 1 / np.array(LENGTHS), ratio**2 - 1, 2 * ratio * error, i=i)
        style.exact(axes[1], 1 / np.array(LENGTHS), law**2 - 1, i=i)
        style.sde(axes[1], [0], [float(sde["weight_norm_level"]) ** 4 / square**2 - 1], i=i)
    style.paper(axes[0], [1, 24], [1, 1])
    axes[0].set(xscale="log", xlabel="l (24 stands for the SDE)", ylabel="E|x|² / noise alone")
    axes[0].set_xticks([*LENGTHS, 24], [*map(str, LENGTHS), "SDE"], minor=False)
    axes[0].minorticks_off()
    axes[1].set(xlabel="1/l", ylabel="E|x|⁴ / noise alone - 1")
    style.below(figure, axes[0])
    seen = (f"E|x|^2 = sqrt(lr (tau + G/l)/(2 wd)) with the measured mean gradient holds within {100 * max(off):.1f} % at every l, "
            f"for G/tau from {min(shares):.2f} to {max(shares):.2f} under SGD. SGD's own length is {100 * (np.sqrt(1 + max(shares)) - 1):.0f} % "
            "(in E|x|^2) above the SDE's in the strongest case: there SGD is no discretisation of the SDE. What is left is of order "
            "lr wd and 1/dim, which the formula leaves out.")  # fmt: skip
    return Drawn(figure, seen)
