"""Table 3: SGDM at fixed N.

With the number of samples fixed the best wd (or lr) grows in proportion to the batch size.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 3"
EXPERIMENTS = ("yun-table3",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table3"], 3)
