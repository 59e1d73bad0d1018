"""Angle against lag: Wan's and Yun's factors of momentum are both right, at different lags.

Wan et al. put 1/(1+mu) into the angle of one step, Yun et al. 1/(1-mu) into that of one epoch. The two never meet in
one plot of the papers: consecutive steps of SGDM are correlated, so the factor grows with the lag.
"""

import numpy as np

from paper_figs import style
from paper_figs.grid import with_error
from paper_figs.scripts import Drawn, Records
from sde_si import theory
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Wan et al. 2021 and Yun et al. 2022, eqs. 18, 27; theory.md 9.2, 9.3, 9.7"
KEEP = ("versine_lag",)
MOMENTA = (0.0, 0.5, 0.9)
FACTOR, STEPS = 0.1, 100  # tuning factor, steps per epoch
PRINTED = (1, 5, 20, 100)
LAGS = (1, 2, 3, 5, 8, 13, 20, 32, 50, 80, 100, 130, 200, 300)


def runs() -> dict[str, Run]:
    """One tuning factor, three momenta; the optimizer and the SDE."""
    return {
        f"{method}, mu={mu:g}": run(N=STEPS * 128, B=128, lr=0.1, wd=FACTOR / STEPS * (1 - mu) / 0.1, momentum=mu,
                                    epochs=60, paths=64, dim=128, lags=LAGS, method=method, seed=i)
        for i, mu in enumerate(MOMENTA) for method in ("sgd", "splitting")
    }  # fmt: skip


def draw(records: Records) -> Drawn:
    """(1 - cos)/(n u/(1 - mu)) against the lag n, Yun's formula is 1, Wan's (1 - mu)/(1 + mu); SDE over optimizer."""
    record = records["simulated"]
    figure, axes = style.panels(2, width=5.0, height=3.6)
    lags, fine, epoch = np.array(LAGS), np.arange(1, LAGS[-1] + 1), LAGS.index(STEPS)
    off, off_sde, laws, ratios, near = [], [], [], [], []
    for i, mu in enumerate(MOMENTA):
        u = FACTOR / STEPS * (1 - mu)
        yun = lags * u / (1 - mu)
        (found, error), (sde, sde_error) = (
            [record.sel(cell=f"{method}, mu={mu:g}")[name].values for name in ("versine_lag", "versine_lag_stderr")]
            for method in ("sgd", "splitting")
        )
        exact = 1 - theory.lag_cosines(LAGS[-1], u, mu)[1:]
        style.measured(axes[0], lags, found / yun, error / yun, i=i, label=f"μ = {mu:g}")
        style.sde(axes[0], lags, sde / yun, i=i)
        style.exact(axes[0], fine, exact * (1 - mu) / (fine * u), i=i)
        style.paper(axes[0], fine[:6], np.full(6, (1 - mu) / (1 + mu)), i=i, ls=":", lw=1.6)
        off.append(np.max(np.abs(found - exact[lags - 1]) / error))
        middle = max(1, round(1 / (1 - mu)))
        laws.append(
            f"{exact[middle - 1] / (middle * u) * (1 - mu):.3f} and {exact[STEPS - 1] / yun[epoch]:.3f} (μ={mu:g})"
        )
        # The SDE against the optimizer: measured, and 9.7 over 9.2.
        said = (1 - np.asarray(theory.sde_lag_cosine(fine, u, mu))) / exact
        ratio = sde / found
        stderr = ratio * np.hypot(error / found, sde_error / sde)
        axes[1].errorbar(lags, ratio, stderr, fmt="x", color=style.color(i), ms=4.5, elinewidth=0.9)
        style.exact(axes[1], fine, said, i=i)
        off_sde.append(np.max(np.abs(ratio - said[lags - 1]) / stderr))
        if mu:
            at = [LAGS.index(lag) for lag in PRINTED]
            ratios.append(f"μ={mu:g}: " + ", ".join(
                f"{with_error(ratio[k], stderr[k])} ({said[lags[k] - 1]:.3f}) at {lags[k]}" for k in at))  # fmt: skip
            near.append((int(fine[np.abs(said - 1) > 0.01][-1]) + 1, middle, mu))
            axes[1].text(3.3, said[2], f"μ = {mu:g}", fontsize="small", color=style.color(i), va="top")
    style.paper(axes[0], [1, LAGS[-1]], [1, 1])
    axes[1].axhline(1, color="0.75", lw=0.8, zorder=0)
    for axis, low in zip(axes, (0.06, 0.7), strict=True):
        axis.axvline(STEPS, color="0.75", lw=0.8, zorder=0)
        axis.text(STEPS * 0.95, low, "one epoch", rotation=90, ha="right", va="bottom", fontsize="small", color="0.4")
        axis.set(xscale="log", xlabel="lag n [steps]")
    axes[0].text(1.1, 1.03, "Yun et al.: n u/(1-μ)", fontsize="small", color="0.3")
    axes[0].text(6.6, (1 - 0.9) / 1.9, "Wan et al.: u/(1+μ), dotted", fontsize="small", color="0.3", va="center")
    axes[0].set(ylabel="(1 - cosine) / (n u/(1-μ))", ylim=(0, 1.15))
    axes[1].set(ylabel="(1 - cosine), SDE / optimizer", title="lines: theory 9.7 over 9.2")
    style.below(figure, axes[0])
    late = "beyond" if all(lag > middle for lag, middle, _ in near) else "not everywhere beyond"
    within = ", ".join(f"{lag} (μ={mu:g}, 1/(1-μ) = {middle})" for lag, middle, mu in near)
    seen = f"""{len(LAGS) * len(MOMENTA)} measured points are within {max(off):.1f} standard errors of the exact law. In
    units of Yun's n u/(1-μ) the law is Wan's (1-μ)/(1+μ) at lag 1; after 1/(1-μ) steps and after one epoch it is
    {"; ".join(laws)}. At long lags all fall below Yun's, which is linear in n. The SDE over the optimizer, in brackets
    theory 9.7 over 9.2: {"; ".join(ratios)}; all points are within {max(off_sde):.1f} standard errors of 9.7. The
    error of the SDE lasts {late} the memory of 1/(1-μ) steps: at longer lags it falls as 1/((1+μ) n), and is below 1 %
    from lag {within} on. Without momentum the SDE is exact but for terms in u. Neither paper compares the two lags;
    Yun et al. take their factor from the SDE, and use it where the SDE is good: after one epoch."""
    return Drawn(figure, " ".join(seen.split()))
