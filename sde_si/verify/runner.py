"""Runs what claims need, each configuration once, and hands the records to the claims."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_si.simulate.store import Store
from sde_si.verify.claim import Claim, Result

if TYPE_CHECKING:
    import xarray as xr

QUICK, FULL = 1.0, 8.0


def verify(
    claims: Sequence[Claim], *, folder: Path, scale: float = QUICK, seed: int = 0, threads: int, fresh: bool = False
) -> Iterator[Result]:
    """Measure claims one after another.

    Parameters
    ----------
    claims : sequence of Claim
    folder : Path
        Where records are kept; one that exists is used again.
    scale : float
        Multiplies the number of paths.
    seed : int
        Decides every random number.
    threads : int
        Worker threads.
    fresh : bool
        Simulate again what exists.

    Yields
    ------
    Result
        Of each claim, in order.

    Raises
    ------
    DiskProblem
        If `folder` cannot be written, or holds a damaged record.
    """
    store = Store(folder, threads, fresh, quiet=True)
    store.check_writable()
    records: dict[str, xr.Dataset] = {}
    for claim in claims:
        begin = time.perf_counter()
        found = []
        if claim.check is not None:
            # A stream of its own: a claim's numbers do not depend on which others are asked for.
            found += claim.check(np.random.default_rng([seed, zlib.crc32(claim.id.encode())]))
        if claim.runs is not None and claim.measure is not None:
            runs = claim.runs(scale, seed)
            for run in runs.values():
                if run.digest() not in records:
                    records[run.digest()] = store.obtain(run).record
            found += claim.measure({name: records[run.digest()] for name, run in runs.items()}, runs)
        yield Result(claim, found, time.perf_counter() - begin)
