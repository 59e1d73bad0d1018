"""Table 1: SGDM at fixed batch size.

The best or second-best accuracy of every N is in the cells of one tuning factor, whether lr, wd or both are tuned.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 1"
EXPERIMENTS = ("yun-table1",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table1"], 1)
