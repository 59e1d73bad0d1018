"""Angle against lag: Wan's and Yun's factors of momentum are both right, at different lags.

Wan et al. put 1/(1+mu) into the angle of one step, Yun et al. 1/(1-mu) into that of one epoch. The two never meet in
one plot of the papers: consecutive steps of SGDM are correlated, so the factor grows with the lag.
"""

import numpy as np

from paper_figs import style
from paper_figs.findings.lag_cosine import EVERY, FACTOR, LAGS, MOMENTA, STEPS, find, seen
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Wan et al. 2021 and Yun et al. 2022, eqs. 18, 27; theory.md 9.2, 9.3, 9.7"
KEEP = ("versine_lag",)


def runs() -> dict[str, Run]:
    """One tuning factor, three momenta; the optimizer and the SDE."""
    return {
        f"{method}, mu={mu:g}": run(N=STEPS * 128, B=128, lr=0.1, wd=FACTOR / STEPS * (1 - mu) / 0.1, momentum=mu,
                                    epochs=60, paths=64, dim=128, lags=LAGS, method=method, seed=i)
        for i, mu in enumerate(MOMENTA) for method in ("sgd", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """(1 - cos)/(n u/(1 - mu)) against the lag n, Yun's formula is 1, Wan's (1 - mu)/(1 + mu); SDE over optimizer."""
    found = find(records["simulated"])
    figure, axes = style.panels(2, width=5.0, height=3.6)
    for i, one in enumerate(found):
        name, color = f"μ = {one.momentum:g}", style.color(i)
        style.measured(axes[0], LAGS, one.measured, one.error, i=i, label=name)
        style.sde(axes[0], LAGS, one.sde, i=i)
        style.exact(axes[0], EVERY, one.law, i=i)
        style.paper(axes[0], EVERY[:6], np.full(6, one.wan), i=i, ls=":", lw=1.6)
        axes[1].errorbar(LAGS, one.ratio, one.ratio_error, fmt="x", color=color, ms=4.5, elinewidth=0.9)
        style.exact(axes[1], EVERY, one.ratio_law, i=i)
        if one.momentum:
            axes[1].text(3.3, one.ratio_law[2], name, fontsize="small", color=color, va="top")
    style.paper(axes[0], [1, LAGS[-1]], [1, 1])
    axes[1].axhline(1, color="0.75", lw=0.8, zorder=0)
    for axis, low in zip(axes, (0.06, 0.7), strict=True):
        axis.axvline(STEPS, color="0.75", lw=0.8, zorder=0)
        axis.text(STEPS * 0.95, low, "one epoch", rotation=90, ha="right", va="bottom", fontsize="small", color="0.4")
        axis.set(xscale="log", xlabel="lag n [steps]")
    axes[0].text(1.1, 1.03, "Yun et al.: n u/(1-μ)", fontsize="small", color="0.3")
    axes[0].text(6.6, found[-1].wan, "Wan et al.: u/(1+μ), dotted", fontsize="small", color="0.3", va="center")
    axes[0].set(ylabel="(1 - cosine) / (n u/(1-μ))", ylim=(0, 1.15))
    axes[1].set(ylabel="(1 - cosine), SDE / optimizer", title="lines: theory 9.7 over 9.2")
    style.below(figure, axes[0])
    return Drawn(figure, seen(found))
