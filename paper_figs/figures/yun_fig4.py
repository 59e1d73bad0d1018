"""Figure 4: angle per epoch on the diagonal of table 3.

The same at fixed N and different batch sizes.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import diagonal

SOURCE = "Yun et al. 2022, fig. 4; theory.md 9.2, 9.10"
EXPERIMENTS = ("yun-table3",)


def draw(records: Records) -> Drawn:
    """Cells of equal tuning factor, one panel a way of tuning."""
    return diagonal(records["yun-table3"])
