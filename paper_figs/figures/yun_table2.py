"""Table 2: SGD without momentum at fixed batch size.

The same diagonal holds without momentum, with the factor 1/(1-mu) in its place.
"""

from paper_figs.scripts import Drawn, Records
from paper_figs.tables import table

SOURCE = "Yun et al. 2022, table 2"
EXPERIMENTS = ("yun-table2",)


def draw(records: Records) -> Drawn:
    """The table and the paper's own, part by part."""
    return table(records["yun-table2"], 2)
