"""What a drop of the learning rate does to the angle per step, and how rescaling the weights undoes it."""

from itertools import product

from validation.experiments.base import MOMENTS, Cell, Experiment, cell
from validation.experiments.setups import STEADY

MOMENTA = {0.9: 1.0, 0.0: 10.0}  # momentum -> factor on lr
DECAY = {"tiny": 1.0, "cpu": 6.25, "gpu": 5.0, "full": 2.0}  # factor on wd: recovery within the run
DROP = 10.0


def cells(scale: str) -> list[Cell]:
    """Momentum x rescaled or not; lr falls by 10 after a third of the epochs."""
    base = STEADY[scale]
    at = base["epochs"] // 3
    return [
        cell(
            base,
            {
                "momentum": mu, "lr": base["lr"] * MOMENTA[mu], "wd": base["wd"] * DECAY[scale],
                "schedule": f"multi-step:{at}", "sampling": "replacement", "rescale": rescale or None,
            },
            rescaled=float(rescale), drop=DROP, drop_epoch=float(at),
        )
        for mu, rescale in product(MOMENTA, (False, True))
    ]  # fmt: skip


EXPERIMENT = Experiment(
    title="Angle per step after a drop of the learning rate, and with the weights rescaled at once",
    source="Wan et al. 2021; theory.md 6.5",
    question="Does the angle per step fall with lr at first and recover to sqrt(2 lr wd/(1 + momentum)) only over "
    "1/(4 tuning factor) epochs, and does dividing the weights by drop^(1/4) remove the wait?",
    cells=cells,
    more=MOMENTS,
    figures=("wan-lr-drop",),
    paper={"source": "theory.md 6.5", "angle_step": "sqrt(2u)/sqrt(1 + (drop - 1) exp(-4 u k/(1 - momentum)))"},
)
