"""The claims, by subject. To add one, write a `Claim` in one of these files and name it in the file's `CLAIMS`."""

from sde_si.verify.claim import Claim
from sde_si.verify.claims import calculus, drift, epochs, identities, limits, orders, phases, scaling, sde, steps

CLAIMS: dict[str, Claim] = {
    claim.id: claim
    for file in (identities, steps, epochs, sde, orders, drift, scaling, limits, calculus, phases)
    for claim in file.CLAIMS
}

__all__ = ["CLAIMS"]
