"""A loss with its dimension and parameters."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from sde_si.errors import BadInput, require, require_known
from sde_si.losses import LOSSES, Arrays, Loss
from sde_si.losses.base import check_dim
from sde_si.streams import DATA, generator


class Problem:
    """A scale-invariant loss, made concrete by its dimension and parameters.

    Parameters
    ----------
    loss : str or Loss
        A name in `LOSSES`, ``path/file.py:name`` of a `Loss` in a user's own file, or a `Loss`.
    dim : int, optional
        Dimension of the weights; some losses fix it themselves.
    **parameters
        The loss's own parameters (``signal=2.0``); the rest take their defaults.

    Raises
    ------
    BadInput
        For an unknown loss, a parameter that it does not have, or a bad value.

    Examples
    --------
    >>> Problem("vmf", dim=64, signal=2.0)
    Problem('vmf', dim=64, noise_scale=1.0, signal=2.0)
    """

    def __init__(self, loss: str | Loss = "isotropic", *, dim: int | None = None, **parameters: Any) -> None:
        check_dim(dim)
        self.loss = loss if isinstance(loss, Loss) else find_loss(loss)
        self.dim = dim
        self.parameters = self.loss.values(parameters)
        self._arrays: dict[tuple[int | None, int], Arrays] = {}

    def __repr__(self) -> str:
        shown = {"dim": self.dim, **self.parameters}
        inside = ", ".join(f"{key}={value!r}" for key, value in shown.items() if value is not None)
        return f"Problem({self.loss.name!r}{', ' if inside else ''}{inside})"

    def arrays(self, N: int | None, seed: int) -> Arrays:
        """The loss's arrays for N samples; generated data depend on the seed alone.

        Raises
        ------
        BadInput
            If the data are missing, malformed, or do not fit `N` or `dim`.
        """
        key = (N, seed)
        if key not in self._arrays:
            arrays = self.loss.arrays(self.parameters, self.dim, N, generator(seed, DATA))
            if self.loss.noise is not None:
                # Whatever the parameters are called: noise of the loss's own has no known constant trace.
                arrays = dataclasses.replace(arrays, noise_variance=math.nan)
            self._arrays = {key: arrays}
        return self._arrays[key]

    def default_N(self) -> int | None:
        """Rows of the user's data, or None if the loss brings no number of samples of its own."""
        data = self.parameters.get("data")
        if data is None:
            return None
        from sde_si.losses.finite_sums import load_array

        return load_array("data", data, 2).shape[0]


def import_file(parameter: str, path: Path) -> ModuleType:
    """The module in a user's file.

    Raises
    ------
    BadInput
        About `parameter`, if it is no Python file or fails to be imported.
    """
    require(path.is_file(), parameter, "a file that exists", str(path))
    # Numba finds compiled functions again by the name of their module: one that is the same in every process, and none
    # that a real module has.
    name = f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise BadInput(parameter, "a Python file", str(path))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:  # a file that reads its command line on import ends the program
        del sys.modules[name]
        raise BadInput(
            parameter, "a Python file that can be imported", f"{path} ({type(error).__name__}: {error})"
        ) from error
    return module


def find_loss(name: str) -> Loss:
    """The loss of that name, or the one in a user's file ``path/file.py:name``.

    Raises
    ------
    BadInput
        If there is none.
    """
    if name in LOSSES:
        return LOSSES[name]
    file, colon, attribute = name.rpartition(":")
    if not (colon and file.endswith(".py")):
        require_known("loss", name, LOSSES, also="path/file.py:name")
    module = import_file("loss", Path(file))
    loss = getattr(module, attribute, None)
    losses = [key for key, value in vars(module).items() if isinstance(value, Loss)]
    have = f"a Loss in {file} (it has {', '.join(losses) or 'none'})"
    require(isinstance(loss, Loss), "loss", have, repr(attribute))
    return loss  # pyright: ignore[reportReturnType]
