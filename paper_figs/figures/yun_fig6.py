"""Figure 6: angle per epoch under a cosine schedule.

Equal tuning factors turn alike over the whole of a cosine schedule.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import diagonal

SOURCE = "Yun et al. 2022, fig. 6; theory.md 9.2, 9.10"
EXPERIMENTS = ("yun-table6",)


def draw(records: Records) -> Drawn:
    """Cells of equal tuning factor, one panel a way of tuning."""
    return diagonal(records["yun-table6"])
