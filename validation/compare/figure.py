"""Figures: the rotation curve with its laws, and the simulated SDE over the network's course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from validation.compare.goals import ROTATION
from validation.compare.overlay import SHOWN, Overlay
from validation.compare.rotation import ANSWERED, ASYMMETRIC, CONFINED, LAWS, PAPER, best, laws, rotations
from validation.compare.window import window

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

MARKERS = {CONFINED: "s", ANSWERED: "o", ASYMMETRIC: "D"}  # of the laws that know the basin
BAND = 100 * ROTATION  # per cent
DPI = 110
ROOM = 0.4  # above and below the late epochs, of what they span


def _draw_rotation(axis: Axes, below: Axes, record: xr.Dataset, title: str) -> None:
    """The curve on `axis`; measured over each law that is meant for a network on `below`, with its 95 % interval."""
    points = [one for one in rotations(record) if one.name.startswith(("lag", "one step", "epoch, end"))]
    points.sort(key=lambda one: one.steps)
    steps = np.arange(1, points[-1].steps + 1)
    x, y, error = (np.array([getattr(p, name) for p in points]) for name in ("steps", "measured", "stderr"))
    axis.errorbar(x, y, np.nan_to_num(error), fmt="o", color="k", markersize=4, label="measured", zorder=3)
    for name, law in laws(record, int(steps[-1])).items():
        color = "0.35" if name == PAPER else f"C{LAWS.index(name)}"
        curve, spread = law.curve, np.nan_to_num(law.stderr)
        style = ":" if name == PAPER else "-" if name in MARKERS else "--"
        axis.plot(steps, curve[1:], label=name, ls=style, color=color)
        axis.fill_between(steps, (curve - spread)[1:], (curve + spread)[1:], color=color, alpha=0.2, lw=0)
        if name in MARKERS:
            over = [one.over[name] for one in points]
            off, bar = (100 * np.array([getattr(one, part) for one in over]) for part in ("value", "reach"))
            below.errorbar(x, off, np.nan_to_num(bar), fmt=MARKERS[name], color=color, ls="-", lw=0.8, markersize=3)
    for one in (axis, below):
        one.axvline(int(record["steps_per_epoch"].values[-1]), color="0.8", lw=0.8, zorder=0)
    axis.set(xscale="log", yscale="log")
    below.axhspan(-BAND, BAND, color="0.93", lw=0, zorder=0)
    below.axhline(0, color="0.5", lw=0.8, zorder=1)
    reach = max(3 * BAND, *(1.05 * np.abs(below.dataLim.intervaly))) if below.has_data() else 3 * BAND
    below.set(xscale="log", ylim=(-reach, reach))
    axis.tick_params(labelbottom=False)
    axis.set_title(title, fontsize="small")


def rotation_figure(records: Mapping[str, xr.Dataset]) -> Any:
    """1 - cos against the lag, measured and by every law, and the one over the other: a panel for each record."""
    from matplotlib.figure import Figure

    columns = min(3, len(records))
    rows = -(-len(records) // columns)
    size = (5.5, 5.0) if len(records) == 1 else (3.6 * columns, 3.4 * rows + 0.6)
    drawn = Figure(figsize=size, layout="constrained")
    grid = drawn.add_gridspec(2 * rows, columns, height_ratios=[2.4, 1] * rows)
    axes: list[Axes] = []
    for i, (title, record) in enumerate(records.items()):
        row, column = divmod(i, columns)
        shared = {"sharex": axes[0], "sharey": axes[0]} if axes else {}
        axis = drawn.add_subplot(grid[2 * row, column], **shared)
        below = drawn.add_subplot(grid[2 * row + 1, column], sharex=axis)
        _draw_rotation(axis, below, record, title if len(records) == 1 else title.replace(", ", ",\n", 1))
        if column == 0:
            axis.set_ylabel("1 - cosine")
            below.set_ylabel("over law\n- 1 [%]", fontsize="small")
        axes.append(axis)
    drawn.supxlabel(
        f"lag [steps]; the grey line is one epoch, the band {BAND:.0f} %, the lower bars 95 % intervals",
        fontsize="medium",
    )
    drawn.legend(*_handles(axes), loc="outside upper center", ncols=3, fontsize="small")
    return drawn


def _handles(axes: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Every label of the panels once."""
    found = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    return list(found.values()), list(found)


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
        if name.startswith("angle"):
            _cut(axis, epoch, window(record).first or epoch.size // 2 + 1)
    n = int(record["steps_per_epoch"].values[-1])
    known = laws(record, n)
    law = best(known)
    if law is not None and np.isfinite(known[law].curve[n]):
        angle = 2 * np.arcsin(np.sqrt(known[law].curve[n] / 2)) * shown("angle_epoch").factor
        line = drawn.axes[-1].axhline(angle, color="0.3", ls="--", label=law)
        drawn.axes[-1].legend(handles=[line], loc="lower right")
    drawn.axes[0].legend()
    drawn.suptitle(title, fontsize="small")
    return drawn


def _cut(axis: Axes, epoch: np.ndarray, late: int) -> None:
    """Limits of what is drawn from the epoch `late` on, or the first epochs would hide it; which they cut is said."""
    drawn = [line.get_xydata() for line in axis.lines]
    low, high = (end([end(xy[xy[:, 0] >= late, 1]) for xy in drawn]) for end in (np.nanmin, np.nanmax))
    if not np.isfinite([low, high]).all() or low == high:
        return
    room = ROOM * (high - low)
    axis.set_ylim(low - room, high + room)
    out = [x for xy in drawn for x, y in xy if not low - room <= y <= high + room]
    if out:
        said = "epoch 1 is off the scale" if max(out) == 1 else f"parts of epochs 1 to {max(out):.0f} are off the scale"
        axis.set_title(said, loc="right", fontsize="small", color="0.4")
