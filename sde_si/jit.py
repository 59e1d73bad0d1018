"""Numba, but only when something is computed.

Importing numba takes longer than answering ``--help``, and the registries of losses and methods must be
readable without it. So `jitted` only marks a function; the first use compiles the marked functions of its
file lazily, with one set of options and a disk cache that survives the process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

# Full fastmath would delete the NaN checks by which a diverged path is found; these four flags do not.
FASTMATH = frozenset({"reassoc", "contract", "arcp", "nsz"})
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "fastmath": set(FASTMATH), "error_model": "numpy"}


class Jitted:
    """A Python function that numba compiles when it is first needed.

    Numba stamps a cached function with its own file only: a marked function may use by name other functions
    and constants of that one file, and must get everything else as an argument.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.py_func = function
        functools.update_wrapper(self, function)

    @functools.cached_property
    def _lazy_dispatcher(self) -> Any:
        import numba

        return numba.njit(**OPTIONS)(self.py_func)

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The numba dispatcher; nothing is compiled before it is called with arguments."""
        namespace = self.py_func.__globals__
        # Numba looks up by name the functions that this one calls: by then they must be dispatchers too.
        for name, value in list(namespace.items()):
            if isinstance(value, Jitted) and value.py_func.__globals__ is namespace:
                namespace[name] = value._lazy_dispatcher
        return self._lazy_dispatcher

    def __call__(self, *args: Any) -> Any:
        """Run the compiled function."""
        return self.dispatcher(*args)


def jitted(function: Callable[..., Any]) -> Jitted:
    """Mark `function` for lazy compilation (nogil, cached, vectorising reductions, NaN-safe)."""
    return Jitted(function)


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
