"""Simulation of SGD, SGDM and their SDEs: ``simulate(...)``, and ``python -m sde_si.simulate`` on the command line."""

import sys
from types import ModuleType
from typing import Any

from sde_si.simulate.api import simulate

__all__ = ["simulate"]


class _Callable(ModuleType):
    """The module shares its name with its function: ``sde_si.simulate(...)`` works whichever of the two it is."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return simulate(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
