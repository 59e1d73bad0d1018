"""Table 1 and figure 3 of Yun et al.: SGDM at fixed B."""

from validation.experiments.base import Experiment
from validation.experiments.yun import columns, paper

EXPERIMENT = Experiment(
    title="Fixed batch size, SGDM: test accuracy over lr, wd and N",
    source="Yun et al. section 5.1, table 1, figure 3",
    question="Is the best cell of every column on the diagonal of constant tuning factor, whatever was tuned, and "
    "do the cells of that diagonal turn by the same angle per epoch after the transient?",
    cells=lambda scale: columns(scale, "N"),
    figures=("yun-table1", "yun-fig3", "yun-quantified"),
    paper=paper(1),
)
