"""Table 2 of Yun et al.: SGD at fixed B."""

from validation.experiments.base import Experiment
from validation.experiments.yun import SGD, columns, paper

EXPERIMENT = Experiment(
    title="Fixed batch size, SGD without momentum: test accuracy over lr, wd and N",
    source="Yun et al. section 5.1, table 2",
    question="As table 1 without momentum: does the factor 1/(1 - momentum) carry the diagonal over?",
    cells=lambda scale: columns(scale, "N", SGD),
    figures=("yun-table2", "yun-quantified"),
    paper=paper(2),
)
