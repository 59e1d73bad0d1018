"""Trajectory invariance: equal learning rates collapse early, equal products lr wd late.

Li et al. find that loss curves of AdamW overlap early for equal lr, whatever wd, and late for equal lr wd. The step's
angle explains it: it is lr over the length while the length is still that of the start, and depends on lr wd alone once
the length is at equilibrium.
"""

from paper_figs import style
from paper_figs.findings.li_theory import SYSTEMS, U, find, seen
from paper_figs.scripts import Drawn, Records
from sde_si import theory
from sde_si.run import Run
from sde_si.verify import CLAIMS
from sde_si.verify.claims.common import run

SOURCE = "Li et al. 2025, trajectory invariance; theory.md 7.8, 6.7, 9.4"
KEEP = ("angle_step", "loss")
FACTORS = {"A": (1, 1), "B": (1, 4), "C": (4, 1)}  # of lr and of wd


def runs() -> dict[str, Run]:
    """A, B, C by AdamW on the field of the claim li-2025-late, and by SGDM on `vmf`, from one length each."""
    claim = CLAIMS["li-2025-late"].runs
    assert claim is not None
    # Adam divides by coordinates: along one of them alone the noise of a field dies out, along the diagonal it does not
    diagonal = claim(1.0, 0)["A"].problem.loss
    made, dim = {}, 64
    for name, (a, b) in FACTORS.items():
        made[f"AdamW {name}"] = run(diagonal, B=1, momentum=0.9, dim=dim, paths=64, parameters={"signal": 4.0},
                                    init_norm=(4e-3 * dim / (2 * U / 4e-3)) ** 0.5, method="adamw",
                                    lr=1e-3 * a, wd=U / 4e-3 * b, N=100, epochs=300, beta2=0.95)  # fmt: skip
    start = theory.sgd_moments(0.08, U / 0.08, 0.9, noise_trace=dim - 1.0).xx ** 0.5
    for name, (a, b) in FACTORS.items():
        made[f"SGDM {name}"] = run("vmf", B=1, momentum=0.9, dim=dim, paths=96, parameters={"signal": 2.0},
                                   init_norm=start, seed=7, lr=0.02 * a, wd=U / 0.08 * b, N=20, epochs=200)  # fmt: skip
    return made


def draw(records: Records) -> Drawn:
    """Angle per step and loss of AdamW and of SGDM against decay times."""
    found = find(records["simulated"], runs())
    figure, axes = style.panels(2, 2, width=4.4, height=2.9)
    for (angle, loss), one in zip(axes.reshape(2, 2), found, strict=True):
        for i, (name, course) in enumerate(one.courses.items()):
            label = f"{name}: {SYSTEMS[name]}"
            style.measured(angle, one.time, course.angle, course.angle_error, i=i, label=label, log=True)
            style.exact(angle, one.time, course.law, i=i)
            style.measured(loss, one.time, course.loss, course.loss_error, i=i, log=True)
        for axis in (angle, loss):
            axis.set(xscale="log", yscale="log", xlabel=f"steps × {one.unit:g} lr wd of B and C", title=one.name)
        angle.set(ylabel="rms angle per step [deg]")
        loss.set(ylabel="loss above its minimum")
    style.below(figure, axes[0], (style.MEASURED, style.EXACT))
    return Drawn(figure, seen(found))
