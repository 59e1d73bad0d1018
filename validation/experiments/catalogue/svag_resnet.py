"""SGD, SVAG and the SDE on a residual network (Li, Malladi and Arora 2021)."""

from validation.experiments.base import MOMENTS, Cell, Experiment, cell
from validation.experiments.setups import STEADY

EPOCHS = {"tiny": 4, "cpu": 40, "gpu": 40, "full": 100}
SIZE = {"gpu": {"N": 10_240}}  # a step of l = 8 takes sixteen minibatches


def cells(scale: str) -> list[Cell]:
    """SVAG with l = 1 (SGD), 2, 4, 8; momentum 0, with replacement."""
    base, epochs = STEADY[scale], EPOCHS[scale]
    same = SIZE.get(scale, {}) | {
        "momentum": 0.0, "lr": 10 * base["lr"], "sampling": "replacement", "epochs": epochs, "evaluate_every": epochs
    }  # fmt: skip
    return [cell(base, same | {"svag": parts if parts > 1 else None}, svag=float(parts)) for parts in (1, 2, 4, 8)]


EXPERIMENT = Experiment(
    title="Norm, angle and loss of SGD and of SVAG with l = 2, 4, 8 beside the SDE",
    source="Li, Malladi and Arora 2021, section 4; theory.md 4.1 to 4.4",
    question="Do the curves approach each other like 1/l, and is the equilibrium norm |x|^4 = lr (tau + G/l)/(2 "
    "wd) with the measured signal G and noise tau, so that SGD and the SDE differ by the share of the "
    "signal?",
    cells=cells,
    more=MOMENTS,
    figures=("svag-resnet",),
    paper={"source": "theory.md 4.3, 4.4, 4.6", "norm_ratio_sgd_sde": "(1 + G/tau)^(1/4)"},
)
