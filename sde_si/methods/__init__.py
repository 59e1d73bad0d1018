"""One-step maps. To add a method, write its step and one `Method` and name it in `METHODS` below."""

from sde_si.methods.adaptive import ADAPTIVE
from sde_si.methods.base import HYPER, Method, Scheme
from sde_si.methods.integrators import INTEGRATORS
from sde_si.methods.optimizers import OPTIMIZERS

METHODS: dict[str, Method] = {method.name: method for method in (*OPTIMIZERS, *ADAPTIVE, *INTEGRATORS)}

__all__ = ["HYPER", "METHODS", "Method", "Scheme"]
