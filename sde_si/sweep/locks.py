"""Who has a run in hand: a lock on one byte of one empty file, which the kernel takes back from a dead process.

The byte's place is the run's digest, so that one file serves a whole folder and a claim writes nothing. Nothing that a
killed process leaves behind keeps a run from being done. Where the file system has no locks everybody gets everything;
then two sweeps may do the same run, and the first to finish is kept.

Locks of one process do not exclude each other: a set in memory does that for its threads.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAME = ".claims"
DIGITS = 15  # of the digest: the largest place in a file has 63 bits

# Closing any handle of a file gives up all locks that the process has on it: there is one for each folder, kept open.
_handles: dict[Path, int] = {}
_mine: dict[Path, set[int]] = {}
_guard = threading.Lock()
_FREE_FOR_ALL = -1


def _forget() -> None:
    """A forked process inherits no lock."""
    global _guard  # noqa: PLW0603 - it may have been held by a thread that is not there any more
    _guard = threading.Lock()
    _mine.clear()


os.register_at_fork(after_in_child=_forget)


@contextmanager
def claimed(folder: Path, digest: str) -> Iterator[bool]:
    """Hold the run for as long as the block lasts; False if another process or thread has it."""
    got = _take(folder / NAME, _place(digest))
    try:
        yield got
    finally:
        if got:
            _give_back(folder / NAME, _place(digest))


def free(folder: Path, digest: str) -> bool:
    """Whether nobody has the run in hand at this moment."""
    if not (folder / NAME).exists():
        return True
    with claimed(folder, digest) as got:
        return got


def tidy(folder: Path) -> None:
    """Remove the file if no run of the folder is in anybody's hands."""
    path = folder / NAME
    with _guard:
        if _mine.get(path):
            return
        handle = _open(path, os.O_RDWR)
        if handle == _FREE_FOR_ALL:
            return
        with contextlib.suppress(OSError):
            # Who opens the file from now on finds, once it has its lock, that the name stands for another file.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 0, 0)
            if _current(handle, path):
                path.unlink()
        _close(path)


def _place(digest: str) -> int:
    return int(digest[:DIGITS], 16)


def _take(path: Path, place: int) -> bool:
    with _guard:
        mine = _mine.setdefault(path, set())
        if place in mine:
            return False
        while (handle := _open(path, os.O_RDWR | os.O_CREAT)) != _FREE_FOR_ALL:
            try:
                fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EACCES):
                    return False
                break
            if _current(handle, path):
                break
            _close(path)
        mine.add(place)
        return True


def _give_back(path: Path, place: int) -> None:
    with _guard:
        _mine.get(path, set()).discard(place)
        if path in _handles:
            with contextlib.suppress(OSError):
                fcntl.lockf(_handles[path], fcntl.LOCK_UN, 1, place)


def _open(path: Path, flags: int) -> int:
    """The process's handle of the file; `_FREE_FOR_ALL` if there can be none (writing the record will say why)."""
    if path not in _handles:
        try:
            _handles[path] = os.open(path, flags | os.O_CLOEXEC, 0o644)
        except OSError:
            return _FREE_FOR_ALL
    return _handles[path]


def _close(path: Path) -> None:
    os.close(_handles.pop(path))


def _current(handle: int, path: Path) -> bool:
    """Whether the name still stands for the file that is open."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False
