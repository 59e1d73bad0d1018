"""The claims, by subject. To add one, write a `Claim` in one of these files and name it in the file's `CLAIMS`."""

from sde_si.verify.claim import Claim
from sde_si.verify.claims import epochs, identities, sde, sphere, sphere_laws, steps

CLAIMS: dict[str, Claim] = {
    claim.id: claim for file in (identities, steps, epochs, sde, sphere, sphere_laws) for claim in file.CLAIMS
}

__all__ = ["CLAIMS"]
