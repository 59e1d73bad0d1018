"""Figure 3: angle per epoch on the diagonal of table 1.

Cells of equal tuning factor turn differently during the transient and alike after it.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import diagonal

SOURCE = "Yun et al. 2022, fig. 3; theory.md 9.2, 9.10"
EXPERIMENTS = ("yun-table1",)


def draw(records: Records) -> Drawn:
    """Cells of equal tuning factor, one panel a way of tuning."""
    return diagonal(records["yun-table1"])
