"""A user's own function: ``function(**settings)`` returns a record, numbers by name, or a number."""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import BadInput, require
from sde_si.problem import import_file
from sde_si.run import sha256, source_digest
from sde_si.sweep.checks import nearest
from sde_si.sweep.job import FORMAT, Job, Settings, canonical, finished

if TYPE_CHECKING:
    import xarray as xr


def locate(function: Any) -> tuple[str, Any]:
    """A name under which a worker finds a function, ``path/file.py:name`` or ``module:name``; "" if there is none."""
    if isinstance(function, str):
        where, _, name = function.rpartition(":")
        # Workers may stand in another folder.
        reference = f"{Path(where).resolve()}:{name}" if where.endswith(".py") else function
        return reference, find_function(reference)
    require(inspect.isfunction(function), "function", "a plain function", repr(function), "file.py:name")
    captured = function.__closure__ is None
    expected = "a function that captures no variables (no digest sees them)"
    require(captured, "function", expected, function.__qualname__, "handing them over as settings in base")
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    if not name.isidentifier():
        return "", function
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        return (f"{Path(file).resolve()}:{name}" if file and Path(file).is_file() else ""), function
    return (f"{module}:{name}" if getattr(sys.modules.get(module), name, None) is function else ""), function


@functools.lru_cache(maxsize=32)
def find_function(reference: str) -> Callable[..., Any]:
    """The function called ``path/file.py:name`` or ``module:name``.

    Raises
    ------
    BadInput
        If there is none.
    """
    where, _, name = reference.rpartition(":")
    require(bool(where and name), "function", "path/file.py:name or module:name", repr(reference), '"study.py:measure"')
    module = None
    try:
        module = import_file("function", Path(where)) if where.endswith(".py") else importlib.import_module(where)
        function = getattr(module, name)
    except BadInput:
        raise
    except (Exception, SystemExit) as error:  # a module that reads its command line on import ends the program
        got = f"{reference!r} ({type(error).__name__}: {error})"
        defined = [key for key, value in vars(module).items() if inspect.isfunction(value)] if module else []
        advice = f'"{where}:{nearest(name, defined, defined[0])}"' if defined else "a file that Python can import"
        raise BadInput("function", "a function that can be imported", got, advice) from error
    advice = "the name of a function of that file"
    require(callable(function), "function", "something that can be called", f"{reference} = {function!r}", advice)
    return function


def call(function: Any, settings: Settings) -> Job:
    """One call of a user's function: ``function(**settings)`` returns a record, numbers by name, or a number."""
    reference, found = locate(function)
    called = getattr(found, "__name__", "function")
    try:
        source = source_digest(found)
    except (OSError, TypeError) as error:
        raise BadInput(
            "function", "a function whose source can be read", f"{called} ({error})", "file.py:name"
        ) from None
    digest = sha256(canonical({"format": FORMAT, "call": called, "settings": settings, "source": source}))
    if reference:
        make: Callable[[], xr.Dataset] = functools.partial(make_call, reference, digest, settings)
        ready: Callable[[], object] = functools.partial(find_function, reference)
    else:
        content = _by_value(found)
        make = functools.partial(make_by_value, content, digest, settings)
        ready = functools.partial(_unpickled, content)
    return Job(f"call-{called}-{digest[:12]}.nc", digest, make, ready=ready)


def _by_value(function: Any) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        raise BadInput(
            "function", "a function in a file (or cloudpickle installed)", repr(function), "file.py:name"
        ) from None
    return cloudpickle.dumps(function)


def make_call(reference: str, digest: str, settings: Settings) -> xr.Dataset:
    """Call the function of that name."""
    return finished(find_function(reference)(**settings), digest, settings, "call")


def make_by_value(function: bytes, digest: str, settings: Settings) -> xr.Dataset:
    """Call a function that came by value (defined in a notebook or inside another function)."""
    return finished(_unpickled(function)(**settings), digest, settings, "call")


@functools.lru_cache(maxsize=32)
def _unpickled(function: bytes) -> Callable[..., Any]:
    """The function, with the modules that it needs, once in the worker's life."""
    import pickle

    return pickle.loads(function)  # noqa: S301 - our own parent's
