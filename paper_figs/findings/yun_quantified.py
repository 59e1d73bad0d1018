"""The statements of Yun et al. in numbers, part by part of their tables: best cells, slopes, spread of the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks
from paper_figs.accuracy import TITLES, Part, ours, paper_of, theirs
from paper_figs.quantified import at_end, at_least, columns
from paper_figs.turning import part_by_part, together, widths

if TYPE_CHECKING:
    from collections.abc import Mapping

    import xarray as xr

    from paper_figs.seeds import Interval
    from paper_figs.spread import Spread

VERDICTS = ("on", "within", "off", "unknown")  # of `paper_figs.quantified.Column`
PLACES = 2  # of a column in which the diagonal is looked for: the best cell and the second


@dataclass(frozen=True)
class Quantified:
    """One part of a table.

    Attributes
    ----------
    name : str
        Table, and what was tuned.
    part : Part
        Ours.
    verdicts : tuple of str, shape (column,)
        Where the best cells are.
    leading : tuple of int and float
        Columns whose diagonal has one of the `PLACES`, and as many by chance.
    slope : Interval
        Of log(best) against log(N or B).
    printed : float
        The same of the paper's own table; nan if it has no such part.
    spreads : dict of str to Spread
        Of the angle, over cells of equal tuning factor and over others.
    """

    name: str
    part: Part
    verdicts: tuple[str, ...]
    leading: tuple[int, float]
    slope: Interval
    printed: float
    spreads: dict[str, Spread]


@dataclass(frozen=True)
class Found:
    """All tables there are.

    Attributes
    ----------
    captions : tuple of str
        Of their records.
    spreads : dict of str to str
        By the number of the table: spread of the angle over all its parts, in words.
    parts : tuple of Quantified
    """

    captions: tuple[str, ...]
    spreads: dict[str, str]
    parts: tuple[Quantified, ...]


def find(tables: Mapping[str, xr.Dataset]) -> Found:
    """All parts of the records by the numbers of their tables."""
    return Found(
        captions=tuple(dict.fromkeys(networks.caption(record) for record in tables.values())),
        spreads={number: together(record) for number, record in tables.items()},
        parts=tuple(_quantified(record, number, tuned, part)
                    for number, record in tables.items() for tuned, part in ours(record).items()),
    )  # fmt: skip


def _quantified(record: xr.Dataset, number: str, tuned: str, part: Part) -> Quantified:
    paper = theirs(paper_of(record))
    return Quantified(
        name=f"table {number}, {TITLES[tuned]}",
        part=part,
        verdicts=tuple(one.verdict for one in columns(part.accuracy, part.marked)),
        leading=part.leading(PLACES),
        slope=part.slope(),
        printed=paper[tuned].slope().value if tuned in paper else math.nan,
        spreads=widths(record, tuned),
    )


def seen(found: Found) -> str:
    """What all parts say of the diagonal, of the slopes, and of the angle."""
    spread = "; ".join(f"table {number}: {said}" for number, said in found.spreads.items())
    split = part_by_part({one.name: one.spreads for one in found.parts})
    return (
        f"tables {', '.join(found.spreads)} ({'; '.join(found.captions)}). {_diagonal(found)} Spread of the angle per "
        f"epoch after the transients, of cells whose networks have all learned something, {spread}."
        + (f" By what was tuned: {split}." if split else "")
    )


def _diagonal(found: Found) -> str:
    """Where the best cells are, against chance, and whether the slopes are those predicted."""
    parts = found.parts
    verdicts = [verdict for one in parts for verdict in one.verdicts]
    count, by_chance = (sum(values) for values in zip(*(one.leading for one in parts), strict=True))
    alone = sum(sum(one.part.chances(1)) for one in parts)
    rare = at_least(int(count), [chance for one in parts for chance in one.part.chances(PLACES)])
    ends, off = sum(at_end(one.part.mean) for one in parts), sum(one.part.off_by_chance() for one in parts)
    known = [one for one in parts if np.isfinite(one.slope.low)]
    held = sum(one.slope.holds(one.part.expected_slope) for one in known)
    return (
        f"The diagonal has the best cell in {verdicts.count('on')} of {len(verdicts)} columns ({alone:.1f} by chance) "
        f"and the best or the second in {count} ({by_chance:.1f} if all cells of a column were alike, which as many or "
        f"more would have "
        f"with probability {rare:.2g} if columns were independent; in the paper's own tables: yun-paper). The best is "
        f"off it by less than one standard error in {verdicts.count('within')}, beyond in {verdicts.count('off')} "
        f"({off:.1f} by chance), undecided in {verdicts.count('unknown')}; in {ends} it is at an end of the grid, and "
        f"the slope is that of what the grid shows. The predicted slope is inside the 95 % interval in {held} of "
        f"{len(known)} parts."
    )
