"""What two searches of weight decay, on a share of the data and on all of it, say of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, phases, style
from paper_figs.seeds import seed_error, seed_mean

if TYPE_CHECKING:
    import xarray as xr


def turning_apart(record: xr.Dataset, cells: list[int]) -> str:
    """The angles of a pair of equal tuning factor at the end of the first phase, and why they need not be alike."""
    ends = [phases.phase_end(record, i) - 1 for i in cells]
    measured = [networks.mean_and_error(networks.of_cell(record, i, "angle_epoch"))[0] for i in cells]
    exact = [networks.predicted(record, i, "angle_epoch") for i in cells]
    a, b, c, d = (
        style.DEGREES * of[end] for courses in (measured, exact) for of, end in zip(courses, ends, strict=True)
    )
    said = (
        f"The transferred pair, of equal tuning factor, turns by {a:.1f} and {b:.1f} degrees an epoch at the end of "
        f"the first phase (exact {c:.1f} and {d:.1f})"
    )
    left = sum(not phases.settles(record, i) for i in cells)
    if left:
        who = "both are" if left == len(cells) else "one of them is"
        return f"{said}; {who} still in the transient, of which the factor says nothing."
    return said + "."


def optima(accuracy: np.ndarray, record: xr.Dataset, cells: dict[str, list[int]], ratio: float) -> str:
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
