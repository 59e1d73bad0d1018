"""Figures of explanations and range tests, from their results alone."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.figures import PANELS, STYLE
from sde_si.quantities import shown
from sde_si.record import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sde_si.tune.course import Explanation

SHADES = ("0.93", "1.0")


def course_figure(found: Explanation) -> Figure:
    """Angle per epoch, norm and effective LR: predicted, at each epoch's equilibrium, and by the papers."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    hp, epoch = found.hyperparameters, np.arange(1, found.hyperparameters.epochs + 1)
    with mpl.rc_context(fname=str(STYLE)):
        figure = Figure(figsize=(11, 3.6), layout="constrained")
        for axis, name in zip(figure.subplots(1, len(PANELS)), PANELS, strict=True):
            factor = shown(name).factor
            if np.isfinite(found.course[name]).any():
                axis.plot(epoch, found.course[name] * factor, color="C0", label="predicted")
            axis.plot(
                epoch, found.equilibrium[name] * factor, color="C1", ls=":", label="equilibrium of the epoch's lr"
            )
            if name == "angle_epoch" and np.isfinite(found.paper).any():
                axis.plot(epoch, found.paper * factor, color="0.35", ls="--", label="papers, first order", zorder=1)
            for i, one in enumerate(found.stretches[:20]):
                axis.axvspan(one.phase.first - 0.5, one.phase.last + 0.5, color=SHADES[i % 2], lw=0, zorder=0)
            relative = " over its first equilibrium" if found.relative and name != "angle_epoch" else ""
            title = f"{shown(name).label}{relative}" if relative else shown(name).title
            axis.set(xlabel="epoch", ylabel=title, yscale="log", xlim=(0.5, hp.epochs + 0.5))
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        settings = {"N": hp.N, "B": hp.B, "lr": hp.lr, "wd": hp.wd, "momentum": hp.momentum, "schedule": hp.schedule}
        figure.suptitle("  ".join(f"{k}={v}" for k, v in settings.items()), fontsize="medium")
    return figure


def save_figure(figure: Figure, name: str, content: dict[str, Any], folder: Path) -> Path:
    """Save a figure under a name that follows from what it shows.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    import matplotlib as mpl

    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    buffer = io.BytesIO()
    with mpl.rc_context(fname=str(STYLE)):
        figure.savefig(buffer, format="png")
    path = folder / f"tune-{name}-{digest[:12]}.png"
    write_bytes(buffer.getvalue(), path)
    return path
