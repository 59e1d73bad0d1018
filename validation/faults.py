"""Faults for the reliability suite: what kills, disks and clocks do, at a chosen moment.

`install` patches this process. Put a ``sitecustomize.py`` with `SITE` on PYTHONPATH, and every Python process of a
sweep installs what the variable SDE_SI_FAULT says: ``KIND:FIRST:LAST:FOLDER:COUNTER``. The boundaries of writing
(create, write, flush, sync, rights, link or rename, after it, remove, make a folder) under FOLDER are counted over all
processes in the file COUNTER; the fault strikes at those from FIRST to LAST.
"""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

KINDS = ("crash", "ENOSPC", "EROFS", "EIO", "clock")
SITE = "import os\nif os.environ.get('SDE_SI_FAULT'):\n    from validation import faults\n    faults.install()\n"


class Fault:
    """One fault, as the variable describes it."""

    def __init__(self, text: str) -> None:
        self.kind, first, last, self.folder, self.counter = text.split(":")
        self.first, self.last = int(first), int(last)

    def strike(self, path: object, half: Callable[[], None] | None = None) -> None:
        """Count a boundary, and fail at it if its turn has come."""
        if not str(path).startswith(self.folder):
            return
        handle = _open(self.counter, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        fcntl.flock(handle, fcntl.LOCK_EX)
        _write(handle, b".")
        number = os.fstat(handle).st_size
        os.close(handle)
        if not self.first <= number <= self.last:
            return
        if half is not None:
            half()
        if self.kind == "crash":
            os._exit(137)
        code = getattr(errno, self.kind)
        raise OSError(code, os.strerror(code), str(path))


_open, _write = os.open, os.write


def _place(handle: int) -> str:
    return str(Path(f"/proc/self/fd/{handle}").resolve())


class _File:
    """A file whose writing may stop in the middle."""

    def __init__(self, file: Any, fault: Fault) -> None:
        self.file, self.fault, self.path = file, fault, _place(file.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, content: bytes) -> int:
        def half() -> None:
            self.file.write(content[: len(content) // 2])
            self.file.flush()

        self.fault.strike(self.path, half)
        return self.file.write(content)

    def flush(self) -> None:
        self.fault.strike(self.path)
        self.file.flush()


def install(text: str = "") -> None:
    """Patch this process."""
    fault = Fault(text or os.environ["SDE_SI_FAULT"])
    if fault.kind == "clock":
        begin, true = time.monotonic(), time.time
        # Right at the start, and a day further back after a second.
        time.time = lambda: true() - 86_400.0 * (1 + (time.monotonic() - begin > 1))
        return
    make, fdopen, sync = tempfile.mkstemp, os.fdopen, os.fsync
    rights, remove, folder = os.chmod, os.unlink, os.mkdir

    def mkstemp(*args: Any, **kwargs: Any) -> Any:
        fault.strike(kwargs.get("dir", ""))
        return make(*args, **kwargs)

    def opened(handle: int, *args: Any, **kwargs: Any) -> Any:
        file = fdopen(handle, *args, **kwargs)
        return _File(file, fault) if _place(handle).startswith(fault.folder) else file

    def fsync(handle: int) -> None:
        fault.strike(_place(handle))
        sync(handle)

    def named(function: Callable[..., Any]) -> Callable[..., Any]:
        def patched(source: Any, target: Any, **kwargs: Any) -> None:
            fault.strike(target)
            function(source, target, **kwargs)
            if fault.kind == "crash":
                fault.strike(target)

        return patched

    def before(function: Callable[..., Any]) -> Callable[..., Any]:
        def patched(path: Any, *args: Any, **kwargs: Any) -> Any:
            fault.strike(path)
            return function(path, *args, **kwargs)

        return patched

    tempfile.mkstemp, os.fdopen, os.fsync = mkstemp, opened, fsync
    os.replace, os.link = named(os.replace), named(os.link)
    os.chmod, os.unlink, os.mkdir = before(rights), before(remove), before(folder)
