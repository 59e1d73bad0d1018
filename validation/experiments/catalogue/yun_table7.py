"""Table 7 and figure 7 of Yun et al.: the network as it is."""

from validation.experiments.base import Experiment
from validation.experiments.yun import columns, paper

EXPERIMENT = Experiment(
    title="Unmodified ResNet-18, fixed batch size, SGDM: test accuracy over lr, wd and N",
    source="Yun et al. section 5.2, table 7, figure 7",
    question="Does the diagonal survive affine normalisation and a trained last layer? Angles are of the scale- "
    "invariant weights alone.",
    # ghost batches as in table 1, so that only what is trained differs
    cells=lambda scale: columns(scale, "N", {"network": "resnet18"}),
    figures=("yun-table7", "yun-fig7", "yun-quantified"),
    paper=paper(7),
)
