"""What schedules do to the angle per epoch: every schedule of the simulator, predicted and simulated.

Yun et al. read the tuning factor with each phase's own learning rate. Their formula follows a schedule at once; the length
of the weights does not: it needs 1/(4 tuning factor) epochs.
"""

from paper_figs import style
from paper_figs.figures.schedules_network import panels, shade
from paper_figs.findings.schedules import EPOCHS, SCHEDULES, find, seen
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Yun et al. 2022, eq. 27, table 6; bag of tricks; theory.md 7.3, 7.4, 9.10"
KEEP = ("angle_epoch",)


def runs() -> dict[str, Run]:
    """SGDM in torch's form and the SDE, from the length that the full learning rate keeps."""
    return {
        f"{method}: {name}": run(N=6400, B=64, lr=0.1, wd=1e-3, momentum=0.9, epochs=EPOCHS, schedule=text, paths=24,
                                 dim=64, method=method, seed=i)
        for i, (name, text) in enumerate(SCHEDULES.items()) for method in ("sgd-torch", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """One panel a schedule: angle per epoch; the shape of the learning rate below it in grey."""
    found = find(records["simulated"], runs())
    figure, axes = panels()
    for axis, one in zip(axes, found.values(), strict=False):
        mean, error, sde, exact, formula = (
            style.DEGREES * angle for angle in (one.mean, one.error, one.sde, one.exact, one.formula)
        )
        style.measured(axis, one.epoch, mean, error, points=20, ms=2.8)
        style.sde(axis, one.epoch, sde, i=1, points=10)
        style.exact(axis, one.epoch, exact)
        style.paper(axis, one.epoch, formula)
        shade(axis, one.rate)
    return Drawn(figure, seen(found))
