"""The monitor's figure: measured angle over prediction, and weight norms, against steps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.monitor import statistics as stats
from sde_si.monitor.history import History, angle, end_norm
from sde_si.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS = 60  # along the axis: means of consecutive records
MOST = 6  # groups drawn in colour; the rest in grey
WHOLE = "0.82"  # all together


def figure(history: History) -> Figure:
    """Draw angle per step with its prediction, their ratio, and the norm, group by group and for all together."""
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    rows = history.rows.get(1, [])
    names = [*(group.name for group in history.groups), "all"]
    which = list(range(len(names))) if len(names) > 2 else [0]
    with styled():
        drawn = Figure(figsize=(11, 3.8), layout="constrained")
        turn, ratio, norm = drawn.subplots(1, 3)
        if rows:
            parts = np.array_split(np.arange(len(rows)), min(POINTS, len(rows)))
            steps = np.array([np.mean([rows[i].step for i in part]) for part in parts])
            # all together last in the list and undermost on the page: wide and pale, so that every group is seen on it
            for g in [*which[-1:], *which[:-1]]:
                whole = g == len(names) - 1 and len(which) > 1
                colour = WHOLE if whole else "black" if len(which) == 1 else to_hex(f"C{g}") if g < MOST else "0.75"
                look: Any = {"color": colour, "zorder": 1.5 if whole else 2.5 if g < MOST else 2.0}
                label = names[g] if whole or g < MOST else None
                size, thin, wide = (5.0, 2.4, 2.4) if whole else (2.2, 0.8, 1.0)
                squares = angle(np.stack([row.values[g] for row in rows])) ** 2
                law = np.array([stats.angle_from(float(stats.predicted_versines(history, r, 1)[g])) for r in rows]) ** 2
                found = np.sqrt([squares[part].mean() for part in parts])
                law = np.sqrt([law[part].mean() for part in parts])
                turn.plot(steps, np.degrees(found), "o", ms=size, label=label, **look)
                if np.isfinite(law).any():
                    turn.plot(steps, np.degrees(law), "-", lw=wide, **look)
                    ratio.plot(steps, found / law, "o-", ms=size, lw=thin, **look)
                lengths = [np.mean([end_norm(rows[i].values[g]) for i in part]) for part in parts]
                norm.plot(steps, lengths, "o-", ms=size, lw=thin, **look)
        ratio.axhline(1.0, color="0.35", ls="--")
        turn.set(xlabel="step", ylabel="rms angle per step [deg]", yscale="log")
        ratio.set(xlabel="step", ylabel="angle over equilibrium prediction")
        norm.set(xlabel="step", ylabel="weight norm", yscale="log")
        handles, labels = turn.get_legend_handles_labels()
        if labels:
            drawn.legend(handles, labels, loc="outside lower center", ncols=min(4, math.ceil(len(labels))))
        drawn.suptitle("points measured, lines equilibrium under the hyperparameters of the step", fontsize="medium")
    return drawn
