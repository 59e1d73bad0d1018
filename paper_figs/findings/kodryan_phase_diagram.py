"""Ordinary training among fixed rates: courses, collapses of the rate, and gradient norms compared at equal loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from paper_figs import networks, phases
from paper_figs.rates import FALL, Course, FixedRates, Training, course, fixed_rates, trainings
from paper_figs.seeds import of_seeds

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
LINES = (1e-4, 3e-3, 2e-2, 3e-2, 1e-1)  # fixed rates in the diagram: more cannot be told apart
LEVEL, WIDTH = 0.2, 0.15  # loss at which lines are compared, and variance of its logarithm in that mean


class Found(NamedTuple):
    """What the record shows.

    Attributes
    ----------
    caption : str
    epoch : ndarray, shape (epoch,)
    fixed : FixedRates
    lines : dict of float to Course
        The first seed at the fixed rates `LINES`.
    ordinary : dict of str to list of Training
        Ordinary training, seed by seed, by its settings.
    settles : list of bool
        Whether its transient is over.
    level : tuple of ndarray, shape (seed,), or None
        Gradient norm/loss at the loss `LEVEL`: at the lowest and at the highest fixed rate that converges, and in
        ordinary training over that at a fixed rate as high as its own.
    """

    caption: str
    epoch: Array
    fixed: FixedRates
    lines: dict[float, Course]
    ordinary: dict[str, list[Training]]
    settles: list[bool]
    level: tuple[Array, Array, Array] | None


def find(record: xr.Dataset) -> Found:
    """Fixed rates, ordinary trainings, and how the two compare."""
    fixed, cells = fixed_rates(record), networks.pick(record, training="ordinary")
    lines = {float(rate): Course(*(values[0] for values in course(record, i)))
             for i, rate in zip(fixed.cells, fixed.rates, strict=True) if np.isclose(rate, LINES).any()}  # fmt: skip
    names = [f"lr {float(record['lr'][i]):g}, wd {float(record['wd'][i]):g}" for i in cells]
    ordinary = {name: trainings(record, i) for name, i in zip(names, cells, strict=True)}
    settles, level = [phases.settles(record, i) for i in cells], levels(record, fixed, cells)
    return Found(networks.caption(record), record["epoch"].values, fixed, lines, ordinary, settles, level)


def blocks(values: Array) -> Array:
    """Geometric means over blocks that grow with the epoch: single epochs scatter more than lines differ."""
    edges = np.unique(np.geomspace(1, values.size, 13).astype(int)) - 1
    return np.exp(np.add.reduceat(np.log(values), edges) / np.diff([*edges, values.size]))


def levels(record: xr.Dataset, fixed: FixedRates, ordinary: list[int]) -> tuple[Array, Array, Array] | None:
    """`Found.level`; None if fewer than two fixed rates converge."""
    if (good := fixed.converging).sum() < 2:
        return None
    cells, rates = fixed.cells[good], fixed.rates[good]
    lines, pairs = (np.array([passing(course(record, i)) for i in some]) for some in (cells, ordinary))
    off = np.mean([s - np.interp(r, np.log(rates), lines[:, 0].mean(axis=1)) for s, r in pairs], axis=0)
    return np.exp(lines[0, 0]), np.exp(lines[-1, 0]), np.exp(off)


def passing(of: Course) -> Array:
    """Logarithms of slope and rate where the loss is about `LEVEL`, shape (2, seed)."""
    weight = np.exp(-(np.log(of.loss / LEVEL) ** 2) / (2 * WIDTH))
    return np.array([np.average(np.log(values), axis=1, weights=weight) for values in (of.slope, of.rate)])


def seen(found: Found) -> str:
    """How ordinary training moves among the fixed rates, and its collapses."""
    (low, high), runs = found.fixed.threshold, [one for each in found.ordinary.values() for one in each]
    told = "; ".join(_course_of(found, *one) for one in zip(found.ordinary, found.settles, strict=True))
    below = sum(one.course.rate.max() <= low for one in runs)
    text = f"""{found.caption}. Grey: fixed rates; band: their threshold
    ({f"{low:g} to {high:g}" if low < high else "not found"}). Ordinary training, effective rate in the first and last
    epoch, and how many of the {found.fixed.rates.size} fixed rates each seed crosses: {told}. Equilibrium
    values (paper's formula, SDE) are left out: a run in its transient or with collapses has no equilibrium. Each seed's
    rate is within {max(one.kept for one in runs):.1%} of the recursion with its measured gradients from epoch 2 to its
    first collapse. {_collapses(runs, low, high)} {_level(found)}
    {below} of {len(runs)} trainings stay below the threshold."""
    return " ".join(text.split())


def _course_of(found: Found, name: str, settles: bool) -> str:
    each = found.ordinary[name]
    rate = np.array([one.course.rate for one in each])
    crossed = ", ".join(f"{((found.fixed.rates > x.min()) & (found.fixed.rates < x.max())).sum()}" for x in rate)
    fallen = sum(len(one.collapses) for one in each)
    return (f"{name}: {of_seeds(rate[:, 0], 4)} to {of_seeds(rate[:, -1], 4)}, crosses {crossed} "
            f"({fallen} collapses; {'past' if settles else 'in'} transient)")  # fmt: skip


def _collapses(runs: list[Training], low: float, high: float) -> str:
    """What collapses do and where they begin; empty if there are none."""
    fallen = [one for one in runs if one.collapses]
    if not fallen:
        return ""
    begins = [[one.course.rate[start] for start, _ in one.collapses] for one in fallen]
    starts, steps = (np.concatenate(x) for x in (begins, [np.diff(part) for part in begins]))
    ends = ", ".join(f"{one.course.rate[-1] / one.course.law[-1]:.2f}" for one in fallen)
    return f"""In runs that collapse measured/recursion ends at {ends}: gradient and norm change within the epoch of a
    collapse, of which the recursion has one mean. Collapses (to below {FALL:g} of the rate, without a rise between)
    begin, by seed, at a rate of {"; ".join(", ".join(f"{x:.2g}" for x in part) for part in begins)}:
    {(starts < low).sum()} of {starts.size} below the threshold, {(starts > high).sum()} above, {(steps > 0).sum()} of
    {steps.size} later ones at a higher rate than the one before (fixed rates start from random weights)."""


def _level(found: Found) -> str:
    """Gradient norms at equal loss; empty if too few rates converge."""
    if found.level is None:
        return ""
    (slow, fast, off), rates = found.level, found.fixed.rates[found.fixed.converging]
    return f"""At a loss of {LEVEL:g} gradient norm/loss is {of_seeds(slow, 1)} at a rate of {rates[0]:g} and
    {of_seeds(fast, 1)} at {rates[-1]:g}; in ordinary training it is {of_seeds(off)} times that of fixed rates at its
    present rate."""
