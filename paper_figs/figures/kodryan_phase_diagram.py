"""Phase diagram: gradient norm against training loss at fixed rates, with ordinary training drawn into it.

Kodryan et al.: each effective learning rate goes to minima of its own sharpness, along a line of its own; ordinary
training with weight decay moves through the regimes as its effective learning rate changes.
"""

from itertools import pairwise

import numpy as np
import xarray as xr

from paper_figs import networks, style
from paper_figs.rates import fixed_rates, threshold
from paper_figs.scripts import Drawn, Records
from paper_figs.seeds import of_seeds
from sde_si.regimes import CONVERGENCE

SOURCE = "Kodryan et al. 2022, phase diagrams; theory.md 5.1, 2.3"
EXPERIMENTS = ("kodryan-regimes",)
LINES = (1e-4, 3e-3, 2e-2, 3e-2, 1e-1)  # fixed rates in the diagram: more cannot be told apart
FALL, LEVEL = 0.5, 0.2  # share of the rate that a collapse leaves at most; loss at which lines are compared


def collapses(rate: np.ndarray) -> list[tuple[int, int]]:
    """Epochs (from 0) before and after each fall, without a rise between, to below `FALL`; of a course (epoch,)."""
    falling = np.flatnonzero(np.diff(rate) < 0)
    parts = np.split(falling, np.flatnonzero(np.diff(falling) > 1) + 1)
    return [(part[0], part[-1] + 1) for part in parts if part.size and rate[part[-1] + 1] < FALL * rate[part[0]]]


def courses(record: xr.Dataset, i: int) -> tuple[np.ndarray, ...]:
    """Training loss, its relative slope on the unit sphere, effective rate and that of the recursion, (seed, epoch)."""
    names = ("train_loss", "gradient", "weight_norm", "weight_norm_predicted")
    (loss, square, norm, said), lr = (networks.of_cell(record, i, name) for name in names), record["lr_end"].values[i]
    return loss, np.sqrt(square) / loss, lr / norm**2, lr / said**2


def blocks(values: np.ndarray) -> np.ndarray:
    """Geometric means over blocks that grow with the epoch: single epochs scatter more than lines differ."""
    edges = np.unique(np.geomspace(1, values.size, 13).astype(int)) - 1
    return np.exp(np.add.reduceat(np.log(values), edges) / np.diff([*edges, values.size]))


def passing(record: xr.Dataset, i: int) -> np.ndarray:
    """Logarithms of slope and rate where the loss is about `LEVEL`, shape (2, seed)."""
    loss, *both, _ = courses(record, i)
    weight = np.exp(-(np.log(loss / LEVEL) ** 2) / 0.3)
    return np.array([np.average(np.log(values), axis=1, weights=weight) for values in both])


def draw(records: Records) -> Drawn:
    """Above the effective rates of ordinary training, below the diagram of one seed; a column a run."""
    record = records["kodryan-regimes"]
    (cells, fixed, regime), (low, high), epoch = fixed_rates(record), threshold(record), record["epoch"].values
    ordinary, seeds, told, runs = networks.pick(record, training="ordinary"), record["seed"].values, [], []
    figure, axes = style.panels(len(ordinary), 2, width=3.9, height=3.2, sharey="row")
    for i, top, axis in zip(ordinary, axes[: len(ordinary)], axes[len(ordinary) :], strict=True):
        loss, slope, rate, said = courses(record, i)
        down, name = [collapses(x) for x in rate], f"lr {float(record['lr'][i]):g}, wd {float(record['wd'][i]):g}"
        for k, seed in enumerate(seeds):
            style.measured(top, epoch, rate[k], i=k, label=f"measured, seed {seed}")
            style.exact(top, epoch, said[k], i=k)
            runs.append((rate[k], rate[k] / said[k], down[k]))
        crossed = ", ".join(f"{((fixed > x.min()) & (fixed < x.max())).sum()}" for x in rate)
        state = f"{sum(map(len, down))} collapses; {'past' * networks.settles(record, i) or 'in'} transient"
        told.append(f"{name}: {of_seeds(rate[:, 0], 4)} to {of_seeds(rate[:, -1], 4)}, crosses {crossed} ({state})")
        top.set(xlabel="epoch", yscale="log", title=name, ylabel="effective LR [per step]" * (top is axes[0]))
        top.hlines(fixed[fixed > rate.min() / 2], 0, epoch.size, color="0.8", lw=0.8, zorder=0, label="fixed rates")
        top.axhspan(low, high, color="0.85", lw=0, zorder=0, label="threshold of fixed rates" * (top is axes[0]))
        for k in (k for k, one in enumerate(fixed) if np.isclose(one, LINES).any()):
            x, y = (blocks(values[0]) for values in courses(record, cells[k])[:2])
            axis.loglog(x, y, "-", color="0.6", lw=1.0, zorder=1)
            axis.text(x[-1], y[-1], f"{fixed[k]:g}", fontsize=7, weight="bold")
        for k, (a, b) in enumerate(pairwise([0, *(start + 1 for start, _ in down[0]), epoch.size])):
            axis.loglog(blocks(loss[0, a:b]), blocks(slope[0, a:b]), style.MARKERS[k % 10] + "-", color=style.color(k),
                        ms=4, lw=0.6, label=f"{a + 1} to {b}: {rate[0, a]:.2g} to {rate[0, b - 1]:.2g}")  # fmt: skip
        axis.legend(fontsize=7, loc="lower left", title=f"seed {seeds[0]}: epochs, effective LR", title_fontsize=7)
        axis.set(xlabel="training loss", ylabel="gradient norm / training loss" * (top is axes[0]))
    style.below(figure, axes[0], (style.EXACT,), columns=len(seeds) + 2)
    kept = max(np.abs(ratio[1 : down[0][0] + 1 if down else None] - 1).max(initial=0.0) for _, ratio, down in runs)
    seen = f"""{networks.caption(record)}. Grey: fixed rates; band: their threshold
    ({f"{low:g} to {high:g}" if low < high else "not found"}). Ordinary training, effective rate in the first and last
    epoch, and how many of the {fixed.size} fixed rates each seed crosses: {"; ".join(told)}. Equilibrium
    values (paper's formula, SDE) are left out: a run in its transient or with collapses has no equilibrium. Each seed's
    rate is within {kept:.1%} of the recursion with its measured gradients from epoch 2 to its first collapse."""
    if begins := [[rate[start] for start, _ in down] for rate, _, down in runs if down]:
        starts, steps = (np.concatenate(x) for x in (begins, [np.diff(part) for part in begins]))
        seen += f""" In runs that collapse measured/recursion ends at
    {", ".join(f"{ratio[-1]:.2f}" for _, ratio, down in runs if down)}: gradient and norm change within the epoch of a
    collapse, of which the recursion has one mean. Collapses (to below {FALL:g} of the rate, without a rise between)
    begin, by seed, at a rate of {"; ".join(", ".join(f"{x:.2g}" for x in part) for part in begins)}:
    {(starts < low).sum()} of {starts.size} below the threshold, {(starts > high).sum()} above, {(steps > 0).sum()} of
    {steps.size} later ones at a higher rate than the one before (fixed rates start from random weights)."""
    if (good := regime == CONVERGENCE).sum() > 1:
        lines, pairs = (np.array([passing(record, i) for i in some]) for some in (cells[good], ordinary))
        off = np.mean([s - np.interp(r, np.log(fixed[good]), lines[:, 0].mean(axis=1)) for s, r in pairs], axis=0)
        seen += f""" At a loss of {LEVEL:g} gradient norm/loss is {of_seeds(np.exp(lines[0, 0]), 1)} at a rate of
    {fixed[good][0]:g} and {of_seeds(np.exp(lines[-1, 0]), 1)} at {fixed[good][-1]:g}; in ordinary training it is
    {of_seeds(np.exp(off))} times that of fixed rates at its present rate."""
    below = f"{sum(rate.max() <= low for rate, *_ in runs)} of {len(runs)} trainings stay below the threshold"
    return Drawn(figure, " ".join(f"{seen} {below}.".split()))
