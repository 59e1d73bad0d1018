"""What schedules do to the angle per epoch of a network."""

from validation.experiments.base import MOMENTS, Cell, Experiment, cell
from validation.experiments.setups import STEADY


def schedules(epochs: int) -> dict[str, str]:
    """Name -> text of `sde_si.schedules`, with phases in proportion to a run of so many epochs (60: whole numbers)."""
    part = {k: max(1, epochs // k) for k in (2, 3, 4, 6, 12, 15)}
    half = max(1, 2 * epochs // 15)
    return {
        "constant": "constant",
        "step": f"step:{part[3]}",
        "multi-step": f"multi-step:{part[2]},{3 * epochs // 4}",
        "cosine": "cosine",
        "linear": "linear",
        "warm-up": f"warm-up:{part[6]}",
        "SGDR": f"sgdr:{part[15]},2",
        "triangular": f"triangular:{half}",
        "triangular2": f"triangular2:{half}",
        "exp_range": f"exp_range:{half},decay=0.9995",
        "1cycle": "1cycle",
        "trapezoid (WSD)": "trapezoid:0.1,0.3",
        "batch growth": f"batch-growth:{part[4]},2",
        "cosine after warm-up": f"cosine+warm-up:{part[12]}",
    }


def cells(scale: str) -> list[Cell]:
    """One cell a schedule."""
    base = {**STEADY[scale], "sampling": "replacement"}
    return [cell(base, {"schedule": text}, schedule=name) for name, text in schedules(base["epochs"]).items()]


EXPERIMENT = Experiment(
    title="Angle per epoch under every schedule of the simulator",
    source="theory.md 9.10, 7.3, 7.4; Yun et al. table 6; bag of tricks",
    question="Does the recursion of the second moments, with the measured gradients, follow norm and angles through "
    "cosine, restarts, 1cycle, warm-up, decay and batch growth?",
    cells=cells,
    more=MOMENTS,
    figures=("schedules-network",),
)
