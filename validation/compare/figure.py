"""Figures: the rotation curve with its laws, and the simulated SDE over the network's course."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.compare.overlay import SHOWN, Overlay
from validation.compare.rotation import ANSWERED, CONFINED, laws, rotations

if TYPE_CHECKING:
    import xarray as xr


def rotation_figure(record: xr.Dataset, title: str) -> Any:
    """1 - cos against the lag: measured, and by every law."""
    from matplotlib.figure import Figure

    points = [one for one in rotations(record) if one.name.startswith(("lag", "one step", "epoch, end"))]
    points.sort(key=lambda one: one.steps)
    steps = np.arange(1, points[-1].steps + 1)
    drawn = Figure(figsize=(5.5, 4), layout="constrained")
    axis = drawn.subplots()
    x, y = [p.steps for p in points], [p.measured for p in points]
    axis.errorbar(x, y, [np.nan_to_num(p.stderr) for p in points], fmt="o", color="k", label="measured", zorder=3)
    for name, (curve, error) in laws(record, int(steps[-1])).items():
        [line] = axis.plot(steps, curve[1:], label=name, ls="-" if name in (CONFINED, ANSWERED) else "--")
        low, high = curve[1:] - np.nan_to_num(error[1:]), curve[1:] + np.nan_to_num(error[1:])
        axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, lw=0)
    axis.axvline(int(record["steps_per_epoch"].values[-1]), color="0.8", lw=0.8, zorder=0)
    axis.set(xscale="log", yscale="log", xlabel="lag [steps]; the grey line is one epoch", ylabel="1 - cosine")
    axis.set_title(title, fontsize="small")
    axis.legend()
    return drawn


def overlay_figure(record: xr.Dataset, over: Sequence[Overlay], title: str) -> Any:
    """Norm, effective LR, angle per step and per epoch: the network as points, simulations as lines."""
    from matplotlib.figure import Figure

    from sde_si import estimators
    from sde_si.quantities import shown

    drawn = Figure(figsize=(9, 6), layout="constrained")
    for axis, name in zip(drawn.subplots(2, 2).ravel(), SHOWN, strict=True):
        factor = shown(name).factor
        mean, error = estimators.series(record, name)
        epoch = record["epoch"].values
        every = max(1, epoch.size // 50)
        axis.errorbar(epoch[::every], factor * mean[::every], factor * np.nan_to_num(error[::every]), fmt="o",
                      color="k", markersize=3, label="network", zorder=3)  # fmt: skip
        for i, one in enumerate(over):
            line, _ = estimators.series(one.record, name)
            axis.plot(epoch, factor * line, color=f"C{i}", label=f"{one.name} with its {one.noise}")
        axis.set(xlabel="epoch", ylabel=shown(name).title)
    n = int(record["steps_per_epoch"].values[-1])
    corrected = laws(record, n).get(ANSWERED)
    if corrected is not None and np.isfinite(corrected[0][n]):
        angle = 2 * np.arcsin(np.sqrt(corrected[0][n] / 2)) * shown("angle_epoch").factor
        drawn.axes[-1].axhline(angle, color="0.3", ls="--", label=ANSWERED)
        drawn.axes[-1].legend()
    drawn.axes[0].legend()
    drawn.suptitle(title, fontsize="small")
    return drawn


def write(draw: Callable[[], Any], file: Path) -> Path:
    """Draw in the house style and write the picture."""
    import matplotlib as mpl

    from sde_si.figures import STYLE
    from sde_si.record import write_bytes

    buffer = io.BytesIO()
    with mpl.rc_context(fname=str(STYLE)):
        draw().savefig(buffer, format="png", dpi=110)
    write_bytes(buffer.getvalue(), file)
    return file
