"""Figures 1 and 2 of Yun et al.: what well-tuned combinations have in common."""

from validation.experiments.base import Experiment
from validation.experiments.yun import combinations

EXPERIMENT = Experiment(
    title="Six searches: effective lr, effective lr per epoch and angle per epoch of good and of poor combinations",
    source="Yun et al. section 3.2, figures 1 and 2",
    question="Do well-tuned combinations of different N, B, lr, wd share the angle per epoch, but neither the "
    "effective lr nor that per epoch, and do poor ones differ?",
    cells=combinations,
    figures=("yun-fig1", "yun-fig2"),
    paper={
        "source": "Yun et al. section 3.2 and captions of figures 1, 2; the curves are not printed as numbers",
        "combinations": [
            {"N": 50000, "B": 256, "tuned": "lr"}, {"N": 50000, "B": 256, "tuned": "wd"},
            {"N": 50000, "B": 1024, "tuned": "both"}, {"N": 25000, "B": 128, "tuned": "lr"},
            {"N": 12500, "B": 128, "tuned": "wd"}, {"N": 6250, "B": 128, "tuned": "both"},
        ],
    },
)  # fmt: skip
