"""Figure 7: angle per epoch of the network as it is.

Measured over its scale-invariant weights, the unmodified network behaves like the modified one.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import diagonal

SOURCE = "Yun et al. 2022, fig. 7; theory.md 9.2, 9.10"
EXPERIMENTS = ("yun-table7",)


def draw(records: Records) -> Drawn:
    """Cells of equal tuning factor, one panel a way of tuning."""
    return diagonal(records["yun-table7"])
