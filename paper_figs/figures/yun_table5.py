"""Table 5: fixed lr and wd.

With the product lr wd fixed the best batch size is in proportion to N.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 5"
EXPERIMENTS = ("yun-table5",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table5"], 5)
