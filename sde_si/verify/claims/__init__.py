"""The claims, by subject. To add one, write a `Claim` into the `CLAIMS` of one of these files, or of a new file here."""

import importlib
import pkgutil
from types import ModuleType

from sde_si.verify.claim import Claim

# The order in which subjects are shown; files that are not named here follow by name.
ORDER = (
    "gradients", "identities", "simulator", "integrators", "steps", "epochs", "transients", "schedules", "rescaling",
    "reshuffling", "confinement", "orders", "scaling", "drift", "limits", "calculus", "phases", "adaptive",
    "invariance", "sde", "sphere", "sphere_orbits", "sphere_regimes", "sphere_laws",
)  # fmt: skip


def find() -> list[ModuleType]:
    """The files of this folder that hold claims, in order."""
    names = [info.name for info in pkgutil.iter_modules(__path__)]
    names.sort(key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    files = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [file for file in files if hasattr(file, "CLAIMS")]


def collect(files: list[ModuleType]) -> dict[str, Claim]:
    """Their claims by id.

    Raises
    ------
    ValueError
        If two have the same id.
    """
    found: dict[str, Claim] = {}
    for file in files:
        for claim in file.CLAIMS:
            if claim.id in found:
                msg = f"two claims are called {claim.id!r}"
                raise ValueError(msg)
            found[claim.id] = claim
    return found


FILES = find()
CLAIMS = collect(FILES)

__all__ = ["CLAIMS", "FILES"]
