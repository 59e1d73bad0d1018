"""Table 7: the network as it is.

The diagonal holds for a ResNet with affine normalisation and a trained last layer, too.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 7"
EXPERIMENTS = ("yun-table7",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table7"], 7)
