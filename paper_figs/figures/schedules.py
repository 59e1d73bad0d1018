"""What schedules do to the angle per epoch: every schedule of the simulator, predicted and simulated.

Yun et al. read the tuning factor with each phase's own learning rate. Their formula follows a schedule at once; the length
of the weights does not: it needs 1/(4 tuning factor) epochs.
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.theory import predict
from sde_si.verify.claims.common import run
from validation.experiments.catalogue.schedules import schedules

SOURCE = "Yun et al. 2022, eq. 27, table 6; bag of tricks; theory.md 7.3, 7.4, 9.10"
KEEP = ("angle_epoch",)
EPOCHS, N = 60, 6400
SCHEDULES = schedules(EPOCHS)


def runs() -> dict[str, Run]:
    """SGDM in torch's form and the SDE, from the length that the full learning rate keeps."""
    return {
        f"{method}: {name}": run(N=N, B=64, lr=0.1, wd=1e-3, momentum=0.9, epochs=EPOCHS, schedule=text, paths=24, dim=64,
                                 method=method, seed=i)
        for i, (name, text) in enumerate(SCHEDULES.items()) for method in ("sgd-torch", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """One panel a schedule: angle per epoch; the shape of the learning rate below it in grey."""
    record, known = records["simulated"], runs()
    figure, axes = panels()
    wrong = {}
    for axis, name in zip(axes, SCHEDULES, strict=False):
        one = known[f"sgd-torch: {name}"]
        found, said = record.sel(cell=f"sgd-torch: {name}"), predict(one)
        exact, formula = (style.DEGREES * said[f"angle_epoch_{kind}"].values for kind in ("predicted", "paper"))
        epoch = record["epoch"].values
        style.measured(axis, epoch, style.DEGREES * found["angle_epoch"], style.DEGREES * found["angle_epoch_stderr"],
                       points=20, ms=2.8)  # fmt: skip
        style.sde(axis, epoch, style.DEGREES * record.sel(cell=f"splitting: {name}")["angle_epoch"], i=1, points=10)
        style.exact(axis, epoch, exact)
        style.paper(axis, epoch, formula)
        shade(axis, [one.timetable.lr_and_momentum(e)[0].mean() for e in range(EPOCHS)] / one.timetable.batch)
        wrong[name] = float(np.max(np.abs(np.log(formula / exact))))
    worst = sorted(wrong, key=lambda name: -wrong[name])
    said = ", ".join(f"{name} (factor {np.exp(wrong[name]):.2g})" for name in worst[:4])
    seen = (
        "the recursion of the second moments follows every schedule, momentum cycled or not. Largest errors in any epoch of "
        f"the formula that is read with each epoch's own rate: {said}; without a change it is off by a factor of "
        f"{np.exp(wrong['constant']):.2f}. Falling rates turn the weights far less than the formula, since the length has not shrunk "
        "yet; after SGDR's restarts it is short and they turn more. The SDE keeps its velocity through a drop, which torch's form "
        "of momentum does not: hence its larger angle in the first epoch after one."
    )
    return Drawn(figure, seen)


def panels(low: float = 0.03, high: float = 60.0) -> Any:
    """A panel for every schedule, with its name; the last place holds the legend."""
    figure, axes = style.panels(5, 3, width=2.3, height=2.0, sharex=True, sharey=True)
    for axis, name in zip(axes, SCHEDULES, strict=False):
        axis.set_title(name, fontsize="small")
        axis.set(yscale="log", ylim=(low, high))
    for axis in axes[len(SCHEDULES) :]:
        axis.set_axis_off()
    for axis in axes[5 * 2 :]:
        axis.set_xlabel("epoch")
    for axis in axes[::5]:
        axis.set_ylabel("angle/epoch [deg]")
    axes[9].tick_params(labelbottom=True)
    style.kinds(axes[-1], loc="center left", bbox_to_anchor=(-0.1, 0.5))
    axes[-1].text(-0.1, 0.05, "grey: lr/B, linear scale", transform=axes[-1].transAxes, fontsize="small", color="0.4")
    return figure, axes


def shade(axis: Any, rate: Any) -> None:
    """The course of lr/B in grey at the foot of a panel."""
    low, rate = axis.get_ylim()[0], np.asarray(rate, float)
    axis.fill_between(
        np.arange(1, rate.size + 1), low, low * 10 ** (rate / np.nanmax(rate)), color="0.82", lw=0, zorder=0
    )
