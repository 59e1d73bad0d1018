"""What Yun et al.'s angle would be for noise that is reshuffled: sampling decides the law between epoch ends.

The formula of Yun et al. takes the noise of the steps for independent. In an epoch without replacement it sums to zero at a
frozen weight, and between epoch ends hardly anything is left of the rotation.
"""

import numpy as np

from paper_figs import style
from paper_figs.scripts import Drawn, Records
from sde_si import theory
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Yun et al. 2022, eqs. 18, 27, for sampling without replacement; theory.md 1.12, 1.13"
KEEP = ("versine_lag", "versine_epoch_level")
STEPS, FACTORS, MOMENTA = 40, (0.01, 0.03, 0.1, 0.3), (0.0, 0.9)
LAGS = (1, 2, 4, 7, 10, 15, 20, 25, 30, 35, 38, 40, 45, 50, 60, 70, 75, 80)
SAMPLING = {"replacement": "with replacement", "reshuffle": "reshuffled"}


def runs() -> dict[str, Run]:
    """Four tuning factors, two momenta, two ways of sampling; and the SDE, which knows no epochs."""
    made = {}
    for i, factor in enumerate(FACTORS):
        for mu in MOMENTA:
            base = {"N": STEPS * 8, "B": 8, "lr": 0.1, "wd": factor / STEPS * (1 - mu) / 0.1, "momentum": mu, "dim": 256,
                    "epochs": int(np.ceil(7 / (4 * factor))) + 40, "paths": 24, "lags": LAGS}  # fmt: skip
            made |= {f"{factor:g}, mu={mu:g}, {how}": run(**base, sampling=how, seed=10 * i) for how in SAMPLING}
            made[f"{factor:g}, mu={mu:g}, SDE"] = run(**base, method="splitting", seed=10 * i + 5)
    return made


def draw(records: Records) -> Drawn:
    """1 - cos against the lag from an epoch's start, and the angle per epoch against the tuning factor."""
    record = records["simulated"]
    figure, axes = style.panels(3, width=3.5, height=3.2)
    fine, factor, ratios = np.arange(1, LAGS[-1] + 1), 0.1, []
    for axis, mu in zip(axes, MOMENTA, strict=False):
        u = factor / STEPS * (1 - mu)
        laws = (1 - theory.lag_cosines(LAGS[-1], u, mu), theory.reshuffled_versines(STEPS, u, mu, LAGS[-1]))
        for i, (how, law) in enumerate(zip(SAMPLING, laws, strict=True)):
            cell = record.sel(cell=f"{factor:g}, mu={mu:g}, {how}")
            style.measured(axis, LAGS, cell["versine_lag"], cell["versine_lag_stderr"], i=i, label=SAMPLING[how])
            style.exact(axis, fine, law[1:], i=i)
        style.sde(axis, LAGS, record.sel(cell=f"{factor:g}, mu={mu:g}, SDE")["versine_lag"], i=0)
        style.paper(axis, fine, fine * u / (1 - mu))
        middle = theory.reshuffled_versines(STEPS, u, mu, STEPS, start=STEPS // 2)[-1]
        axis.plot(
            STEPS,
            middle,
            "D",
            mfc="none",
            color=style.color(1),
            ms=6,
            label="reshuffled, mid-epoch to mid-epoch (exact)",
        )
        axis.set(
            xlabel="lag from an epoch's start [steps]",
            ylabel="1 - cosine",
            title=f"μ = {mu:g}, tuning factor {factor:g}",
        )
    wide = np.geomspace(FACTORS[0] / 1.5, 1.5 * FACTORS[-1], 12)
    for i, (mu, how) in enumerate([(m, h) for m in MOMENTA for h in SAMPLING]):
        cells = record.sel(cell=[f"{f:g}, mu={mu:g}, {how}" for f in FACTORS])
        versine, error = cells["versine_epoch_level"].values, cells["versine_epoch_level_stderr"].values
        angle = np.array([theory.angle_of(float(v)) for v in versine])
        style.measured(axes[2], FACTORS, style.DEGREES * angle, style.DEGREES * error / np.sin(angle), i=i,
                       label=f"μ = {mu:g}, {SAMPLING[how]}")  # fmt: skip
        axes[2].plot(
            wide, [style.DEGREES * _angle(f, mu, how) for f in wide], "-", color=style.color(i), lw=1.1, zorder=2
        )
        if how == "reshuffle":
            ratios.append(float(angle[2] / _angle(0.1, mu, "replacement")))
    style.paper(axes[2], wide, [style.DEGREES * np.arccos(1 - f) for f in wide])
    axes[2].set(
        xscale="log", yscale="log", xlabel="tuning factor", ylabel="angle per epoch [deg]", title="between epoch ends"
    )
    axes[2].legend(fontsize=6.5, loc="lower right")
    style.below(figure, axes[0], columns=3)
    seen = (f"reshuffled, the angle between epoch ends is {ratios[0]:.2f} (mu=0) and {ratios[1]:.2f} (mu=0.9) of that with replacement "
            "at tuning factor 0.1; from mid-epoch to mid-epoch it is not small (diamonds). This is noise alone: what of it is left in a "
            "network, where the basin holds the weights, is measured on the figure `reshuffling`.")  # fmt: skip
    return Drawn(figure, seen)


def _angle(factor: float, mu: float, how: str) -> float:
    u = factor / STEPS * (1 - mu)
    if how == "replacement":
        return theory.angle_of(float(1 - theory.lag_cosines(STEPS, u, mu)[-1]))
    versine = float(theory.reshuffled_versines(STEPS, u, mu, STEPS)[-1])
    # of finite dimension, which is all there is without momentum (theory.md 1.13)
    return theory.angle_of(versine + (STEPS * u / (1 - mu)) ** 2 * (STEPS + 1) / (6 * 255 * (STEPS - 1)))
