"""Synthetic scale-invariant losses. To add one, write a `Loss` and name it in `LOSSES` below."""

from sde_si.losses.analytic import BINGHAM, GROUPS, ISOTROPIC, VMF
from sde_si.losses.base import NOISE_SCALE, Arrays, Loss, Parameter
from sde_si.losses.finite_sums import PCA, REGRESSION

LOSSES: dict[str, Loss] = {loss.name: loss for loss in (ISOTROPIC, VMF, BINGHAM, PCA, REGRESSION, GROUPS)}

__all__ = ["LOSSES", "NOISE_SCALE", "Arrays", "Loss", "Parameter"]
