"""Table 6 and figure 6 of Yun et al.: cosine schedule at fixed N."""

from validation.experiments.base import Experiment
from validation.experiments.yun import columns, paper

EXPERIMENT = Experiment(
    title="Fixed N, SGDM, cosine schedule: test accuracy over lr, wd and B",
    source="Yun et al. section 5.1, table 6, figure 6 (text and figure fix N; the table's caption says fixed B)",
    question="Does the diagonal stay where it is when lr follows half a cosine instead of steps?",
    cells=lambda scale: columns(scale, "B", {"schedule": "cosine"}),
    figures=("yun-table6", "yun-fig6", "yun-quantified"),
    paper=paper(6),
)
