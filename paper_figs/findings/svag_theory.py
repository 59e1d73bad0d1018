"""Squared length under SGD, SVAG and the SDE beside the formula with the mean gradient's share at l substeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.run import Run

Array = np.ndarray
LENGTHS = (1, 2, 4, 8, 16)  # substeps l of SVAG; 1 is SGD
SIGNALS = (1.0, 4.0, 12.0)  # strengths of the mean gradient
DIM = 8


@dataclass(frozen=True)
class Found:
    """At one strength of the mean gradient, E|x|² over what the noise alone would keep, sqrt(lr τ/(2 wd)).

    Attributes
    ----------
    share : float
        G/τ, the measured squared mean gradient over the noise trace, under SGD.
    ratio, error : ndarray, shape (l,)
        Measured, with its standard error.
    law : ndarray, shape (l,)
        sqrt(1 + G/(τ l)) with the mean gradient measured at each l.
    sde : float
        Of the SDE.
    """

    share: float
    ratio: Array
    error: Array
    law: Array
    sde: float


def find(record: xr.Dataset, known: Mapping[str, Run]) -> list[Found]:
    """Of every strength of the mean gradient; `known` are the runs that the record was simulated from."""
    return [_of_signal(record, known[f"{signal:g}: l=1"], signal) for signal in SIGNALS]


def _of_signal(record: xr.Dataset, sgd: Run, signal: float) -> Found:
    trace, hp = sgd.arrays.noise_variance * (DIM - 1), sgd.hyperparameters
    alone = np.sqrt(hp.lr * trace / (2 * hp.wd))
    cells, sde = record.sel(cell=[f"{signal:g}: l={k}" for k in LENGTHS]), record.sel(cell=f"{signal:g}: SDE")
    length, measured = cells["weight_norm_level"].values, cells["signal_level"].values
    ratio = length**2 / alone
    return Found(
        share=float(measured[0] / trace),
        ratio=ratio,
        error=2 * cells["weight_norm_level_stderr"].values / length * ratio,
        law=np.sqrt(1 + measured / trace / np.array(LENGTHS)),
        sde=float(sde["weight_norm_level"]) ** 2 / alone,
    )


def seen(found: list[Found]) -> str:
    """How well the formula holds, and how far SGD is from the SDE."""
    off = max(np.max(np.abs(one.ratio / one.law - 1)) for one in found)
    shares = [one.share for one in found]
    text = f"""E|x|^2 = sqrt(lr (tau + G/l)/(2 wd)) with the measured mean gradient holds within {100 * off:.1f} % at
    every l, for G/tau from {min(shares):.2f} to {max(shares):.2f} under SGD. SGD's own length is
    {100 * (np.sqrt(1 + max(shares)) - 1):.0f} % (in E|x|^2) above the SDE's in the strongest case: there SGD is no
    discretisation of the SDE. What is left is of order lr wd and 1/dim, which the formula leaves out."""
    return " ".join(text.split())
