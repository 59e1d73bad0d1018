"""Which parameters of a network are scale-invariant, found by trying. Needs torch (``sde_si[torch]``)."""

from sde_si.audit.api import Audit, Invariant, audit

__all__ = ["Audit", "Invariant", "audit"]
