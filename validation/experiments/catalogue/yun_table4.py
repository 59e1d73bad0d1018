"""Table 4 of Yun et al.: SGD at fixed N."""

from validation.experiments.base import Experiment
from validation.experiments.yun import SGD, columns, paper

EXPERIMENT = Experiment(
    title="Fixed N, SGD without momentum: test accuracy over lr, wd and B",
    source="Yun et al. section 5.1, table 4",
    question="As table 3 without momentum, where the paper itself sees large batches leave the diagonal.",
    cells=lambda scale: columns(scale, "B", SGD),
    figures=("yun-table4", "yun-quantified"),
    paper=paper(4),
)
