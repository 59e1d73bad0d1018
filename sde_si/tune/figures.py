"""Figures of explanations and range tests, from their results alone."""

from __future__ import annotations

import hashlib
import json
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.figures import PANELS
from sde_si.quantities import shown
from sde_si.style import save, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sde_si.tune.explanation import Explanation
    from sde_si.tune.ramp_reading import LrRange

SHADES = ("0.93", "1.0")


def course_figure(found: Explanation) -> Figure:
    """Angle per epoch, norm and effective LR: predicted, at each epoch's equilibrium, and by the papers."""
    from matplotlib.figure import Figure

    hp, epoch = found.hyperparameters, np.arange(1, found.hyperparameters.epochs + 1)
    with styled():
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        panels = [name if name in found.course else "relative_update" for name in PANELS]
        for axis, name in zip(figure.subplots(1, len(panels)), panels, strict=True):
            factor = shown(name).factor
            if np.isfinite(found.course[name]).any():
                axis.plot(epoch, found.course[name] * factor, color="C0", label="predicted")
            axis.plot(
                epoch, found.equilibrium[name] * factor, color="C1", ls=":", label="equilibrium of the epoch's mean lr"
            )
            if name == "angle_epoch" and np.isfinite(found.paper).any():
                axis.plot(epoch, found.paper * factor, color="0.35", ls="--", label="papers, first order", zorder=1)
            for i, one in enumerate(found.stretches[:20]):
                axis.axvspan(one.phase.first - 0.5, one.phase.last + 0.5, color=SHADES[i % 2], lw=0, zorder=0)
            # In two lines: in one it is taller than the axes.
            relative = found.relative and name != "angle_epoch"
            title = f"{shown(name).label}\nover its first equilibrium" if relative else shown(name).title
            axis.set(xlabel="epoch", ylabel=title, yscale="log", xlim=(0.5, hp.epochs + 0.5))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        settings = {"N": hp.N, "B": hp.B, "lr": hp.lr, "wd": hp.wd, "momentum": hp.momentum, "schedule": hp.schedule}
        figure.suptitle("  ".join([found.optimizer, *(f"{k}={v}" for k, v in settings.items())]), fontsize="medium")
    return figure


def save_figure(figure: Figure, name: str, content: dict[str, Any], folder: Path) -> Path:
    """Save a figure under a name that follows from what it shows.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return save(lambda: figure, folder / f"tune-{name}-{digest[:12]}.png")


def ramp_figure(found: LrRange) -> Figure:
    """Loss, raw and smoothed, and, where it was measured, the angle of a step, against lr."""
    from matplotlib.figure import Figure

    turned = np.isfinite(found.angle_step) & (found.angle_step > 0)
    panels = 2 if turned.any() else 1
    with styled():
        figure = Figure(figsize=(4.6 * panels, 3.6), layout="constrained")
        axes = np.atleast_1d(figure.subplots(1, panels))
        name = "loss at the end of each run" if found.runs else "loss before the step"
        axes[0].plot(found.lr, found.loss, "o", ms=4 if found.runs else 2.5, color="0.6", label=name)
        smoothed = None if found.runs else f"smoothed by {found.smoothing:g}" if found.smoothing else "not smoothed"
        axes[0].plot(found.lr, found.smooth, color="C0", label=smoothed)
        inside = found.smooth[np.isfinite(found.smooth)]
        if inside.size:
            low, high = float(inside.min()), float(min(inside.max(), 2 * max(inside[0], inside.min())))
            # a constant loss has no range of its own, and one below zero no double
            margin = 0.15 * (high - low) if high > low else 0.1 * abs(low) or 1.0
            axes[0].set_ylim(low - margin, max(low, high) + margin)
        lost = found.lr[~np.isfinite(found.loss)]
        if lost.size:
            at = np.full(lost.size, 0.97)  # of the axis: they have no loss
            mark = "failed or diverged" if found.runs else "loss is lost"
            axes[0].plot(lost, at, "x", ms=5, color="C3", label=mark, transform=axes[0].get_xaxis_transform())
        if found.suggestion is not None and found.low is not None and found.high is not None:
            axes[0].axvline(found.suggestion, color="C1", label="suggestion")
            axes[0].axvspan(found.low, found.high, color="C1", alpha=0.12, lw=0)
        axes[0].set(ylabel="loss")
        axes[0].legend(fontsize=7)
        if panels == 2:
            axes[1].plot(found.lr[turned], np.degrees(found.angle_step[turned]), "o", ms=2.5, color="C2")
            axes[1].set(ylabel="angle per step [deg]", yscale="log")
        for axis in axes:
            axis.set(xlabel="learning rate", xscale="log" if found.ramp == "exponential" else "linear")
        why = "" if found.suggestion is not None else f"no suggestion: {found.because}"
        figure.suptitle(textwrap.fill(why, 62 * panels), fontsize="small")
    return figure
