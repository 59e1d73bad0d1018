"""A network's angles per step and per epoch over the exact prediction, in the second half of every schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks
from paper_figs.findings.schedules import SCHEDULES
from paper_figs.seeds import of_seeds

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
NAMES = {"angle_step": "per step", "angle_epoch": "per epoch"}


@dataclass(frozen=True)
class Found:
    """Of the schedules that the record has.

    Attributes
    ----------
    caption : str
    cells : dict of int
        Cell by schedule.
    rate : ndarray, shape (schedule, epoch)
        Learning rate over batch size, in every epoch.
    half : int
        Epochs before the second half, to which the other values belong.
    ratio : dict of ndarray, shape (schedule, seed, half)
        Measured over exact, by quantity.
    fallen : ndarray of bool, shape (schedule, half)
        Whether lr is at most half of the highest before.
    """

    caption: str
    cells: dict[str, int]
    rate: Array
    half: int
    ratio: dict[str, Array]
    fallen: Array


def find(record: xr.Dataset) -> Found:
    """All schedules."""
    cells = {name: i for name in SCHEDULES for i in networks.pick(record, schedule=name)}
    some, half = list(cells.values()), record.sizes["epoch"] // 2
    lr = record["lr_end"].values[some]

    def values(name: str) -> Array:
        return np.array([networks.of_cell(record, i, name)[:, half:] for i in some])

    return Found(
        caption=networks.caption(record),
        cells=cells,
        rate=lr / record["batch"].values[some],
        half=half,
        ratio={quantity: values(quantity) / values(f"{quantity}_predicted") for quantity in NAMES},
        fallen=(lr <= np.maximum.accumulate(lr, axis=1) / 2)[:, half:],
    )


def seen(found: Found) -> str:
    """How far the angles are from the prediction, on which side, and after which changes of lr."""
    angle = found.ratio["angle_epoch"]
    below = (np.nanmedian(angle, axis=2).mean(axis=1) < 1).sum()
    above = angle.mean(axis=1) > 1  # schedule, epoch
    text = f"""{found.caption}. Measured angle over the exact prediction in the second half:
    {"; ".join(f"{name} {_range(found, quantity)}" for quantity, name in NAMES.items())}. The median angle per epoch is
    below the prediction under {below} of {len(above)} schedules: the recursion knows the gradients' size, not that they
    pull back. Of {above.sum()} epochs in which it is above, {(above & found.fallen).sum()} have an lr of at most half
    of the highest before (so have {found.fallen.sum()} of all {above.size}): after lr fell, gradients point the same
    way for a while, and a norm kept short by those that pulled back makes steps turn more; wan-lr-drop measures both.
    Yun et al. have the formula for constant lr and lr that drops by steps; the dashed line reads it with each epoch's
    own rate."""
    return " ".join(text.split())


def _range(found: Found, quantity: str) -> str:
    """Least and largest ratio over the schedules, in the median epoch of each and in single epochs."""
    ratio, names = found.ratio[quantity], list(found.cells)
    middle = np.nanmedian(ratio, axis=2)  # schedule, seed
    order = np.argsort(middle.mean(axis=1), kind="stable")
    medians = [f"{of_seeds(middle[k])} ({names[k]})" for k in (order[0], order[-1])]
    single = []
    means = ratio.mean(axis=1)
    for flat in (np.nanargmin(means), np.nanargmax(means)):
        k, epoch = divmod(int(flat), means.shape[1])
        single.append(f"{of_seeds(ratio[k, :, epoch])} ({names[k]}, epoch {found.half + epoch + 1})")
    return f"{' to '.join(medians)} in the median epoch, {' to '.join(single)} in single ones"
