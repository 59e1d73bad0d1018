"""Noise alone, reshuffled and with replacement: how far it turns within epochs and between their ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import style
from sde_si import theory

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
STEPS, DIM, FACTORS, MOMENTA = 40, 256, (0.01, 0.03, 0.1, 0.3), (0.0, 0.9)
LAGS = (1, 2, 4, 7, 10, 15, 20, 25, 30, 35, 38, 40, 45, 50, 60, 70, 75, 80)
REPLACED, RESHUFFLED, SDE = "replacement", "reshuffle", "SDE"
SAMPLING = {REPLACED: "with replacement", RESHUFFLED: "reshuffled"}
FACTOR = FACTORS[2]  # at which the lags are shown
EVERY_LAG = np.arange(1, LAGS[-1] + 1)
RANGE = np.geomspace(FACTORS[0] / 1.5, 1.5 * FACTORS[-1], 12)  # tuning factors at which the laws are drawn


@dataclass(frozen=True)
class Turned:
    """1 - cos from an epoch's start, at one momentum.

    Attributes
    ----------
    measured, error : dict of str to ndarray, shape (lag,)
        By `SAMPLING`, and of the `SDE`, which knows no epochs, at `LAGS`; and standard errors.
    exact : dict of str to ndarray, shape (every lag,)
        By `SAMPLING`, at `EVERY_LAG`.
    paper : ndarray, shape (every lag,)
    middle : float
        Exact, reshuffled, from the middle of an epoch to the middle of the next.
    """

    measured: dict[str, Array]
    error: dict[str, Array]
    exact: dict[str, Array]
    paper: Array
    middle: float


@dataclass(frozen=True)
class Ends:
    """Angle between epoch ends in degrees, at one momentum and way of sampling.

    Attributes
    ----------
    measured, error, exact : ndarray, shape (factor,)
        At `FACTORS`.
    law : ndarray, shape (12,)
        Exact, at `RANGE`.
    """

    measured: Array
    error: Array
    exact: Array
    law: Array


@dataclass(frozen=True)
class Found:
    """`Turned` by momentum; `Ends` by momentum and way of sampling."""

    turned: dict[float, Turned]
    ends: dict[tuple[float, str], Ends]


def name(factor: float, mu: float, how: str) -> str:
    """Of a cell of the record."""
    return f"{factor:g}, mu={mu:g}, {how}"


def rate(factor: float, mu: float) -> float:
    """Intrinsic learning rate of a tuning factor."""
    return factor / STEPS * (1 - mu)


def find(record: xr.Dataset) -> Found:
    """Both, with their laws."""
    return Found(
        turned={mu: _turned(record, mu) for mu in MOMENTA},
        ends={(mu, how): _ends(record, mu, how) for mu in MOMENTA for how in SAMPLING},
    )


def _turned(record: xr.Dataset, mu: float) -> Turned:
    u, cells = rate(FACTOR, mu), {how: record.sel(cell=name(FACTOR, mu, how)) for how in (*SAMPLING, SDE)}
    replaced, reshuffled = 1 - theory.lag_cosines(LAGS[-1], u, mu), theory.reshuffled_versines(STEPS, u, mu, LAGS[-1])
    return Turned(
        measured={how: cell["versine_lag"].values for how, cell in cells.items()},
        error={how: cell["versine_lag_stderr"].values for how, cell in cells.items()},
        exact={REPLACED: replaced[1:], RESHUFFLED: reshuffled[1:]},
        paper=EVERY_LAG * u / (1 - mu),
        middle=theory.reshuffled_versines(STEPS, u, mu, STEPS, start=STEPS // 2)[-1],
    )


def _ends(record: xr.Dataset, mu: float, how: str) -> Ends:
    cells = record.sel(cell=[name(factor, mu, how) for factor in FACTORS])
    versine, error = cells["versine_epoch_level"].values, cells["versine_epoch_level_stderr"].values
    angle = np.array([theory.angle_of(float(one)) for one in versine])
    exact, law = (np.array([_exact(factor, mu, how) for factor in factors]) for factors in (FACTORS, RANGE))
    unit = style.DEGREES
    return Ends(measured=unit * angle, error=unit * error / np.sin(angle), exact=unit * exact, law=unit * law)


def _exact(factor: float, mu: float, how: str) -> float:
    """Angle between epoch ends in radians."""
    u = rate(factor, mu)
    if how == REPLACED:
        return theory.angle_of(float(1 - theory.lag_cosines(STEPS, u, mu)[-1]))
    versine = float(theory.reshuffled_versines(STEPS, u, mu, STEPS)[-1])
    # of finite dimension, which is all there is without momentum (theory.md 1.13)
    return theory.angle_of(versine + (STEPS * u / (1 - mu)) ** 2 * (STEPS + 1) / (6 * (DIM - 1) * (STEPS - 1)))


def seen(found: Found) -> str:
    """How little is left of the rotation between epoch ends."""
    at = FACTORS.index(FACTOR)
    left = [found.ends[mu, RESHUFFLED].measured[at] / found.ends[mu, REPLACED].exact[at] for mu in MOMENTA]
    return (
        f"reshuffled, the angle between epoch ends is {left[0]:.2f} (mu=0) and {left[1]:.2f} (mu=0.9) of that with "
        "replacement at tuning factor 0.1; from mid-epoch to mid-epoch it is not small (diamonds). This is noise "
        "alone: what of it is left in a network, where the basin holds the weights, is measured on the figure "
        "`reshuffling`."
    )
