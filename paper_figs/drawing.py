"""Figures from their records, side by side in processes of their own: matplotlib draws one at a time."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from paper_figs.scripts import SIMULATED, Script, scripts
from sde_si.errors import DiskProblem
from sde_si.machine import usable_cores

if TYPE_CHECKING:
    import xarray as xr

FEW = 4  # figures that are drawn before processes have started


class Found(NamedTuple):
    """What a script needs: the records that are there, names of those that nobody has made, faults of the rest."""

    records: dict[str, xr.Dataset]
    pending: list[str]
    unreadable: list[str]


def records_of(script: Script, scale: str | None) -> Found:
    """Read what a script needs, whatever cannot be read."""
    from paper_figs import simulated

    found = Found({}, [], [])
    if script.simulates:
        with _kept(found.unreadable):
            own = simulated.load(script)
            if own is None:
                found.pending.append(f"{script.name} (simulation)")
            else:
                found.records[SIMULATED] = own
    if script.experiments:
        from validation import experiments

        for name in script.experiments:
            there = experiments.present(name) if name in experiments.EXPERIMENTS else []
            if not there or (scale is not None and scale not in there):
                found.pending.append(name if scale is None else f"{name} ({scale})")
            else:
                with _kept(found.unreadable):
                    found.records[name] = experiments.load(name, scale)
    return found


@contextmanager
def _kept(messages: list[str]) -> Iterator[None]:
    """One bad file is told of, and stops nothing else."""
    try:
        yield
    except DiskProblem as error:
        messages.append(str(error))


def foreign(script: Script, records: dict[str, xr.Dataset]) -> list[str]:
    """Names of the records that do not belong to the present configuration."""
    from paper_figs import simulated

    out = []
    for name, record in records.items():
        if name == SIMULATED:
            present = simulated.digest(script)
        else:
            from validation import experiments

            present = experiments.current(name, record.attrs["scale"])
        if record.attrs.get("digest") != present:
            out.append(script.name if name == SIMULATED else f"{name} ({record.attrs['scale']})")
    return out


class Order(NamedTuple):
    """What to draw, and where to: files in several formats, or the picture of the gallery."""

    name: str
    scale: str | None
    out: str
    formats: tuple[str, ...]
    gallery: str | None

    @classmethod
    def of(cls, script: Script, options: Any) -> Order:
        """Of the command's options."""
        gallery = None if options.gallery is None else str(options.gallery)
        return cls(script.name, options.scale, str(options.out), tuple(options.format), gallery)


def one(order: Order) -> dict[str, Any]:
    """Draw one figure and write it.

    Returns
    -------
    dict
        ``pending`` and ``unreadable`` as in `Found`, where there are any; if it was drawn ``files``, what is ``seen``,
        its ``tables`` as Markdown, and ``foreign``: names of records of another configuration, if any.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses.
    """
    from paper_figs import gallery, output

    script = scripts()[order.name]
    found = records_of(script, order.scale)
    entry: dict[str, Any] = {key: value for key, value in found._asdict().items() if value and key != "records"}
    if entry and not (script.partial and found.records):
        return entry
    if names := foreign(script, found.records):
        entry["foreign"] = names
    drawn = script.draw(found.records)
    if order.gallery is None:
        files = output.write(script, drawn, Path(order.out), order.formats)
    else:
        gallery.write_picture(script.name, drawn, Path(order.gallery))
        files = []
    tables = [table.markdown() for table in drawn.tables]
    return entry | {"files": [str(file) for file in files], "seen": drawn.seen, "tables": tables}


def each(orders: Sequence[Order]) -> Iterator[dict[str, Any]]:
    """`one` of every order, in their order; of more than a few in as many processes as there are cores."""
    cores = usable_cores()
    if len(orders) <= FEW or cores == 1:
        yield from map(one, orders)
        return
    # one process a core: idle threads of OpenBLAS would spin where another process wants the core
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(cores, len(orders)), mp_context=context, initializer=_start)
    try:
        yield from pool.map(one, orders)
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    """Ctrl-C is for the command, which then lets nothing begin any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
