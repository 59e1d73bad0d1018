"""Where and with what the runs of a summary were made, and how long they took."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray as xr

TOTALS = ("seconds", "cpu_seconds")  # over all runs
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
    made = {name: sorted({one for run in found.values() for one in listed(run.get(name))}) for name in SEVERAL}
    return {
        "runs": len(found),
        **{
            name: round(sum(float(one[name]) for one in found.values()), 1)
            for name in TOTALS
            if all(name in one for one in found.values())
        },
        "written": max(one["written"] for one in found.values()),
        **{name: values[0] if len(values) == 1 else values for name, values in made.items() if values},
    }


def of_one(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What a summary's provenance says of any one of its runs: its share of the time."""
    return {**provenance, **{name: provenance[name] / provenance["runs"] for name in TOTALS if name in provenance}}


def listed(value: Any) -> list[str]:
    """One value or several of a provenance."""
    return [] if value is None else [str(one) for one in value] if isinstance(value, list) else [str(value)]
