"""Figure 8 of Yun et al.: weight decay searched on a sixteenth of the data, then on all of it."""

from validation.experiments.base import Cell, Experiment, cell
from validation.experiments.setups import YUN
from validation.experiments.yun import scaled

SHARE = 16
# network and data; N of the whole set; lowest wd on it; rows
SETUPS = {
    "tiny": ({"network": "se-resnet", "width": 4, "blocks": [1], "B": 16}, 1024, 1e-3, 2),
    "cpu": ({"network": "se-resnet", "width": 16, "blocks": [1, 1, 1], "B": 64}, 4096, 1e-4 / 16, 10),
    "gpu": ({"network": "se-resnet", "width": 32, "B": 128}, 12_288, 1e-4, 5),
    "full": ({"network": "timm:efficientnet_b0", "width": None, "B": 512, "epochs": 200}, 50_000, 1e-4, 6),
}


def cells(scale: str) -> list[Cell]:
    """Share of the data x wd; the subset's wd are 16 times those of the whole set, row by row."""
    network, N, wd, rows = SETUPS[scale]
    base = {**YUN[scale], **network}
    epochs = base["epochs"]
    base |= {"schedule": f"multi-step:{epochs // 2},{epochs * 3 // 4},{epochs * 9 // 10}", "evaluate_every": epochs}
    return [
        cell(base, {"N": N // part} | scaled(base["lr"], wd * part, "wd", row), data="subset" if part > 1 else "whole",
             row=float(row))
        for part in (SHARE, 1)
        for row in range(rows)
    ]  # fmt: skip


EXPERIMENT = Experiment(
    title="Weight decay searched on a sixteenth of the data and on all of it, for a network with scale-variant parts",
    source="Yun et al. section 6, figure 8",
    question="Does the tuning factor of the subset's best weight decay give that of the whole set, although "
    "squeeze and excitation, SiLU and the last layer are not scale-invariant?",
    cells=cells,
    figures=("yun-fig8",),
    paper={
        "source": "Yun et al. section 6, EfficientNet-B0 on ImageNet, B = 512, lr = 0.1, momentum = 0.9",
        "subset": {"N": 80_000, "best_wd": 0.0016},
        "whole": {"N": 1_280_000, "predicted_wd": 1e-4, "best_wd": 5e-5, "second_wd": 1e-4},
    },
)
