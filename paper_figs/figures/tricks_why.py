"""What is behind the verdicts on tricks: norm, dead networks, split of the cosine, and the reason of each verdict.

For the rows of `tricks-table`. "Fixup, no norm" is the control: `fixup-resnet18`, in which the last convolution of every branch and
the classifier start at 0 and the first convolutions are scaled down, so that ZeroInit is part of Fixup and has no row of its own
(with normalisation the same start is the row "zero-gamma"); it trains with a tenth of lr and ten times wd.
"""

from paper_figs.findings.tricks_why import find, seen, tables
from paper_figs.grid import stacked
from paper_figs.scripts import Drawn, Records

SOURCE = "He et al. 2019 (bag of tricks) against Yun et al. 2022, eq. 27; theory.md 1.11, 9.10"
EXPERIMENTS = ("tricks",)


def draw(records: Records) -> Drawn:
    """A table of numbers and one of reasons."""
    found = find(records["tricks"])
    made = tables(found)
    return Drawn(stacked(made, width=13.0), seen(found), made)
