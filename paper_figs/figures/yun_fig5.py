"""Figure 5: angle per epoch on the diagonal of table 5.

With lr and wd fixed the angles of the diagonal are remarkably similar.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import diagonal

SOURCE = "Yun et al. 2022, fig. 5; theory.md 9.2, 9.10"
EXPERIMENTS = ("yun-table5",)


def draw(records: Records) -> Drawn:
    """Cells of equal tuning factor, one panel a way of tuning."""
    return diagonal(records["yun-table5"])
