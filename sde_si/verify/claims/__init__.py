"""The claims, by subject. To add one, write a `Claim` in one of these files and name it in the file's `CLAIMS`."""

from sde_si.verify.claim import Claim
from sde_si.verify.claims import (
    adaptive,
    calculus,
    confinement,
    drift,
    epochs,
    identities,
    invariance,
    limits,
    orders,
    phases,
    rescaling,
    reshuffling,
    scaling,
    schedules,
    sde,
    simulator,
    sphere,
    sphere_laws,
    steps,
    transients,
)

FILES = (
    identities,
    simulator,
    steps,
    epochs,
    transients,
    schedules,
    rescaling,
    reshuffling,
    confinement,
    orders,
    scaling,
    drift,
    limits,
    calculus,
    phases,
    adaptive,
    invariance,
    sde,
    sphere,
    sphere_laws,
)
CLAIMS: dict[str, Claim] = {claim.id: claim for file in FILES for claim in file.CLAIMS}

__all__ = ["CLAIMS"]
