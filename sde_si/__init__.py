"""Training dynamics of scale-invariant networks: simulation, closed forms, predictions and their comparison.

Importing it loads neither numba nor xarray; what is used is loaded when it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_si import theory as theory
    from sde_si.errors import BadInput as BadInput
    from sde_si.errors import DiskProblem as DiskProblem
    from sde_si.hyperparameters import HyperParameters as HyperParameters
    from sde_si.jit import jitted as jitted
    from sde_si.jit import per_path as per_path
    from sde_si.losses import LOSSES as LOSSES
    from sde_si.losses import Loss as Loss
    from sde_si.losses import Parameter as Parameter
    from sde_si.methods import METHODS as METHODS
    from sde_si.noises import NOISES as NOISES
    from sde_si.problem import Problem as Problem
    from sde_si.record import load as load
    from sde_si.schedules import SCHEDULES as SCHEDULES
    from sde_si.simulate import simulate as simulate

_PUBLIC = {
    "BadInput": "sde_si.errors",
    "DiskProblem": "sde_si.errors",
    "HyperParameters": "sde_si.hyperparameters",
    "LOSSES": "sde_si.losses",
    "Loss": "sde_si.losses",
    "METHODS": "sde_si.methods",
    "NOISES": "sde_si.noises",
    "Parameter": "sde_si.losses",
    "Problem": "sde_si.problem",
    "SCHEDULES": "sde_si.schedules",
    "jitted": "sde_si.jit",
    "per_path": "sde_si.jit",
    "load": "sde_si.record",
    "simulate": "sde_si.simulate",
}
__all__ = [*sorted(_PUBLIC), "theory"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name == "theory":
        return import_module("sde_si.theory")
    if name not in _PUBLIC:
        msg = f"module 'sde_si' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
