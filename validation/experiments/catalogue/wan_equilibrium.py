"""Equilibrium of norm and angle, layer by layer (Wan et al. 2021)."""

from validation.experiments.base import Cell, Experiment, cell
from validation.experiments.setups import STEADY

# momentum -> factor on lr: the same tuning factor at both
MOMENTA = {0.9: 1.0, 0.0: 10.0}
# factors on (lr, wd): the same product at other shares, and another product
PAIRS = ((1.0, 1.0), (0.5, 2.0), (1.0, 3.0))


def cells(scale: str) -> list[Cell]:
    """Momentum x (lr, wd), with replacement; the first pair reshuffled as well."""
    base, made = STEADY[scale], []
    for mu, factor in MOMENTA.items():
        for i, (more, decay) in enumerate(PAIRS):
            rates = {"momentum": mu, "lr": base["lr"] * factor * more, "wd": base["wd"] * decay}
            samplings = ("replacement", "reshuffle") if i == 0 else ("replacement",)
            made += [cell(base, rates | {"sampling": one}, sampling=one) for one in samplings]
    return made


EXPERIMENT = Experiment(
    title="Norm and angle per step of every layer reach the predicted equilibrium",
    source="Wan et al. 2021, theorems on norm and angular update; theory.md 6.2, 6.3, 9.2, 15.1",
    question="Do all layers, whatever their gradients, turn by sqrt(2 lr wd/(1 + momentum)) a step, and is each "
    "one's norm (lr E|g|^2/(2 wd (1 - momentum)))^(1/4) with its own measured gradient?",
    cells=cells,
    more=("noise_trace",),
    groups=True,
    figures=("wan-equilibrium",),
    paper={
        "source": "Wan et al. 2021; theory.md 6.2, 6.3",
        "angle_step": "sqrt(2 lr wd/(1 + momentum))",
        "weight_norm": "(lr E|g|^2/(wd (1 - momentum) (2 - lr wd/(1 + momentum))))^(1/4)",
    },
)
