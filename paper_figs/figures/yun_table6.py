"""Table 6: cosine schedule.

The diagonal stays where it is under a cosine schedule, which has no phase of constant rate.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 6"
EXPERIMENTS = ("yun-table6",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table6"], 6)
