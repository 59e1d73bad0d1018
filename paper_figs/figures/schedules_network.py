"""Every schedule on a network: measured angle per epoch beside the recursion with the network's own gradients.

As for the simulated schedules, but with real training: here the gradients change under way, they pull back into the
basin, and the minibatches are drawn with replacement.
"""

import numpy as np

from paper_figs import networks
from paper_figs.figures.schedules import SCHEDULES, panels, shade
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import of_seeds

SOURCE = "Yun et al. 2022, eq. 27, table 6; bag of tricks; theory.md 9.10, 18.2"
EXPERIMENTS = ("schedules",)
NAMES = {"angle_step": "per step", "angle_epoch": "per epoch"}


def draw(records: Records) -> Drawn:
    """One panel a schedule."""
    record = records["schedules"]
    figure, axes = panels()
    ratios: dict[str, dict[str, np.ndarray]] = {quantity: {} for quantity in NAMES}
    half, told, fallen, below, means = record.sizes["epoch"] // 2, [], [], 0, np.array([])
    for axis, name in zip(axes, SCHEDULES, strict=False):
        for i in networks.pick(record, schedule=name):
            networks.draw_course(axis, record, i, "angle_epoch", 0)
            for quantity, of in ratios.items():
                measured, exact = (networks.of_cell(record, i, q) for q in (quantity, f"{quantity}_predicted"))
                of[name] = (measured / exact)[:, half:]  # seed, epoch
            lr = record["lr_end"].isel(cell=i).values
            fallen.append((lr <= np.maximum.accumulate(lr) / 2)[half:])
            shade(axis, lr / record["batch"].isel(cell=i).values)
    for quantity, of in ratios.items():
        middle = {name: np.nanmedian(values, axis=1) for name, values in of.items()}
        ends = sorted(middle, key=lambda name: float(middle[name].mean()))
        below = sum(float(values.mean()) < 1 for values in middle.values())
        means = np.array([values.mean(axis=0) for values in of.values()])  # schedule, epoch
        single = []
        for flat in (np.nanargmin(means), np.nanargmax(means)):
            k, epoch = divmod(int(flat), means.shape[1])
            single.append(f"{of_seeds(list(of.values())[k][:, epoch])} ({list(of)[k]}, epoch {half + epoch + 1})")
        low, high = (f"{of_seeds(middle[name])} ({name})" for name in (ends[0], ends[-1]))
        told.append(f"{NAMES[quantity]} {low} to {high} in the median epoch, {' to '.join(single)} in single ones")
    above = means > 1
    seen = f"""{networks.caption(record)}. Measured angle over the exact prediction in the second half:
    {"; ".join(told)}. The median angle per epoch is below the prediction under {below} of {len(means)} schedules: the
    recursion knows the gradients' size, not that they pull back. Of {above.sum()} epochs in which it is above,
    {(above & np.array(fallen)).sum()} have an lr of at most half of the highest before (so have {np.sum(fallen)} of all
    {above.size}): after lr fell, gradients point the same way for a while, and a norm kept short by those that pulled
    back makes steps turn more; wan-lr-drop measures both. Yun et al. have the formula for constant lr and lr that drops
    by steps; the dashed line reads it with each epoch's own rate."""
    return Drawn(figure, " ".join(seen.split()))
