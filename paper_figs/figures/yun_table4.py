"""Table 4: SGD without momentum at fixed N.

As table 3; but above B = 512 the paper has a case in which not even the second-best value is on the diagonal, and puts it
down to a learning rate that is too large to be stable.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 4"
EXPERIMENTS = ("yun-table4",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table4"], 4)
