"""Table 5 and figure 5 of Yun et al.: fixed lr and wd."""

from validation.experiments.base import Experiment
from validation.experiments.yun import at_fixed_product, paper

EXPERIMENT = Experiment(
    title="Fixed lr and wd, SGDM: test accuracy over N and B",
    source="Yun et al. section 5.1, table 5, figure 5",
    question="Is the best B in proportion to N at one lr and wd?",
    cells=at_fixed_product,
    figures=("yun-table5", "yun-fig5", "yun-quantified"),
    paper=paper(5),
)
