"""`numba.njit` with a disk cache that processes share. Importing this module imports numba."""

from __future__ import annotations

import hashlib
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.serialize import dumps

_NAMED = "by content"  # how functions are named in machine code: code kept under other names is not read


class CodeFiles(IndexDataCacheFile):
    """Compiled code in files that are named by all that it depends on.

    Numba numbers the files of a function and keeps the numbers in an index. Two processes that begin with an empty
    cache can give one number to two specialisations; then one runs the other's code: wrong results, and no error. After
    an upgrade a process can read the old code under a number whose new code is not written yet. Without numbers there
    is nothing to agree upon: whoever finds a file finds the right one.
    """

    def __init__(self, folder: str, function: str, source_stamp: Any) -> None:
        super().__init__(folder, function, source_stamp)
        self._prefix = f"{function}."
        self._stamped = f"{self._prefix}{_digest(numba.__version__, _NAMED, source_stamp)}."

    def _file(self, key: Any) -> str:
        return f"{self._stamped}{_digest(key)}.nbc"

    def save(self, key: Any, data: Any) -> None:
        """Write, at once and whole, and remove what other versions of the function's file left."""
        self._save_data(self._file(key), data)
        for other in Path(self._cache_path).iterdir():
            if other.name.startswith(self._prefix) and not other.name.startswith(self._stamped):
                other.unlink(missing_ok=True)

    def load(self, key: Any) -> Any:
        """None if there is none."""
        try:
            return self._load_data(self._file(key))
        except FileNotFoundError:
            return None


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _named(function: Any, *contents: Any) -> Any:
    """The same function under a name of its own in machine code.

    Two functions of one factory have one name; numba tells them apart by a number that is counted anew in every
    process. Code from the disk keeps the number that it got elsewhere, and one that is compiled beside it can get the
    same: then the linker takes one for the other, and the numbers are wrong without an error.
    """
    cells = tuple(cell.cell_contents for cell in function.__closure__ or ())
    code = function.__code__
    copy: Any = types.FunctionType(code, function.__globals__, None, function.__defaults__, function.__closure__)
    copy.__dict__.update(function.__dict__)
    copy.__module__, copy.__doc__, copy.__kwdefaults__ = function.__module__, function.__doc__, function.__kwdefaults__
    copy.__qualname__ = f"{function.__qualname__}_{_digest(*contents, code.co_firstlineno, dumps(cells))}"
    return copy


def njit(signature: Any = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit(signature, **options)``, its code kept in `CodeFiles` under names that no other code has."""

    def compile_it(function: Callable[..., Any]) -> Any:
        if not options.get("cache"):
            made: Any = numba.njit(**options)(function)
        else:
            plain: Any = FunctionCache(function)._impl
            stamp = plain.locator.get_source_stamp()
            made = numba.njit(**options)(_named(function, stamp))
            made._cache._cache_file = CodeFiles(made._cache.cache_path, plain.filename_base, stamp)
        if signature is not None:
            made.compile(signature)
            made.disable_compile()
        return made

    return compile_it
