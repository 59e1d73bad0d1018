"""Many runs on any executor, surviving anything: ``Sweep(...)``, and ``sde-si sweep FILE.toml``."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_si.sweep.api import Sweep as Sweep
    from sde_si.sweep.gather import collect as collect
    from sde_si.sweep.job import Diverged as Diverged
    from sde_si.sweep.job import Job as Job
    from sde_si.sweep.summary import Summary as Summary
    from sde_si.sweep.tables import table as table

_PUBLIC = {
    "Diverged": "sde_si.sweep.job",
    "Job": "sde_si.sweep.job",
    "Summary": "sde_si.sweep.summary",
    "Sweep": "sde_si.sweep.api",
    "collect": "sde_si.sweep.gather",
    "table": "sde_si.sweep.tables",
}
__all__ = ["Diverged", "Job", "Summary", "Sweep", "collect", "table"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        msg = f"module 'sde_si.sweep' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
