"""What to change with the batch size: rules that keep the tuning factor and rules that do not."""

from validation.experiments.base import MOMENTS, Cell, Experiment, cell
from validation.experiments.setups import YUN
from validation.experiments.yun import GRIDS

# rule -> (power of k on lr, on wd) when B becomes k B; the tuning factor is kept if they add up to 1
RULES = {"lr": (1.0, 0.0), "wd": (0.0, 1.0), "both": (0.5, 0.5), "root lr": (0.5, 0.0), "nothing": (0.0, 0.0)}
TIMES = {"tiny": (2,), "cpu": (2, 4, 8), "gpu": (2, 4), "full": (2, 4, 8, 16)}


def cells(scale: str) -> list[Cell]:
    """Rule x growth of B from the smallest batch; and decay of lr against growth of B over the run."""
    grid, noise = GRIDS[scale], {"noise_batches": 4}
    B, N = grid.batches[-1], grid.fixed_N
    yun = YUN[scale]
    wd = float(f"{grid.factor * B * (1 - yun['momentum']) / (N * yun['lr']):.6g}")
    base = {**yun, **noise, "N": N, "B": B, "wd": wd}
    made = [cell(base, rule="start", times=1.0)]
    for rule, (on_lr, on_wd) in RULES.items():
        made += [
            cell(base, {"B": k * B, "lr": yun["lr"] * k**on_lr, "wd": wd * k**on_wd}, rule=rule, times=float(k))
            for k in TIMES[scale]
        ]
    every = base["epochs"] // 4
    made.append(cell(base, {"schedule": f"step:{every},0.5"}, rule="lr decay", times=1.0))
    made.append(cell(base, {"schedule": f"batch-growth:{every},2"}, rule="batch growth", times=1.0))
    return made


EXPERIMENT = Experiment(
    title="Linear scaling with and without the tuning factor; batch growth instead of lr decay",
    source="Goyal et al. 2017; Smith et al. 2018; Li et al. 2021; theory.md 4.5, 7.1, 7.2, 8.9, 10.12",
    question="Do the rules that keep N lr wd/(B (1 - momentum)) keep angle per epoch and accuracy, up to the batch "
    "size at which the noise scale says that noise no longer dominates, and do decay of lr and growth of "
    "B turn alike?",
    cells=cells,
    more=MOMENTS,
    figures=("scaling-rules",),
    paper={"source": "theory.md 4.5", "largest_k": "C^2 + (C^2 - 1) tau/G for norms within a factor C"},
)
