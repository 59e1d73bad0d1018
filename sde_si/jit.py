"""Numba, but only when something is computed.

Importing numba takes longer than answering ``--help``, and the registries of losses and methods must be
readable without it. So `jitted` only marks a function; the first use compiles the marked functions of its
file lazily, with one set of options and a disk cache that survives the process.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

# Sums may be reordered, so a loop that sums must not store, too: where two arrays lie near each other, LLVM would take
# another order, and the numbers would depend on where the memory happens to be.
# Full fastmath would delete the NaN checks by which a diverged path is found; these four flags do not.
FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz"})
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": set(FASTMATH), "error_model": "numpy"}


class Late:
    """A name for compiled code that lives in a module which imports numba: looked up at the first compilation."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def load(self) -> Any:
        """What the name stands for."""
        return getattr(importlib.import_module(self.module), self.name)


class Jitted:
    """A Python function that numba compiles when it is first needed.

    Numba stamps a cached function with its own file only: a marked function may use by name other functions
    and constants of that one file (`Late` ones, too), and must get everything else as an argument.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        functools.update_wrapper(self, function)

    @functools.cached_property
    def _lazy_dispatcher(self) -> Any:
        from sde_si.compiled import njit

        return njit(**OPTIONS)(self.py_func)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The numba dispatcher; nothing is compiled before it is called with arguments."""
        namespace = self.py_func.__globals__
        # Numba looks up by name the functions that this one calls: by then they must be dispatchers too.
        for name, value in list(namespace.items()):
            if isinstance(value, Jitted) and value.py_func.__globals__ is namespace:
                namespace[name] = value._lazy_dispatcher
            elif isinstance(value, Late):
                namespace[name] = value.load()
        return self._lazy_dispatcher

    def __call__(self, *args: Any) -> Any:
        """Run the compiled function."""
        return self.dispatcher(*args)


def jitted(function: Callable[..., Any]) -> Jitted:
    """Mark `function` for lazy compilation (nogil, cached, vectorising reductions, NaN-safe)."""
    return Jitted(function)


class PerPath(Jitted):
    """A loss's function for one path, lifted to blocks of paths; see `per_path`."""

    def __init__(self, function: Any) -> None:
        self.one = function if isinstance(function, Jitted) or hasattr(function, "py_func") else Jitted(function)
        count = len(inspect.signature(self.one.py_func).parameters)
        if count not in _LIFTS:
            msg = f"expected a function of 3 (gradient), 4 (minibatch) or 6 (noise) arguments, got {count}"
            raise TypeError(msg)
        self.lift = _LIFTS[count]
        block = self.lift(self.one.py_func)
        functools.update_wrapper(block, self.one.py_func)
        super().__init__(block)

    @functools.cached_property
    def _lazy_dispatcher(self) -> Any:
        from sde_si.compiled import njit

        # No disk cache: a compiled function inside another misses it in every process and would grow it for ever.
        options: dict[str, Any] = OPTIONS | {"cache": False}
        return njit(**options)(self.lift(dispatcher(self.one)))


def _lift_gradient(one: Any) -> Any:
    def block(x, params, out, value):
        for p in range(x.shape[0]):
            value[p] = one(x[p], params, out[p])

    return block


def _lift_minibatch(one: Any) -> Any:
    def block(x, index, params, out):
        for p in range(x.shape[0]):
            one(x[p], index[p], params, out[p])

    return block


def _lift_noise(one: Any) -> Any:
    def block(x, xi, amplitude, params, offsets, out):
        for p in range(x.shape[0]):
            one(x[p], xi[p], amplitude, params, offsets, out[p])

    return block


_LIFTS = {3: _lift_gradient, 4: _lift_minibatch, 6: _lift_noise}


def per_path(function: Callable[..., Any]) -> PerPath:
    """Lift a function of one path to the blocks of paths that a `sde_si.Loss` takes.

    Parameters
    ----------
    function : callable
        Plain, ``jitted`` or ``numba.njit``: ``gradient(x, params, out) -> loss``, ``minibatch(x, index, params, out)``
        or ``noise(x, xi, amplitude, params, offsets, out)`` with ``x[d]``, ``index[B]``, ``xi[k]``, ``out[d]``.

    Returns
    -------
    PerPath
        The same for ``x[path, d]``. A function that loops over the paths itself is up to twice as fast in low
        dimension, and is kept on disk by numba; this one is compiled once in every process (about a second).

    Raises
    ------
    TypeError
        If the number of arguments fits none of the three.
    """
    return PerPath(function)


def dispatcher(function: Any) -> Any:
    """The numba dispatcher of a marked function, or of a user's own ``numba.njit`` function.

    Raises
    ------
    TypeError
        If `function` is neither.
    """
    if isinstance(function, Jitted):
        return function.dispatcher
    if hasattr(function, "get_compile_result"):
        return function
    msg = f"expected a function marked with sde_si.jitted or numba.njit, got {function!r}"
    raise TypeError(msg)


def python_function(function: Any) -> Any:
    """The plain Python function under a jitted one (for the NumPy oracle and for digests)."""
    return getattr(function, "py_func", function)
