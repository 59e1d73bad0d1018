"""Angle against lag: Wan's and Yun's factors of momentum are both right, at different lags.

Wan et al. put 1/(1+mu) into the angle of one step, Yun et al. 1/(1-mu) into that of one epoch. The two never meet in
one plot of the papers: consecutive steps of SGDM are correlated, so the factor grows with the lag.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si import theory
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Wan et al. 2021 and Yun et al. 2022, eqs. 18, 27; theory.md 9.2, 9.3, 9.7"
KEEP = ("versine_lag",)
MOMENTA = (0.0, 0.5, 0.9)
FACTOR, STEPS = 0.1, 100  # tuning factor, steps per epoch
LAGS = (1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 100, 130, 200, 300)


def runs() -> dict[str, Run]:
    """One tuning factor, three momenta; the optimizer and the SDE."""
    return {
        f"{method}, mu={mu:g}": run(N=STEPS * 128, B=128, lr=0.1, wd=FACTOR / STEPS * (1 - mu) / 0.1, momentum=mu,
                                    epochs=60, paths=64, dim=128, lags=LAGS, method=method, seed=i)
        for i, mu in enumerate(MOMENTA) for method in ("sgd", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """(1 - cos)/(n u/(1 - mu)) against the lag n: Yun's formula is 1, Wan's (1 - mu)/(1 + mu)."""
    record = records["simulated"]
    figure, (axis,) = style.panels(1, width=6.4, height=4.0)
    fine, off = np.arange(1, LAGS[-1] + 1), []
    for i, mu in enumerate(MOMENTA):
        u = FACTOR / STEPS * (1 - mu)
        yun = np.array(LAGS) * u / (1 - mu)
        found, sde = record.sel(cell=f"sgd, mu={mu:g}"), record.sel(cell=f"splitting, mu={mu:g}")
        style.measured(
            axis, LAGS, found["versine_lag"] / yun, found["versine_lag_stderr"] / yun, i=i, label=f"μ = {mu:g}"
        )
        style.sde(axis, LAGS, sde["versine_lag"] / yun, i=i)
        law = (1 - theory.lag_cosines(LAGS[-1], u, mu)[1:]) * (1 - mu) / (fine * u)
        style.exact(axis, fine, law, i=i)
        style.paper(axis, fine[:6], np.full(6, (1 - mu) / (1 + mu)), i=i, ls=":", lw=1.6)
        off.append(np.max(np.abs((found["versine_lag"].values / yun - law[np.array(LAGS) - 1])
                                 / (found["versine_lag_stderr"].values / yun))))  # fmt: skip
    style.paper(axis, [1, LAGS[-1]], [1, 1])
    axis.axvline(STEPS, color="0.75", lw=0.8, zorder=0)
    axis.text(STEPS * 0.95, 0.06, "one epoch", rotation=90, ha="right", va="bottom", fontsize="small", color="0.4")
    axis.text(1.1, 1.03, "Yun et al.: n u/(1-μ)", fontsize="small", color="0.3")
    axis.text(6.6, (1 - 0.9) / 1.9, "Wan et al.: u/(1+μ), dotted", fontsize="small", color="0.3", va="center")
    axis.set(xscale="log", xlabel="lag n [steps]", ylabel="(1 - cosine) / (n u/(1-μ))", ylim=(0, 1.15))
    style.below(figure, axis)
    seen = (f"the cosine leaves Wan's value within 1/(1-mu) steps and reaches Yun's from below; after one epoch the exact "
            f"law is {law[STEPS - 1]:.3f} of Yun's at mu=0.9. All {len(LAGS) * len(MOMENTA)} measured points are within "
            f"{max(off):.1f} standard errors of the exact law. The SDE is wrong below 1/(1-mu) steps, as it must be.")  # fmt: skip
    return Drawn(figure, seen)
