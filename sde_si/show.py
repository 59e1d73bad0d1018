"""``sde-si show RECORD...`` and ``sde-si diff A B``: saved records again, as table, figure and configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from sde_si.errors import DONE, require
from sde_si.options import existing
from sde_si.terminal import guarded, say, standing

if TYPE_CHECKING:
    import xarray as xr

Records = Annotated[tuple[str, ...], tyro.conf.Positional]


def _show(records: Records, out: str = "", no_figure: bool = False) -> None:
    """Table and figure of saved records, several overlaid; what is no course of weights is left out, and said so.

    Parameters
    ----------
    records
        Files of simulations, trainings or a monitor.
    out
        Folder for the figure [default: the first record's].
    no_figure
        Draw no figure.
    """
    from sde_si.comparison import rows
    from sde_si.figures import PANELS, overlay_figure
    from sde_si.record import load
    from sde_si.simulate import report

    require(bool(records), "records", "at least one record", "none", "runs/simulate-sgd-....nc")
    for file in records:
        existing("records", file)
    files = {file: load(file) for file in records}
    courses = {file: record for file, record in files.items() if record.variables.keys() >= {*PANELS}}
    others = [f"{file} (of {record.attrs.get('source', 'unknown source')})" for file, record in files.items()
              if file not in courses]  # fmt: skip
    advice = "sde-si sphere with its own flags, or sde-si sweep collect"
    require(bool(courses), "records", f"one with {', '.join(PANELS)} of every epoch", ", ".join(others), advice)
    for other in others:
        say(f"left out: {other}: no {', '.join(PANELS)} of every epoch")
    loaded = _named(courses)
    below = [line for name, record in loaded.items() for line in report.lines(name, record, "loaded")]
    if not no_figure:
        below.append(f"figure: {overlay_figure(loaded, Path(out) if out else Path(next(iter(courses))).parent)}")
    report.print_tables({name: rows(record) for name, record in loaded.items()}, "saved records", below)


def _named(files: Mapping[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """By their methods; by the ends of the files' names, or their paths, too, where two have the same."""
    from sde_si.record import configuration

    methods = [configuration(record).get("method", record.attrs.get("source", "")) for record in files.values()]
    longer = [[""] * len(files), [f" {Path(file).stem[-12:]}" for file in files], [f" {file}" for file in files]]
    named: dict[str, xr.Dataset] = {}
    for ends in longer:
        named = {m + end: record for m, end, record in zip(methods, ends, files.values(), strict=True)}
        if len(named) == len(files):
            break
    return named


def _diff(records: Records) -> None:
    """Which configuration keys of two records differ.

    Parameters
    ----------
    records
        Two files of simulations, trainings, a monitor or a sweep.
    """
    from sde_si.record import configuration, load

    require(len(records) == 2, "records", "two records", f"{len(records)}", "A.nc B.nc")
    for file in records:
        existing("records", file)
    first, second = (configuration(load(file)) for file in records)
    keys = [key for key in sorted(first.keys() | second.keys()) if first.get(key) != second.get(key)]
    for key in keys:
        print(f"{key}: {first.get(key, '-')} | {second.get(key, '-')}")
    if not keys:
        print("same configuration")


def _run(function: Any, prog: str, args: Sequence[str] | None) -> int:
    def body() -> int:
        tyro.cli(function, prog=prog, args=args, config=(tyro.conf.FlagCreatePairsOff,))
        return DONE

    return guarded(body, standing(records="RECORD"))


def main_show(args: Sequence[str] | None = None) -> int:
    """``sde-si show``; returns the exit code."""
    return _run(_show, "sde-si show", args)


def main_diff(args: Sequence[str] | None = None) -> int:
    """``sde-si diff``; returns the exit code."""
    return _run(_diff, "sde-si diff", args)
