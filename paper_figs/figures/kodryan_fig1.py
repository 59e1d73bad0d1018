"""Training on the sphere at fixed effective learning rates: loss, error and gradient norm.

Kodryan et al. train scale-invariant networks at fixed effective learning rates and find three regimes: convergence at
different speeds and to different minima, a level of the loss that depends on the rate, and the loss of random guessing.
"""

from typing import Any

import numpy as np

from paper_figs import style
from paper_figs.figures.kodryan_toy import MARKS
from paper_figs.findings.kodryan_fig1 import Found, find, seen
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

SOURCE = "Kodryan et al. 2022, fig. 1; theory.md 5.1"
EXPERIMENTS = ("kodryan-regimes",)


def draw(records: Records) -> Drawn:
    """Training loss and effective gradient norm over epochs; final loss and test error against the rate."""
    found = find(records["kodryan-regimes"])
    figure, (loss, gradient, level, wrong) = style.panels(2, 2, width=4.8, height=3.2)
    _courses(loss, found, found.loss, "training loss")
    _courses(gradient, found, found.gradient_norm, "effective gradient norm, rms")
    for axis in (loss, level):
        axis.axhline(found.random, color="0.2", ls=":", lw=1.2, label="random weights")
        axis.legend(loc="lower left", fontsize=7)  # of this line alone: the marks are named at the right
    _against_rate(level, found, found.level)
    _against_rate(wrong, found, found.wrong)
    level.set(yscale="log", ylabel=f"training loss, last {found.tenth} epochs")
    wrong.set(ylabel="test error [%]")
    wrong.legend(loc="center left", fontsize=7)
    return Drawn(figure, seen(found))


def _courses(axis: Any, found: Found, courses: dict[float, Any], label: str) -> None:
    """Courses over epochs, with their rates beside their ends."""
    for k, (rate, (mean, error)) in enumerate(courses.items(), start=1):
        style.measured(axis, found.epoch, mean, error, i=k, log=True)
        axis.text(1.15 * found.epoch[-1], 0.85 * mean[-found.tenth :].mean(), f"{rate:g}", fontsize=8)
    axis.set(xscale="log", yscale="log", xlabel="epoch", ylabel=label, title="± s.e.; at the curves: effective LR")


def _against_rate(axis: Any, found: Found, values: np.ndarray) -> None:
    """Values (rate, seed), with a mark for each regime, and the paper's groups behind."""
    for k, (name, low, high) in enumerate(found.groups):
        axis.axvspan(low, high, color=f"{0.92 - 0.09 * k}", lw=0, zorder=0)
        axis.text(np.sqrt(low * high), 1.01, f"paper:\n{name.split()[-1]}", ha="center", fontsize=7,
                  transform=axis.get_xaxis_transform())  # fmt: skip
    for name, mark in MARKS.items():
        at, face = found.fixed.regimes == name, "white" if mark == "s" else "0.1"
        axis.errorbar(found.fixed.rates[at], seed_mean(values[at]), np.nan_to_num(seed_error(values[at])), fmt=mark,
                      ms=4.5, color="0.1", mfc=face, label=f"here: {name}")  # fmt: skip
    axis.set(xscale="log", xlabel="effective LR [per step]")
