"""Table 3 and figure 4 of Yun et al.: SGDM at fixed N."""

from validation.experiments.base import Experiment
from validation.experiments.yun import columns, paper

EXPERIMENT = Experiment(
    title="Fixed N, SGDM: test accuracy over lr, wd and B",
    source="Yun et al. section 5.1, table 3, figure 4",
    question="Does the best wd grow in proportion to B, and do the cells of the diagonal turn alike?",
    cells=lambda scale: columns(scale, "B"),
    figures=("yun-table3", "yun-fig4", "yun-quantified"),
    paper=paper(3),
)
