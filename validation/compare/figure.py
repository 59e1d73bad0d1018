"""Figures: the rotation curve with its laws, and the simulated SDE over the network's course."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.compare.overlay import SHOWN, Overlay
from validation.compare.rotation import ANSWERED, CONFINED, LAWS, laws, rotations

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes


def _draw_rotation(axis: Axes, record: xr.Dataset, title: str) -> None:
    points = [one for one in rotations(record) if one.name.startswith(("lag", "one step", "epoch, end"))]
    points.sort(key=lambda one: one.steps)
    steps = np.arange(1, points[-1].steps + 1)
    x, y = [p.steps for p in points], [p.measured for p in points]
    axis.errorbar(x, y, [np.nan_to_num(p.stderr) for p in points], fmt="o", color="k", markersize=4, label="measured",
                  zorder=3)  # fmt: skip
    for name, (curve, error) in laws(record, int(steps[-1])).items():
        style, color = ("-" if name in (CONFINED, ANSWERED) else "--"), f"C{LAWS.index(name)}"
        axis.plot(steps, curve[1:], label=name, ls=style, color=color)
        low, high = curve[1:] - np.nan_to_num(error[1:]), curve[1:] + np.nan_to_num(error[1:])
        axis.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
    axis.axvline(int(record["steps_per_epoch"].values[-1]), color="0.8", lw=0.8, zorder=0)
    axis.set(xscale="log", yscale="log")
    axis.set_title(title, fontsize="small")


def rotation_figure(records: Mapping[str, xr.Dataset]) -> Any:
    """1 - cos against the lag, measured and by every law: a panel for each record, by its title."""
    from matplotlib.figure import Figure

    columns = min(3, len(records))
    rows = -(-len(records) // columns)
    size = (5.5, 4.0) if len(records) == 1 else (3.6 * columns, 2.7 * rows + 0.4)
    drawn = Figure(figsize=size, layout="constrained")
    axes = drawn.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axis in axes[len(records) :]:
        axis.remove()
    for axis, (title, record) in zip(axes, records.items(), strict=False):
        _draw_rotation(axis, record, title if len(records) == 1 else title.replace(", ", ",\n", 1))
    drawn.supxlabel("lag [steps]; the grey line is one epoch", fontsize="medium")
    drawn.supylabel("1 - cosine", fontsize="medium")
    axes[0].legend(fontsize="small")
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

    from sde_si.disk import write_bytes
    from sde_si.figures import STYLE

    buffer = io.BytesIO()
    with mpl.rc_context(fname=str(STYLE)):
        draw().savefig(buffer, format="png", dpi=110)
    write_bytes(buffer.getvalue(), file)
    return file
