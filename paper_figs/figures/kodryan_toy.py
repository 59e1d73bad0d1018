"""Three regimes on the sphere: Kodryan et al.'s toy of three groups at fixed effective learning rates.

Below a threshold training converges, above it the loss settles at a level that depends on the effective learning rate,
far above it is that of random directions. The threshold of the total effective learning rate is the harmonic sum of those
of the groups, 1/sum(alpha).
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.findings.kodryan_toy import ALPHAS, FLOOR, ITERATIONS, RATES, STARTS, find, seen, sweep
from paper_figs.scripts import Drawn, Records
from sde_si import regimes

SOURCE = "Kodryan et al. 2022, sec. 3.2, fig. 1 in kind; theory.md 5.2-5.4"
MARKS = {regimes.CONVERGENCE: "o", regimes.EQUILIBRIUM: "s", regimes.DIVERGENCE: "^", regimes.UNDECIDED: "x"}


def configuration() -> dict[str, Any]:
    """What decides the numbers."""
    return {"alphas": ALPHAS, "starts": STARTS, "iterations": ITERATIONS, "rates": RATES, "seed": 0}


def measure() -> Any:
    """Loss, gradient norm, individual rates and regime at every effective learning rate; the threshold."""
    return sweep()


def draw(records: Records) -> Drawn:
    """Loss over time, phase diagram, level with the three regimes, individual effective learning rates."""
    from matplotlib import colormaps

    found = find(records["simulated"])
    figure, (time, norm, level, each) = style.panels(2, 2, width=4.4, height=3.2)
    for one, shade in zip(found.courses, np.linspace(0.85, 0.0, len(found.courses)), strict=True):
        line = {"color": colormaps["viridis"](shade), "lw": 1.1}
        time.loglog(found.iteration, one.loss, label=f"{one.rate:.2g}", **line)
        norm.loglog(*one.resolved, MARKS[one.regime], ms=2.5, **line)
        norm.loglog(one.gradient_norm[:1], one.loss[:1], "*", ms=9, mec="k", mew=0.4, zorder=4, **line)
    time.legend(title="effective LR", ncols=2, fontsize=7, title_fontsize="small", loc="center right")
    time.set(xlabel="iteration", ylabel="loss", ylim=(FLOOR, 10), title="loss over time")
    norm.set(xlabel="effective gradient norm", ylabel="loss", ylim=(FLOOR, 10), title="phase diagram, * = first sample")
    for name, levels in found.levels.items():
        face = "white" if name == regimes.EQUILIBRIUM else "0.2"
        level.errorbar(*levels, fmt=MARKS[name], ms=4.5, color="0.2", mfc=face, label=name)
    style.exact(level, found.fine, found.law, label="(Σα - 1/η)/2")
    style.paper(level, found.rates[[0, -1]], [found.random] * 2, label="random directions", zorder=0)
    for axis in (level, each):
        axis.axvline(found.threshold_law, color="0.3", ls=":", lw=1.1, label="threshold 1/Σα")
        axis.set(xscale="log", xlabel="total effective LR η")
    for i, alpha in enumerate(ALPHAS):
        style.measured(each, found.rates, alpha * found.individual[:, i], i=i, label=f"α = {alpha:g}")
    style.exact(each, found.fine, sum(ALPHAS) * found.fine, color="0.3", label="η Σα (equal steps)")
    level.set(ylabel="time-mean loss", title="three regimes", ylim=(-0.2, 4.6))
    each.set(yscale="log", ylabel="α × individual effective LR", title="self-equalisation (harmonic means)")
    level.legend(loc="lower right", fontsize=7)
    each.legend(loc="upper left", fontsize=7)
    return Drawn(figure, seen(found))
