"""Which run comes next: what is done is passed over, what others have in hand comes last."""

from __future__ import annotations

import collections
import itertools
import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sde_si.sweep import locks
from sde_si.sweep.folder import Folder
from sde_si.sweep.job import Job
from sde_si.sweep.status import Ended, Status
from sde_si.terminal import say

AGAIN, SLOWEST = 0.1, 5.0  # s from one look to the next at a run that another sweep has; doubled each time up to this


@dataclass
class Entry:
    """A run on its way, and how often it was lost, failed, or found in other hands."""

    job: Job
    kills: int = 0
    failures: int = 0
    refused: int = 0
    look: float = 0.0


class Queue:
    """Runs still to do.

    Parameters
    ----------
    folder : Folder
    jobs : callable
        ``jobs(first)`` makes them one at a time from number `first` on and round.
    total : int
    retry_failed : bool
        Try again what failed at an earlier time.
    settled : callable
        Called with what became of a run that need not be done.
    """

    def __init__(
        self,
        folder: Folder,
        jobs: Callable[[int], Iterator[Job]],
        total: int,
        *,
        retry_failed: bool,
        settled: Callable[[Ended], None],
    ) -> None:
        self.folder, self.retry_failed, self.settled = folder, retry_failed, settled
        self.again: collections.deque[Entry] = collections.deque()
        self.suspects: collections.deque[Entry] = collections.deque()
        self.refused: list[Entry] = []  # in the hands of another sweep
        self._others: set[str] = set()
        self._looked = -1e9
        self._said = False
        # Beside another sweep: begin elsewhere, so that the two meet only at the end.
        self._waiting = self._wanted(jobs(random.randrange(total) if folder.others() else 0))

    def next(self, chunk: int, *, alone: bool) -> list[Entry]:
        """The runs of the next task; one under suspicion goes by itself, once nothing else is on its way (`alone`)."""
        if self.suspects:
            return [self.suspects.popleft()] if alone else []
        if self.again:
            return [self.again.popleft()]
        return list(itertools.islice(self._waiting, chunk)) or self._freed()

    def put_back(self, entries: Iterable[Entry]) -> None:
        """Runs that were not begun after all."""
        self.again.extendleft(entries)

    def refuse(self, entry: Entry, quiet: bool) -> None:
        """Another sweep has the run in hand: look again later what became of it."""
        entry.look = time.monotonic() + min(AGAIN * 2**entry.refused, SLOWEST)
        entry.refused += 1
        self.refused.append(entry)
        if not self._said:
            say("another sweep is at work in this folder: what it has in hand is left to it", quiet)
            self._said = True

    def _freed(self) -> list[Entry]:
        """A run that another sweep had in hand and has let go of undone; those that it has done are counted."""
        now = time.monotonic()
        for entry in [one for one in self.refused if one.look <= now]:
            self.refused.remove(entry)
            if self._is_settled(entry.job, retry=False):
                continue
            if locks.free(self.folder.path, entry.job.digest):
                return [entry]
            entry.look = now + min(AGAIN * 2**entry.refused, SLOWEST)
            self.refused.append(entry)
        return []

    def _wanted(self, jobs: Iterator[Job]) -> Iterator[Entry]:
        """Runs still to do, one at a time; those that another sweep has on its list come last, if still missing."""
        later: list[Job] = []
        for job in jobs:
            if self._is_settled(job):
                continue
            if job.name in self._elsewhere():
                later.append(job)
                continue
            yield Entry(job)
        for job in later:
            if not self._is_settled(job):
                yield Entry(job)

    def _is_settled(self, job: Job, *, retry: bool = True) -> bool:
        """Whether the files say that nothing is to be done; then it is counted.

        What failed is tried again only if it failed at an earlier time (`retry`), not beside us.
        """
        if self.folder.done(job):
            self.settled(Ended(job.name, Status.REUSED))
            return True
        known = self.folder.failure(job)
        if known is None:
            return False
        if self.retry_failed and retry:
            self.folder.forget_failure(job)
            return False
        self.settled(Ended(job.name, Status(known["status"]), known["reason"]))
        return True

    def _elsewhere(self) -> set[str]:
        if time.monotonic() - self._looked > 0.5:
            self._others, self._looked = self.folder.running_elsewhere(), time.monotonic()
        return self._others
