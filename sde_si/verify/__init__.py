"""Every claim of the theory as one machine-checked row: ``python -m sde_si.verify``."""

from sde_si.verify.claim import VERDICTS, Claim, Curve, Measurement, Quantity, Result
from sde_si.verify.claims import CLAIMS
from sde_si.verify.runner import verify

__all__ = ["CLAIMS", "VERDICTS", "Claim", "Curve", "Measurement", "Quantity", "Result", "verify"]
