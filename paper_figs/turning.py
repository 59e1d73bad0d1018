"""The angle per epoch in a table's record: its spread over cells of equal tuning factor and over others, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, phases
from paper_figs.spread import Spread, spreads
from validation.experiments.by_seed import living

if TYPE_CHECKING:
    import xarray as xr


def widths(record: xr.Dataset, tuned: str | None = None, quantity: str = "angle_epoch") -> dict[str, Spread]:
    """`spreads` of the first phase over the cells of one part, or of all parts together.

    ``quantity="angle_epoch_predicted"``: of the exact recursion. A cell of which a network only guesses at the end does
    not count: without a gradient it does not turn.
    """
    cells = networks.pick(record, **({"what_changed": tuned} if tuned else {}))
    end = min(phases.phase_end(record, i) for i in cells)
    angle = np.array([networks.of_cell(record, i, quantity)[:, :end] for i in cells])
    angle = np.where(living(record)[cells][:, :, None], angle, np.nan)
    begin = np.array([phases.transient(record, i) for i in cells])
    return spreads(angle, begin, record["constant_factor"].values[cells] > 0)


def together(record: xr.Dataset) -> str:
    """Spread over all parts of a table, with that of the exact recursion, and which others it is of."""
    found = widths(record)
    if not all(np.isfinite(one.interval.value) for one in found.values()):
        return "not two cells of either kind past their transients"
    exact = widths(record, quantity="angle_epoch_predicted")
    said = [f"{kind} {_per_cent(one)}, by the exact recursion {100 * exact[kind].interval.value:.0f} %"
            for kind, one in found.items()]  # fmt: skip
    factor, equal = record["tuning_factor"].values, record["constant_factor"].values > 0
    cells = range(factor.size)
    late = np.array([phases.transient(record, i) for i in cells]) < min(phases.phase_end(record, i) for i in cells)
    times = np.unique(np.round(factor[late & ~equal] / factor[equal].mean(), 2))
    return f"{'; '.join(said)} (others past theirs: {', '.join(f'{t:g}' for t in times)} times the factor)"


def part_by_part(found: dict[str, dict[str, Spread]]) -> str:
    """The same for every part of which there is something to say."""
    known = {name: kinds for name, kinds in found.items()
             if all(np.isfinite(one.interval.value) for one in kinds.values())}  # fmt: skip
    return "; ".join(f"{name}: " + ", ".join(f"{kind} {_per_cent(one)}" for kind, one in kinds.items())
                     for name, kinds in known.items())  # fmt: skip


def _per_cent(one: Spread) -> str:
    interval = one.interval
    return (
        f"{100 * interval.value:.0f} % [{100 * interval.low:.0f}, {100 * interval.high:.0f}] over "
        f"{one.counted} of {one.cells} cells"
    )
