"""Where and with what the runs of a summary were made, and how long they took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

TOTALS = ("seconds", "cpu_seconds")  # over all runs, or over those that know it
# one value or a list
SEVERAL = (
    "processor",
    "torch_device",
    "torch",
    "numpy",
    "python",
    "sde_si",
    "commit",
    "kept_in",
)  # one value or a list


def provenance_of(records: Iterable[xr.Dataset]) -> Mapping[str, Any]:
    """Of all runs together, each counted once."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        found[record.attrs["digest"]] = json.loads(record.attrs["provenance"])
    totals: dict[str, float] = {}
    for name in TOTALS:
        known = [float(run[name]) for run in found.values() if name in run]
        if known:
            totals[name] = round(sum(known), 1)
            totals |= {_counted(name): len(known)} if len(known) < len(found) else {}
    made = {name: sorted({one for run in found.values() for one in listed(run.get(name))}) for name in SEVERAL}
    return {
        "runs": len(found),
        **totals,
        "written": max(one["written"] for one in found.values()),
        **{name: values[0] if len(values) == 1 else values for name, values in made.items() if values},
    }


def of_one(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary's provenance says of any one of its runs: its share of the time, where that is of all of them."""
    out = {name: value for name, value in provenance.items() if name not in map(_counted, TOTALS)}
    for name in TOTALS:
        if name in out and _counted(name) in provenance:
            del out[name]
        elif name in out:
            out[name] /= provenance["runs"]
    return out


def time_of(provenance: Mapping[str, Any]) -> str:
    """Hours of a summary's runs: of processor where they know it, else those that passed."""
    name, of = ("cpu_seconds", " of processor") if "cpu_seconds" in provenance else ("seconds", "")
    counted = provenance.get(_counted(name))
    return f"{provenance[name] / 3600:.2g} h{of}" + (f" for {counted} of them" if counted else "")


def _counted(name: str) -> str:
    return f"{name}_runs"


def listed(value: Any) -> list[str]:
    """One value or several of a provenance."""
    return [] if value is None else [str(one) for one in value] if isinstance(value, list) else [str(value)]
