"""Figure 8: weight decay searched on a sixteenth of the data, for a network with scale-variant parts.

EfficientNet-B0 on ImageNet: the best wd on 80k samples is 1.6e-3; the tuning factor then says 1e-4 on all 1.28M, where 5e-5 is
best and 1e-4 second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.accuracy import final_accuracy
from paper_figs.grid import with_error
from paper_figs.quantified import best_value
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    import xarray as xr

SOURCE = "Yun et al. 2022, fig. 8, sec. 6; theory.md 10.13, 8.9"
EXPERIMENTS = ("yun-fig8",)


def draw(records: Records) -> Drawn:
    """Accuracy against wd on the part and on the whole; angle per epoch of the transferred choice."""
    record = records["yun-fig8"]
    accuracy = final_accuracy(record)
    figure, axes = style.panels(3, width=3.7, height=3.3)
    best, cells = {}, {}
    for series, (axis, data) in enumerate(zip(axes, ("subset", "whole"), strict=False)):
        cells[data] = sorted(networks.pick(record, data=data), key=lambda i: float(record["wd"][i]))
        wd, values = record["wd"].values[cells[data]], accuracy[cells[data]]
        style.measured(axis, wd, seed_mean(values), seed_error(values), i=series, ls="-", lw=0.8)
        best[data] = float(np.exp(best_value(seed_mean(values)[:, None], wd)[0]))
        axis.axvline(best[data], color="0.3", ls=":", lw=1.2, label=f"best (parabola) {best[data]:.2g}")
        axis.set(
            xscale="log",
            xlabel="weight decay",
            ylabel="test accuracy [%]",
            title=f"N = {int(record['N'][cells[data][0]])}",
        )
    share = float(record["N"][cells["whole"][0]] / record["N"][cells["subset"][0]])
    axes[1].axvline(
        best["subset"] / share,
        color=style.color(1),
        ls="--",
        lw=1.2,
        label=f"from the part: {best['subset'] / share:.2g}",
    )
    for axis in axes[:2]:
        axis.legend(fontsize=7)
    row = int(np.nanargmax(seed_mean(accuracy[cells["subset"]])))
    for series, data in enumerate(("subset", "whole")):
        i = cells[data][row]
        networks.draw_course(
            axes[2], record, i, "angle_epoch", series, f"N = {int(record['N'][i])}, wd = {float(record['wd'][i]):.2g}"
        )
    axes[2].set(xlabel="epoch", ylabel="angle per epoch [deg]", yscale="log", title="equal tuning factor")
    axes[2].legend(fontsize=7)
    style.kinds(figure, loc="outside upper center", ncols=4)
    whole = accuracy[cells["whole"]]
    lost = whole[int(np.nanargmax(seed_mean(whole)))] - whole[row]  # seed by seed
    seen = (f"{networks.caption(record)}. Best wd {best['subset']:.2g} on the part, {best['whole']:.2g} on the whole. "
            + _said(accuracy, record, cells, best["whole"] * share / best["subset"])
            + f" The transferred row costs {with_error(float(seed_mean(lost)), float(seed_error(lost)), 2)} points against the best "
            "of the whole.")  # fmt: skip
    return Drawn(figure, seen)


def _said(accuracy: np.ndarray, record: xr.Dataset, cells: dict[str, list[int]], ratio: float) -> str:
    """What the two optima say of each other: nothing where one cannot be told from an end of its grid."""
    said, ends = [], []
    for data, name in (("subset", "part"), ("whole", "whole")):
        flat = np.flatnonzero(_as_good(accuracy[cells[data]]))
        low, high = (float(record["wd"][cells[data][i]]) for i in (flat[0], flat[-1]))
        said.append(f"{low:.2g} to {high:.2g} on the {name}")
        ends += [name] if flat[0] == 0 or flat[-1] == len(cells[data]) - 1 else []
    text = f"Within a standard error of the best: {', '.join(said)}"
    if ends:
        return f"{text}: no optimum on the {' and the '.join(ends)}, and so the two say nothing of each other."
    return f"{text}. The whole's best is {ratio:.2f} of what the tuning factor says (the paper's: 0.5)."


def _as_good(values: np.ndarray) -> np.ndarray:
    """Which rows (row, seed) are less than one standard error of the difference below the best."""
    below = values[np.nanargmax(seed_mean(values))] - values
    return seed_mean(below) <= np.nan_to_num(seed_error(below))
