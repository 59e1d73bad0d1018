"""The folder of a sweep: finished records, reasons of failed runs, who is running what.

Everything is told by files: a finished record stands under its name, the reason of a failed run in
``failed/<name without .nc>.json``, and each sweep at work keeps one ``.running.<host>-<pid>-<start>.json`` that lists
its runs in flight. The last is a hint that nobody waits for. What a worker has in hand is its own by
`sde_si.sweep.locks`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sde_si.disk import born, owner, write_bytes
from sde_si.errors import DiskProblem
from sde_si.sweep import locks
from sde_si.sweep.job import Job, readable
from sde_si.sweep.status import Status
from sde_si.terminal import say

STATES: tuple[str, ...] = ("done", "running", "failed", "missing", "unreadable")
STALE = 120.0  # s without a sign of life from another host
_TEMPORARY = re.compile(r"^\.(?P<name>.+)\.(?P<host>[^.]+)-(?P<pid>\d+)-(?P<born>\d+)\.[^.]+$")
_RUNNING = re.compile(r"^\.running\.(?P<host>[^.]+)-(?P<pid>\d+)-(?P<born>\d+)\.json$")


def _here(match: re.Match[str]) -> bool:
    """Whether the process was one of this host."""
    return match["host"] == owner().rsplit("-", 2)[0]


def _alive(match: re.Match[str], path: Path) -> bool:
    """Whether the process still lives, as far as can be known from here."""
    if _here(match):
        pid, start = int(match["pid"]), int(match["born"])
        if start:
            return born(pid) == start
        try:  # a system without /proc
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True
    with contextlib.suppress(OSError):
        # Either sign: clocks of two hosts differ, and may be set back.
        return abs(time.time() - path.stat().st_mtime) < STALE
    return False


@dataclass(frozen=True)
class Folder:
    """A sweep's folder.

    Attributes
    ----------
    path : Path
    quiet : bool
        Say nothing about damaged files.
    """

    path: Path
    quiet: bool = False

    def record(self, job: Job) -> Path:
        """Where the run's record is."""
        return self.path / job.name

    def reason_file(self, job: Job) -> Path:
        """Where the reason of its failure is."""
        return self.path / "failed" / f"{Path(job.name).stem}.json"

    def done(self, job: Job) -> bool:
        """Whether the run's record exists and is readable; a file or folder that is none is named, and moved away."""
        path = self.record(job)
        if not os.path.lexists(path):
            return False
        why = readable(path, job.digest)
        if why and why != "missing":
            self.move_aside(path, f"{path}: {why}", "the run is done again")
        return not why

    def move_aside(self, path: Path, why: str, then: str) -> None:
        """Move away what is no record, under a name that is free, and say so: nothing is lost.

        Raises
        ------
        DiskProblem
        """
        free = (self.path / "failed" / f"{path.name}.unreadable{number or ''}" for number in itertools.count())
        aside = next(place for place in free if not os.path.lexists(place))
        say(f"{why}; moved to {aside}, {then}", self.quiet)
        with _disk(path):
            aside.parent.mkdir(exist_ok=True)
            path.replace(aside)

    def finished(self, job: Job) -> str:
        """As `readable`, for a file that may not be read, too; nothing is moved. Empty if the run is done."""
        try:
            return readable(self.record(job), job.digest)
        except DiskProblem as error:
            return str(error)

    def state(self, job: Job, running: set[str]) -> str:
        """What the files say of one run, one of `STATES`; `running` as `running_elsewhere` gives it."""
        why = self.finished(job)
        if not why:
            return "done"
        if job.name in running:
            return "running"
        if self.failure(job) is not None:
            return "failed"
        return "missing" if why == "missing" else "unreadable"

    def strangers(self, names: set[str]) -> list[str]:
        """Files that end as records do and are no run of the sweep with these `names`: another sweep's, or nobody's."""
        return sorted(path.name for path in self.path.glob("*.nc") if path.name not in names)

    def failure(self, job: Job) -> dict[str, Any] | None:
        """Status and reason of a failed run; None if it has not failed."""
        try:
            content = json.loads(self.reason_file(job).read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DiskProblem(f"cannot read {self.reason_file(job)}: {error.strerror or error}") from error
        except ValueError:
            return None
        good = isinstance(content, dict) and {"status", "reason", "digest"} <= content.keys()
        good = good and content["status"] in set(Status)
        return content if good and content["digest"] == job.digest else None

    def note_failure(self, job: Job, status: str, reason: str, **more: Any) -> None:
        """Write down why the run failed."""
        from sde_si.provenance import provenance

        content = {"status": status, "reason": reason, "name": job.name, "digest": job.digest, "point": job.point}
        content |= more | {"provenance": provenance()}
        write_bytes(json.dumps(content, indent=1, default=str).encode(), self.reason_file(job))

    def forget_failure(self, job: Job) -> None:
        """Remove the reason: the run is tried again, or is done."""
        with _disk(self.reason_file(job)):
            self.reason_file(job).unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what killed processes of this host left half-written, and their lists of runs."""
        for folder in (self.path, self.path / "failed"):
            for path, match in _matching(folder, _TEMPORARY, _RUNNING):
                # A process of another host may only be slow.
                if _here(match) and not _alive(match, path):
                    with contextlib.suppress(OSError):
                        path.unlink()
        locks.tidy(self.path)

    def others(self) -> list[Path]:
        """Lists of runs in flight of the other living sweeps."""
        mine = f".running.{owner()}.json"
        found = _matching(self.path, _RUNNING)
        return [path for path, match in found if path.name != mine and _alive(match, path)]

    def running_elsewhere(self) -> set[str]:
        """Names of the runs that other living sweeps have in flight."""
        names: set[str] = set()
        for path in self.others():
            with contextlib.suppress(OSError, ValueError):
                names |= set(json.loads(path.read_bytes()))
        return names


def _matching(folder: Path, *patterns: re.Pattern[str]) -> Iterator[tuple[Path, re.Match[str]]]:
    try:
        found = [entry.name for entry in os.scandir(folder) if entry.name.startswith(".")]
    except OSError:
        return
    for name in found:
        for pattern in patterns:
            if match := pattern.match(name):
                yield folder / name, match
                break


@contextlib.contextmanager
def _disk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskProblem(f"cannot change {path}: {error.strerror or error}") from error


class Heartbeat:
    """The list of this sweep's runs in flight, kept fresh; losing it loses a hint and nothing else."""

    EVERY = 20.0  # s, well below `STALE`
    LEAST = 0.5  # s between two writes

    def __init__(self, folder: Folder) -> None:
        self.path = folder.path / f".running.{owner()}.json"
        self._written: tuple[float, frozenset[str]] | None = None

    def beat(self, names: Iterable[str]) -> None:
        """Write the list if it is old or has changed."""
        now, current = time.monotonic(), frozenset(names)
        if self._written is not None:
            age = now - self._written[0]
            if age < self.LEAST or (age < self.EVERY and current == self._written[1]):
                return
        self._written = (now, current)
        fresh = self.path.with_name(f"{self.path.name}.{owner()}.new")
        with contextlib.suppress(OSError):
            fresh.write_bytes(json.dumps(sorted(current)).encode())
            fresh.replace(self.path)

    def stop(self) -> None:
        """Remove the list."""
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)
