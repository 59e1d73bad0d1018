"""Equal tuning factors collapse after the transient, as in Yun et al.'s figures 3 and 4, without a network.

Cells of equal tuning factor start out differently and turn alike after about 50 epochs, whether lr, wd or both were tuned.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.theory import predict
from sde_si.verify.claims.common import run

SOURCE = "Yun et al. 2022, figs. 3-4; theory.md 2.3, 10.7, 10.14 S12"
KEEP = ("angle_epoch",)
SIZES = (3125, 6250, 12500, 25000, 50000)
AFTER = (2, 50)  # epochs whose spread is told; the latter is the paper's
WAYS = {"lr tuned": (1.0, 0.0), "wd tuned": (0.0, 1.0), "both tuned": (0.5, 0.5)}  # powers of 50000/N in lr and wd


def runs() -> dict[str, Run]:
    """Tuning factor 10/128 at B = 128 from one length; the optimizer and the SDE."""
    start = 0.6 * float(run(N=50000, B=128, lr=0.1, wd=2e-4, momentum=0.9, dim=64, epochs=1).start_norm)
    return {
        f"{method}: {way}, N={N}": run(N=N, B=128, lr=0.1 * (50000 / N) ** a, wd=2e-4 * (50000 / N) ** b, momentum=0.9,
                                       epochs=100, paths=16, dim=64, method=method, init_norm=start, seed=i)
        for i, N in enumerate(SIZES) for way, (a, b) in WAYS.items() for method in ("sgd-torch", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """One panel a way of tuning: the angle per epoch of every N."""
    record, known = records["simulated"], runs()
    figure, axes = style.panels(3, width=3.5, height=3.1, sharey=True)
    gaps = {}
    for axis, way in zip(axes, WAYS, strict=True):
        for i, N in enumerate(SIZES):
            name = f"sgd-torch: {way}, N={N}"
            found, said = record.sel(cell=name), predict(known[name])
            style.measured(axis, record["epoch"], style.DEGREES * found["angle_epoch"],
                           style.DEGREES * found["angle_epoch_stderr"], i=i, label=f"N = {N}", log=True)  # fmt: skip
            sde = record.sel(cell=f"splitting: {way}, N={N}")
            style.sde(axis, record["epoch"], style.DEGREES * sde["angle_epoch"], i=i, points=10, log=True)
            style.exact(axis, record["epoch"], style.DEGREES * said["angle_epoch_predicted"], i=i)
            if i == 0:  # one line: the tuning factor is the same
                style.paper(axis, record["epoch"], style.DEGREES * said["angle_epoch_paper"])
        cells = record.sel(cell=[f"sgd-torch: {way}, N={N}" for N in SIZES])["angle_epoch"].values
        gaps[way] = [float(np.ptp(cells[:, e]) / cells[:, e].mean()) for e in np.array(AFTER) - 1]
        axis.set(xscale="log", yscale="log", xlabel="epoch", title=way)
    axes[0].set_ylabel("angle per epoch [deg]")
    style.below(figure, axes[0], columns=5)
    told = (f"{way}: {100 * a:.0f} % and {100 * b:.0f} %" for way, (a, b) in gaps.items())
    small = known[f"sgd-torch: {next(iter(WAYS))}, N={SIZES[0]}"].hyperparameters
    seen = (f"range of the angle over its mean at epochs {AFTER[0]} and {AFTER[1]}, before and after the length has "
            f"forgotten its start: {'; '.join(told)}. What is left at epoch {AFTER[1]} is the short epoch of the small N: of "
            f"{small.steps_per_epoch} steps the velocity's memory of {1 / (1 - small.momentum):.0f} is no small part, so the "
            f"angle stays below that of eq. 27. The paper's {AFTER[1]} epochs are about "
            f"{AFTER[1] * 4 * small.tuning_factor:.0f} times 1/(4 tuning factor).")  # fmt: skip
    return Drawn(figure, seen)
