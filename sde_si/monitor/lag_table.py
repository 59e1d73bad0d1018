"""Angles over lags, group by group: measured with standard error, and the noise-only law in brackets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sde_si import comparison
from sde_si.comparison import finite
from sde_si.monitor.history import EPOCH
from sde_si.monitor.readings import Reading

if TYPE_CHECKING:
    from rich.table import Table

DEGREES = 180 / math.pi


def cells(readings: Sequence[Reading]) -> list[list[str]]:
    """Header and one line per group; angles in degrees."""
    lags = list(dict.fromkeys(lag for reading in readings for lag in reading.lags))
    out = [["group", *("epoch" if lag == EPOCH else f"{lag} steps" for lag in lags)]]
    for reading in readings:
        line = [reading.name]
        for lag in lags:
            found = reading.lags.get(lag)
            if found is None or not found.windows:
                line.append("-")
                continue
            law = f" ({found.predicted * DEGREES:.4g})" if math.isfinite(found.predicted) else ""
            line.append(comparison.number(finite(found.angle), DEGREES, finite(found.stderr)) + law)
        out.append(line)
    return out


def table(readings: Sequence[Reading]) -> Table:
    """`cells` as a rich table."""
    from rich.box import SIMPLE_HEAD
    from rich.markup import escape
    from rich.table import Table

    head, *lines = cells(readings)
    title = escape("angles over lags [deg], predicted in brackets")
    out = Table(title=title, box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for i, name in enumerate(head):
        out.add_column(name, justify="right" if i else "left", overflow="fold")
    for line in lines:
        out.add_row(*(escape(cell) for cell in line))
    return out


def html(readings: Sequence[Reading]) -> str:
    """`cells` as an HTML table."""
    from html import escape

    head, *lines = cells(readings)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in line) + "</tr>" for line in lines)
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><caption>angles over lags [deg], predicted in brackets</caption><tr>{top}</tr>{body}</table>"
