"""What there is to choose from, read off the registries."""

from __future__ import annotations

import sys

from sde_si.losses import LOSSES
from sde_si.methods import METHODS
from sde_si.noises import NOISES
from sde_si.schedules import SCHEDULES, usage


def catalogue() -> dict[str, list[tuple[str, ...]]]:
    """Name, summary and source (or usage) of every entry, by kind."""
    return {
        "losses": [(x.name, x.summary, f"--{' --'.join(x.parameters)}".replace("_", "-")) for x in LOSSES.values()],
        "methods": [(x.name, x.summary, x.source) for x in METHODS.values()],
        "noises": [(x.name, x.summary) for x in NOISES.values()],
        "schedules": [(usage(name), (f.__doc__ or "").partition("\n")[0]) for name, f in SCHEDULES.items()],
    }


def show_catalogue() -> None:
    """Print it as tables."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    for kind, entries in catalogue().items():
        table = Table(title=kind, title_justify="left", show_header=False, pad_edge=False)
        for entry in entries:
            table.add_row(*(text.replace("[", r"\[") for text in entry))
        console.print(table)
