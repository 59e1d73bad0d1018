"""What Yun et al.'s angle would be for noise that is reshuffled: sampling decides the law between epoch ends.

The formula of Yun et al. takes the noise of the steps for independent. In an epoch without replacement it sums to zero at a
frozen weight, and between epoch ends hardly anything is left of the rotation.
"""

import numpy as np

from paper_figs import style
from paper_figs.findings import reshuffling_theory as findings
from paper_figs.findings.reshuffling_theory import DIM, EVERY_LAG, FACTORS, LAGS, MOMENTA, RANGE, SAMPLING, STEPS
from paper_figs.scripts import Drawn, Records
from sde_si.run import Run
from sde_si.verify.claims.common import run

SOURCE = "Yun et al. 2022, eqs. 18, 27, for sampling without replacement; theory.md 1.12, 1.13"
KEEP = ("versine_lag", "versine_epoch_level")


def runs() -> dict[str, Run]:
    """Four tuning factors, two momenta, two ways of sampling; and the SDE, which knows no epochs."""
    made = {}
    for i, factor in enumerate(FACTORS):
        for mu in MOMENTA:
            base = {"N": STEPS * 8, "B": 8, "lr": 0.1, "wd": findings.rate(factor, mu) / 0.1, "momentum": mu, "dim": DIM,
                    "epochs": int(np.ceil(7 / (4 * factor))) + 40, "paths": 24, "lags": LAGS}  # fmt: skip
            made |= {findings.name(factor, mu, how): run(**base, sampling=how, seed=10 * i) for how in SAMPLING}
            made[findings.name(factor, mu, findings.SDE)] = run(**base, method="splitting", seed=10 * i + 5)
    return made


def draw(records: Records) -> Drawn:
    """1 - cos against the lag from an epoch's start, and the angle per epoch against the tuning factor."""
    found = findings.find(records["simulated"])
    figure, (*within, between) = style.panels(3, width=3.5, height=3.2)
    for axis, (mu, turned) in zip(within, found.turned.items(), strict=True):
        for i, (how, label) in enumerate(SAMPLING.items()):
            style.measured(axis, LAGS, turned.measured[how], turned.error[how], i=i, label=label)
            style.exact(axis, EVERY_LAG, turned.exact[how], i=i)
        style.sde(axis, LAGS, turned.measured[findings.SDE], i=0)
        style.paper(axis, EVERY_LAG, turned.paper)
        axis.plot(STEPS, turned.middle, "D", mfc="none", color=style.color(1), ms=6,
                  label="reshuffled, mid-epoch to mid-epoch (exact)")  # fmt: skip
        axis.set(xlabel="lag from an epoch's start [steps]", ylabel="1 - cosine",
                 title=f"μ = {mu:g}, tuning factor {findings.FACTOR:g}")  # fmt: skip
    for i, ((mu, how), ends) in enumerate(found.ends.items()):
        style.measured(between, FACTORS, ends.measured, ends.error, i=i, label=f"μ = {mu:g}, {SAMPLING[how]}")
        style.exact(between, RANGE, ends.law, i=i)
    style.paper(between, RANGE, style.DEGREES * np.arccos(1 - RANGE))
    between.set(xscale="log", yscale="log", xlabel="tuning factor", ylabel="angle per epoch [deg]",
                title="between epoch ends")  # fmt: skip
    between.legend(fontsize=6.5, loc="lower right")
    style.below(figure, within[0], columns=3)
    return Drawn(figure, findings.seen(found))
