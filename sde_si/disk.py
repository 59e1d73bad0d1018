"""Files that are whole or not there: written under a temporary name that says whose they are, then renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import platform
import tempfile
from pathlib import Path

from sde_si.errors import DiskProblem

NETCDF = b"CDF"  # the first bytes of a record


def born(pid: int) -> int:
    """Start of a living process in clock ticks since boot, which no clock changes; 0 if it is dead or unknown.

    A number alone would not do: it is given again, and a killed process that nobody has waited for still has it.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return 0 if state in "ZX" else int(fields[18])
    except (OSError, ValueError, IndexError):
        return 0


def owner() -> str:
    """Host, process and its start, as they stand in the names of temporary files."""
    return f"{platform.node().partition('.')[0]}-{os.getpid()}-{born(os.getpid())}"


def write_bytes(content: bytes, path: Path, *, keep: bool = False) -> None:
    """Write a file under a temporary name, fsync it, rename it, fsync the folder.

    With `keep`, a file that stands there already is not replaced: of two processes that write the same, one wins.

    Raises
    ------
    DiskProblem
        If the folder or the disk refuses; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # The owner's name in it tells whether a file left behind by a killed process may go.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{owner()}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            _put(Path(name), path, keep)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise DiskProblem(f"cannot write {path}: {error.strerror or error}; try another folder") from error


def check_writable(folder: Path, label: str = "--out") -> None:
    """Refuse a folder that cannot be written, before any work; `label` is what the user knows it by.

    Raises
    ------
    DiskProblem
    """
    missing = [p for p in (folder, *folder.parents) if not p.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".writable.{owner()}.")
        try:
            os.write(handle, b"\0" * 4096)
        finally:
            os.close(handle)
            Path(name).unlink()
    except OSError as error:
        for made in missing:
            if made.exists():
                made.rmdir()
        reason = error.strerror or error
        raise DiskProblem(f"{label}: cannot write into {folder} ({reason}); try another folder") from error


def _put(temporary: Path, path: Path, keep: bool) -> None:
    """Give the whole file its name."""
    if keep:
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            temporary.unlink()
            return
        except OSError as error:
            # A file system without hard links: then the last one wins.
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EXDEV, errno.EMLINK):
                raise
        else:
            temporary.unlink()
            return
    temporary.replace(path)
