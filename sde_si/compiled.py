"""`numba.njit` with a disk cache that processes share. Importing this module imports numba."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile


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
        self._stamped = f"{self._prefix}{_digest(numba.__version__, source_stamp)}."

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


def njit(signature: Any = None, **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit(signature, **options)``, its code kept in `CodeFiles`."""

    def compile_it(function: Callable[..., Any]) -> Any:
        made: Any = numba.njit(**options)(function)
        if options.get("cache"):
            cache = made._cache
            stamp = cache._impl.locator.get_source_stamp()
            cache._cache_file = CodeFiles(cache.cache_path, cache._impl.filename_base, stamp)
        if signature is not None:
            made.compile(signature)
            made.disable_compile()
        return made

    return compile_it
