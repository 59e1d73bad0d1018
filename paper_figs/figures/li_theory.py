"""Trajectory invariance: equal learning rates collapse early, equal products lr wd late.

Li et al. find that loss curves of AdamW overlap early for equal lr, whatever wd, and late for equal lr wd. The step's
angle explains it: it is lr over the length while the length is still that of the start, and depends on lr wd alone once
the length is at equilibrium.
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.grid import with_error
from paper_figs.scripts import Drawn, Records
from sde_si import Problem, theory
from sde_si.run import Run
from sde_si.theory import predict
from sde_si.verify import CLAIMS
from sde_si.verify.claims.common import run
from validation.experiments.catalogue.li_trajectory_invariance import crossover

SOURCE = "Li et al. 2025, trajectory invariance; theory.md 7.8, 6.7, 9.4"
KEEP = ("angle_step", "loss")
SYSTEMS = {"A": "lr, wd", "B": "lr, 4 wd", "C": "4 lr, wd"}
U = 2e-4  # lr wd of B and C, per step


def runs() -> dict[str, Run]:
    """A, B, C by AdamW on the field of the claim li-2025-late, and by SGDM on `vmf`, from one length each."""
    claim = CLAIMS["li-2025-late"].runs
    assert claim is not None
    # Adam divides by coordinates: along one of them alone the noise of a field dies out, along the diagonal it does not
    diagonal = claim(1.0, 0)["A"].problem.loss
    made, dim = {}, 64
    for name, (a, b) in {"A": (1, 1), "B": (1, 4), "C": (4, 1)}.items():
        adam: dict[str, Any] = {"lr": 1e-3 * a, "wd": U / 4e-3 * b, "N": 100, "epochs": 300, "beta2": 0.95}
        made[f"AdamW {name}"] = run(diagonal, B=1, momentum=0.9, dim=dim, paths=64, parameters={"signal": 4.0},
                                    init_norm=(4e-3 * dim / (2 * U / 4e-3)) ** 0.5, method="adamw", **adam)  # fmt: skip
    start = theory.sgd_moments(0.08, U / 0.08, 0.9, noise_trace=dim - 1.0).xx ** 0.5
    for name, (a, b) in {"A": (1, 1), "B": (1, 4), "C": (4, 1)}.items():
        sgdm: dict[str, Any] = {"lr": 0.02 * a, "wd": U / 0.08 * b, "N": 20, "epochs": 200}
        made[f"SGDM {name}"] = run("vmf", B=1, momentum=0.9, dim=dim, paths=96, parameters={"signal": 2.0},
                                   init_norm=start, seed=7, **sgdm)  # fmt: skip
    return made


def step_angle(one: Run) -> np.ndarray:
    """Predicted rms angle per step at the ends of epochs, from the noise alone."""
    if one.method.name != "adamw":
        alone = one.replace(problem=Problem("isotropic", dim=one.arrays.dim, noise_scale=1.0))
        return predict(alone)["angle_step_predicted"].values
    hp, dim = one.hyperparameters, one.arrays.dim
    k = hp.steps_per_epoch * (np.arange(1, hp.epochs + 1) - 0.5)
    square = theory.relaxed(k, one.start_norm**2, hp.lr * dim / (2 * hp.wd), hp.intrinsic_lr)
    return hp.lr * np.sqrt((1 - hp.momentum) / (1 + hp.momentum) * dim / square)


def draw(records: Records) -> Drawn:
    """Angle per step and loss of AdamW and of SGDM against decay times."""
    record, known = records["simulated"], runs()
    (figure, axes), told = style.panels(2, 2, width=4.4, height=2.9), []
    for row, optimizer, rate in ((0, "AdamW", 2.0), (2, "SGDM", 40.0)):
        hp, angles, laws, losses, errors = known[f"{optimizer} A"].hyperparameters, [], [], [], []
        time = rate * U * hp.steps_per_epoch * np.arange(1, hp.epochs + 1)
        for i, (name, what) in enumerate(SYSTEMS.items()):
            one = known[f"{optimizer} {name}"]
            cell = record.sel(cell=f"{optimizer} {name}")[{"epoch": slice(hp.epochs)}]
            angle, stderr = (style.DEGREES * cell[key].values for key in ("angle_step", "angle_step_stderr"))
            excess, error = cell["loss"].values + one.problem.parameters["signal"], cell["loss_stderr"].values
            laws.append(style.DEGREES * step_angle(one))
            for values, new in zip((angles, losses, errors), (angle, excess, error), strict=True):
                values.append(new)
            style.measured(axes[row], time, angle, stderr, i=i, label=f"{name}: {what}", log=True)
            style.exact(axes[row], time, laws[-1], i=i)
            style.measured(axes[row + 1], time, excess, error, i=i, log=True)  # the loss is -<m, y>
        (A, B, C), (a, b, c) = losses, errors
        share = (B - A) / (C - A)
        error = np.sqrt(b**2 + (share * c) ** 2 + ((1 - share) * a) ** 2) / np.abs(C - A)
        ends = [with_error(float(share[e].mean()), float(error[e].mean()), 2) for e in (slice(3), slice(-10, None))]
        found = [crossover(*courses) for courses in (angles, laws, losses)]
        times = ["no time" if np.isnan(k) else f"{time[int(k)]:.1f}" for k in found]
        told.append(f"{optimizer}: {ends[0]} at first, {ends[1]} at last, nearer from {times[0]} on in the angle, "
                    f"{times[1]} by its prediction, from {times[2]} on in the loss")  # fmt: skip
        for axis, name in zip(axes[row : row + 2], ("rms angle per step [deg]", "loss above its minimum"), strict=True):
            axis.set(
                xscale="log", yscale="log", xlabel=f"steps × {rate:g} lr wd of B and C", title=optimizer, ylabel=name
            )
    style.below(figure, axes[0], (style.MEASURED, style.EXACT))
    seen = f"""where the loss of B lies between that of equal lr (0) and that of equal lr wd (1), and from which time on
    it stays nearer to equal lr wd, in decay times: 1/(2 lr wd) steps of AdamW and, faster since its own updates feed
    the length, (1-mu)/(4 lr wd) of SGDM. {"; ".join(told)}. Predictions are from the noise alone; what is left is the
    mean gradient. No dashed line: Li et al. state an invariance and no formula. No line for the loss: there is no
    prediction of it. No crosses: AdamW has no SDE here, that of SGDM is on lag-cosine. Li et al. see the same order,
    equal lr first and equal lr wd later, in a language model with AdamW; SGDM is not theirs."""
    return Drawn(figure, " ".join(seen.split()))
