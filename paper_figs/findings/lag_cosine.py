"""Angle against lag under the optimizer and the SDE, beside the exact laws, in units of Yun's linear formula."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs.grid import with_error
from sde_si import theory

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
MOMENTA = (0.0, 0.5, 0.9)
FACTOR, STEPS = 0.1, 100  # tuning factor, steps per epoch
LAGS = (1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 100, 130, 200, 300)
EVERY = np.arange(1, LAGS[-1] + 1)  # lag at which the laws are known
PRINTED = (1, 5, 20, 100)  # lags of which the SDE's error is told
CLOSE = 0.01  # relative error below which the SDE counts as good


@dataclass(frozen=True)
class Course:
    """At one momentum μ, 1 - cosine of the angle over n steps, divided by Yun's n u/(1-μ).

    Attributes
    ----------
    momentum : float
    measured, error : ndarray, shape (lag,)
        The optimizer's at `LAGS`, with its standard error over paths.
    sde : ndarray, shape (lag,)
        Of the SDE.
    law : ndarray, shape (n,)
        Theory 9.2 at `EVERY` lag.
    ratio, ratio_error : ndarray, shape (lag,)
        SDE over optimizer, with its standard error.
    ratio_law : ndarray, shape (n,)
        Theory 9.7 over 9.2.
    """

    momentum: float
    measured: Array
    error: Array
    sde: Array
    law: Array
    ratio: Array
    ratio_error: Array
    ratio_law: Array

    @property
    def wan(self) -> float:
        """Wan's formula for one step, u/(1+μ), in the same units."""
        return (1 - self.momentum) / (1 + self.momentum)

    @property
    def memory(self) -> int:
        """Steps that the velocity remembers, 1/(1-μ)."""
        return max(1, round(1 / (1 - self.momentum)))

    @property
    def close_from(self) -> int:
        """Lag from which on the SDE's error is below `CLOSE`, by theory."""
        return int(EVERY[np.abs(self.ratio_law - 1) > CLOSE].max(initial=0)) + 1


def find(record: xr.Dataset) -> list[Course]:
    """Of every momentum."""
    return [_course(record, momentum) for momentum in MOMENTA]


def _course(record: xr.Dataset, momentum: float) -> Course:
    (measured, error), (sde, sde_error) = (
        [record.sel(cell=f"{method}, mu={momentum:g}")[name].values for name in ("versine_lag", "versine_lag_stderr")]
        for method in ("sgd", "splitting")
    )
    u = FACTOR / STEPS * (1 - momentum)
    yun, every = np.array(LAGS) * u / (1 - momentum), EVERY * u / (1 - momentum)
    exact = 1 - theory.lag_cosines(LAGS[-1], u, momentum)[1:]
    return Course(
        momentum=momentum,
        measured=measured / yun,
        error=error / yun,
        sde=sde / yun,
        law=exact / every,
        ratio=sde / measured,
        ratio_error=sde / measured * np.hypot(error / measured, sde_error / sde),
        ratio_law=(1 - np.asarray(theory.sde_lag_cosine(EVERY, u, momentum))) / exact,
    )


def seen(found: list[Course]) -> str:
    """Where between Wan's and Yun's factors the angle is, and from which lag on the SDE has it."""
    at = np.array(LAGS) - 1
    off = max(np.max(np.abs(one.measured - one.law[at]) / one.error) for one in found)
    off_sde = max(np.max(np.abs(one.ratio - one.ratio_law[at]) / one.ratio_error) for one in found)
    laws = [f"{one.law[one.memory - 1]:.3f} and {one.law[STEPS - 1]:.3f} (μ={one.momentum:g})" for one in found]
    with_momentum = [one for one in found if one.momentum]
    late = "beyond" if all(one.close_from > one.memory for one in with_momentum) else "not everywhere beyond"
    within = [f"{one.close_from} (μ={one.momentum:g}, 1/(1-μ) = {one.memory})" for one in with_momentum]
    text = f"""{len(LAGS) * len(MOMENTA)} measured points are within {off:.1f} standard errors of the exact law. In
    units of Yun's n u/(1-μ) the law is Wan's (1-μ)/(1+μ) at lag 1; after 1/(1-μ) steps and after one epoch it is
    {"; ".join(laws)}. At long lags all fall below Yun's, which is linear in n. The SDE over the optimizer, in brackets
    theory 9.7 over 9.2: {"; ".join(map(_ratios, with_momentum))}; all points are within {off_sde:.1f} standard errors
    of 9.7. The error of the SDE lasts {late} the memory of 1/(1-μ) steps: at longer lags it falls as 1/((1+μ) n), and
    is below {100 * CLOSE:g} % from lag {", ".join(within)} on. Without momentum the SDE is exact but for terms in u.
    Neither paper compares the two lags; Yun et al. take their factor from the SDE, and use it where the SDE is good:
    after one epoch."""
    return " ".join(text.split())


def _ratios(one: Course) -> str:
    """SDE over optimizer at the lags that are told, measured and by theory."""
    at = {lag: LAGS.index(lag) for lag in PRINTED}
    told = [
        f"{with_error(one.ratio[k], one.ratio_error[k])} ({one.ratio_law[lag - 1]:.3f}) at {lag}"
        for lag, k in at.items()
    ]
    return f"μ={one.momentum:g}: {', '.join(told)}"
