"""For testing a user's own losses and methods, and this package: contracts, a plain NumPy oracle, strategies.

``from sde_si.testing.strategies import ...`` needs the package hypothesis; the rest does not.
"""

from sde_si.testing.checks import check_loss, check_method, evaluate, noise_factor
from sde_si.testing.oracle import oracle

__all__ = ["check_loss", "check_method", "evaluate", "noise_factor", "oracle"]
