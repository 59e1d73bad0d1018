"""Reshuffled epochs against samples drawn with replacement (theory.md 1.12, 1.13, 9.2)."""

from itertools import product

from validation.experiments.base import SPLIT, Cell, Experiment, cell
from validation.experiments.setups import STEADY, YUN
from validation.experiments.yun import GRIDS

SAMPLINGS = ("reshuffle", "replacement")
AUGMENTS = {"none": None, "shift": ["shift"]}
# The same tuning factor and the same wd at both.
MOMENTA = {0.9: 1.0, 0.0: 10.0}  # momentum -> factor on lr


def cells(scale: str) -> list[Cell]:
    """At equilibrium: momentum x sampling x augmentation; over Yun et al.'s schedule: sampling x augmentation."""
    base, yun, grid = STEADY[scale], YUN[scale], GRIDS[scale]
    made = [
        cell(
            base, {"momentum": mu, "lr": base["lr"] * MOMENTA[mu], "sampling": sampling, "augment": AUGMENTS[name]},
            part="equilibrium", sampling=sampling, augment=name,
        )
        for mu, sampling, name in product(MOMENTA, SAMPLINGS, AUGMENTS)
    ]  # fmt: skip
    wd = grid.factor * grid.batch * (1 - yun["momentum"]) / (grid.fixed_N * yun["lr"])
    tuned = {"N": grid.fixed_N, "B": grid.batch, "wd": float(f"{wd:.6g}")}
    # What the paper has: its own augmentation, reshuffled; that is a cell of table 1.
    ways = {"none": None, "paper": yun.get("augment", ["shift"])}
    return made + [
        cell(
            yun, {**tuned, "augment": augment} | ({} if sampling == "reshuffle" else {"sampling": sampling}),
            part="schedule", sampling=sampling, augment=name,
        )
        for sampling, (name, augment) in product(SAMPLINGS, ways.items())
    ]  # fmt: skip


EXPERIMENT = Experiment(
    title="Angle per epoch from end to end and from middle to middle, reshuffled and with replacement",
    source="theory.md 1.12, 1.13, 9.2, 18; Yun et al. figures 2 to 7",
    question="How much of the distance between a network and Yun et al.'s law is the order of the samples: does "
    "the angle between epoch ends fall under reshuffling while that between middles and that per step "
    "stay, does augmentation bring it back, and is the norm smaller with momentum only?",
    cells=cells,
    more=("noise_trace", *SPLIT, "angle_middle"),
    figures=("reshuffling",),
)
