"""Tricks of training: each trick's angles over their predictions, by verdict, and how many tricks got which verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks
from validation.experiments import verdict

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
ANGLES = ("step", "epoch")
AGAINST = {"equilibrium": "the law of the equilibrium", "course": "the transient", "beside": "the baseline none"}
WORDS = (verdict.KEEPS, verdict.BREAKS, verdict.UNSETTLED, verdict.UNDECIDED, verdict.NO_CLAIM)
# A verdict as one row gets it, and as several do; the others are said as they are.
SAID = {"keeps": ("keeps it", "keep it"), "breaks": ("breaks it", "break it"),
        "as none": ("turns as it does", "turn as it does"), "differs": ("differs", "differ")}  # fmt: skip
NAMED = 3  # tricks of one verdict are named where they are at most one in so many


@dataclass(frozen=True)
class Ratios:
    """Measured over predicted angle of some rows.

    Attributes
    ----------
    row : ndarray of int, shape (point,)
        Row from the top.
    mean, stderr : ndarray, shape (point,)
        Over seeds; the error is nan with one living seed. It is what was judged.
    """

    row: Array
    mean: Array
    stderr: Array


@dataclass(frozen=True)
class Angle:
    """The angle per step or per epoch.

    Attributes
    ----------
    equilibrium : dict of str to Ratios
        Over the law of the equilibrium, by its verdict.
    course : Ratios
        Of all rows, over the transient.
    beside : Ratios
        Of all rows, `equilibrium` over that of the baseline.
    """

    equilibrium: dict[str, Ratios]
    course: Ratios
    beside: Ratios


@dataclass(frozen=True)
class Found:
    """What the record of tricks shows.

    Attributes
    ----------
    caption : str
        Which data these are.
    rows : list of verdict.Row
    angles : dict of str to Angle
        By ``step`` and ``epoch``.
    """

    caption: str
    rows: list[verdict.Row]
    angles: dict[str, Angle]


def find(record: xr.Dataset) -> Found:
    """Every row judged, and its ratios."""
    rows = verdict.rows(record)
    angles = {name: _angle([getattr(row, name) for row in rows]) for name in ANGLES}
    return Found(networks.caption(record), rows, angles)


def _angle(angles: Sequence[verdict.Angle]) -> Angle:
    """One angle of all rows; a law that applies to every row needs no ratios without a claim."""
    verdicts = [one.equilibrium.verdict for one in angles]
    by_word = {word: _ratios((i, angles[i].equilibrium) for i, said in enumerate(verdicts) if said == word)
               for word in WORDS if word in verdicts or word != verdict.NO_CLAIM}  # fmt: skip
    course, beside = (_ratios(enumerate(getattr(one, key) for one in angles)) for key in ("course", "beside"))
    return Angle(by_word, course, beside)


def _ratios(some: Iterable[tuple[int, verdict.Ratio]]) -> Ratios:
    """Ratios with the places of their rows."""
    table = np.array([(i, one.mean, one.stderr) for i, one in some], float).reshape(-1, 3).T
    return Ratios(table[0].astype(int), *table[1:])


def seen(found: Found) -> str:
    """How many rows got which verdict, per step and per epoch."""
    said = [_counted(found.rows, angle, key) for angle in ANGLES for key in AGAINST]
    said += [f"{row.trick} {verdict.SAME}, since it changes what is evaluated, not what is trained"
             for row in found.rows if verdict.SAME in row.step.why]  # fmt: skip
    return ". ".join([found.caption, *said]) + "."


def _counted(rows: list[verdict.Row], angle: str, key: str) -> str:
    """Verdicts on one ratio of one angle, the most frequent first."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(getattr(getattr(row, angle), key).verdict, []).append(row.trick)
    found.pop(verdict.BASELINE, None)
    parts = []
    for word, tricks in sorted(found.items(), key=lambda one: -len(one[1])):
        named = f" ({'; '.join(tricks)})" if len(tricks) <= len(rows) // NAMED else ""
        parts.append(f"{len(tricks)} {SAID.get(word, (word, word))[len(tricks) > 1]}{named}")
    judged = sum(map(len, found.values()))
    return f"Angle per {angle} against {AGAINST[key]}, of {judged} rows: {', '.join(parts)}"
