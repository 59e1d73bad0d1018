"""What is estimated from a record: values per epoch, equilibrium values, and whether there is an equilibrium."""

from sde_si.estimators.reduced import (
    difference,
    epoch_estimate,
    equilibrium,
    lag_versine,
    relaxation,
    series,
    values,
)
from sde_si.estimators.samples import (
    FEWEST_PATHS,
    Estimate,
    chord_versine,
    jackknife,
    log_slope,
    mean_and_error,
    path_or_batch_means,
    ratio,
    rms,
    versine,
)
from sde_si.estimators.window import Window, candidate_epoch, equilibrated, window_of

__all__ = [
    "FEWEST_PATHS", "Estimate", "Window", "candidate_epoch", "chord_versine", "difference", "epoch_estimate",
    "equilibrated", "equilibrium", "jackknife", "lag_versine", "log_slope", "mean_and_error", "path_or_batch_means",
    "ratio", "relaxation", "rms", "series", "values", "versine", "window_of",
]  # fmt: skip
