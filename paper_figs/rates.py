"""Training on the sphere in a record of Kodryan et al.'s experiment: the fixed rates and where convergence ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks
from sde_si.regimes import CONVERGENCE, UNDECIDED

if TYPE_CHECKING:
    import xarray as xr


def fixed_rates(record: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells on the sphere, their rates, in order, and their regimes."""
    cells = np.array(networks.pick(record, training="sphere"))
    cells = cells[np.argsort(record["fixed"].values[cells])]
    return cells, record["fixed"].values[cells], record["regime"].values[cells].astype(str)


def threshold(record: xr.Dataset) -> tuple[float, float]:
    """Highest fixed rate that converges, and the lowest above it in another regime; nan where there is none."""
    _, rates, regime = fixed_rates(record)
    low = max(rates[regime == CONVERGENCE], default=np.nan)
    return float(low), float(min(rates[~np.isin(regime, (CONVERGENCE, UNDECIDED)) & (rates > low)], default=np.nan))
