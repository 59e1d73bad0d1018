"""Errors of the quick set's statistical measurements over many seeds, in standard errors.

``python -m validation.zscores`` measures the quick set with seeds 0 to 19 and writes the record
``validation/records/zscores.json`` and the page ``docs/zscores.md``. What is already in the record is taken from
there, unless something has changed on which it rests: a run's digest, the estimators, the theory, the files of the
claims. ``--seeds`` and ``--claims`` choose; ``--page`` measures nothing. ``--confirm`` measures seed 0 alone and keeps
the other seeds of a claim if all of its numbers are what they were, for changes that are not meant to change any.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sde_si
from sde_si.disk import write_bytes
from sde_si.machine import usable_cores
from sde_si.terminal import Progress
from sde_si.verify import CLAIMS, Claim, verify
from validation import zscores_page

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "validation" / "records" / "zscores.json"
SEEDS = 20
SAME = 1e-9  # of a number's size, by which it may differ if nothing changed but the order of its operations
FIELDS = ("system", "predicted", "truth", "measured", "stderr")


def statistical() -> list[Claim]:
    """The claims that rest on simulated paths."""
    return [claim for claim in CLAIMS.values() if claim.runs is not None]


def key(claim: Claim, seed: int) -> str:
    """Hash of all on which a claim's measurements with this seed rest."""
    assert claim.runs is not None
    assert claim.measure is not None
    package = Path(sde_si.__file__).parent
    files = [path for room in ("estimators", "theory") for path in sorted((package / room).glob("*.py"))]
    folder = package / "verify" / "claims"
    files += [folder / "common.py", folder / "systems.py", Path(inspect.getfile(claim.measure))]
    parts = [file.read_bytes() for file in files]
    parts += [run.digest().encode() for _, run in sorted(claim.runs(1.0, seed).items())]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def rows(claim: Claim, seed: int, folder: Path) -> dict[str, Any]:
    """A claim's measurements with one seed, as JSON."""
    [result] = verify([claim], folder=folder, seed=seed, threads=usable_cores())
    found = [{name: _plain(getattr(one, name)) for name in FIELDS} for one in result.measurements]
    return {"key": key(claim, seed), "verdict": result.verdict, "measurements": found}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str) or (value is not None and math.isfinite(value)) else None


def load() -> dict[str, dict[str, Any]]:
    """The record: by claim and seed."""
    return json.loads(RECORD.read_text()) if RECORD.exists() else {}


def save(record: dict[str, dict[str, Any]]) -> None:
    """One line a claim and seed."""
    parts = []
    for name in sorted(record):
        lines = ",\n".join(f' "{seed}": {json.dumps(found)}' for seed, found in record[name].items())
        parts.append(f'"{name}": {{\n{lines}\n}}')
    write_bytes(("{\n" + ",\n".join(parts) + "\n}\n").encode(), RECORD)


def collect(seeds: int, chosen: list[Claim], folder: Path) -> Iterator[tuple[str, int]]:
    """Measure what the record lacks; the record is written after every measurement."""
    record = {name: found for name, found in load().items() if name in CLAIMS}
    for seed in range(seeds):
        for claim in chosen:
            known = record.setdefault(claim.id, {}).get(str(seed))
            if known is None or known["key"] != key(claim, seed):
                record[claim.id][str(seed)] = rows(claim, seed, folder)
                save(record)
            yield claim.id, seed


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two sets of measurements hold the same numbers; standard errors that are rounding may differ."""
    pairs = list(zip(one["measurements"], other["measurements"], strict=False))
    if not len(pairs) == len(one["measurements"]) == len(other["measurements"]):
        return False
    for a, b in pairs:
        size = max(abs(a["predicted"] or 0.0), abs(a["measured"] or 0.0))
        for name in FIELDS[1:]:
            if (a[name] is None) != (b[name] is None):
                return False
            if a[name] is not None and abs(a[name] - b[name]) > SAME * size:
                return False
    return True


def confirm(chosen: list[Claim], folder: Path) -> Iterator[tuple[str, bool]]:
    """Measure seed 0 again; where its numbers are the same, the other seeds count as measured by the present code."""
    record = load()
    for claim in chosen:
        seeds = record.get(claim.id, {})
        again = rows(claim, 0, folder)
        kept = "0" in seeds and same(seeds["0"], again)
        if kept:
            for seed, found in seeds.items():
                found["key"] = key(claim, int(seed))
                for one, new in zip(found["measurements"], again["measurements"], strict=True):
                    one["system"] = new["system"]
            save(record)
        yield claim.id, kept


def stale(record: dict[str, dict[str, Any]]) -> list[str]:
    """Claims some of whose measurements rest on something that has changed since."""
    return [
        claim.id
        for claim in statistical()
        if any(found["key"] != key(claim, int(seed)) for seed, found in record.get(claim.id, {}).items())
    ]


def main() -> None:
    """Measure, and write the record and the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="seeds 0, 1, ... [20]")
    parser.add_argument("--claims", help="only these, separated by commas")
    parser.add_argument("--out", default="runs/zscores", help="folder for the simulations' records")
    parser.add_argument("--page", action="store_true", help="write the page from the record, measure nothing")
    parser.add_argument("--confirm", action="store_true", help="measure seed 0 and keep the rest where nothing changed")
    options = parser.parse_args()
    chosen = [CLAIMS[name] for name in options.claims.split(",")] if options.claims else statistical()
    if options.confirm:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        for name, kept in confirm(chosen, Path(options.out)):
            print(f"{name}: {'as before' if kept else 'CHANGED, to be measured again'}", flush=True)
    elif not options.page:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        with Progress("z-scores", options.seeds * len(chosen)) as progress:
            for _ in collect(options.seeds, chosen, Path(options.out)):
                progress.advance(1)
    record = load()
    write_bytes(zscores_page.page(record, stale(record)).encode(), zscores_page.PAGE)


if __name__ == "__main__":
    main()
