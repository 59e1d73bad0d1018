"""The one loop of a sweep: skip what is done, submit, note what became of it, requeue what was lost."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sde_si.errors import DiskProblem
from sde_si.sweep import locks
from sde_si.sweep.executors import Backend, Starter, is_lost
from sde_si.sweep.folder import Folder, Heartbeat
from sde_si.sweep.job import Job
from sde_si.sweep.pool import WorkerLate
from sde_si.sweep.queue import AGAIN, Entry, Queue
from sde_si.sweep.status import Ended, Status
from sde_si.sweep.summary import Summary
from sde_si.sweep.worker import perform, sees
from sde_si.terminal import Progress, say

KILLS = 3  # workers that a run may take with it before it is called failed
DISK_ERRORS = 3  # failures to write, one after another, before the sweep stops
REBUILDS = 10  # times an executor is started anew without a run done in between


@dataclass(kw_only=True)
class Dispatcher:
    """One pass over a sweep's runs.

    Attributes
    ----------
    folder : Folder
    start : callable
        Starts the executor.
    timeout, minutes : float or None
        Limits of one run in seconds and of the whole in minutes.
    retries : int
        Times that a run which raised an exception is tried again at once.
    retry_failed : bool
        Try again what failed at an earlier time.
    progress : Progress
    quiet : bool
    """

    folder: Folder
    start: Starter
    timeout: float | None = None
    minutes: float | None = None
    retries: int = 0
    retry_failed: bool = False
    progress: Progress
    quiet: bool = False
    summary: Summary = field(default_factory=Summary)

    def __post_init__(self) -> None:
        self.backend: Backend | None = None
        self.flying: dict[Any, list[Entry]] = {}
        self.ended = threading.Event()
        self.polled = False
        self.heartbeat = Heartbeat(self.folder)
        self.disk_errors = self.rebuilds = 0
        self.queue: Queue

    def run(self, jobs: Callable[[int], Iterator[Job]], total: int) -> Summary:
        """Do them all; ``jobs(first)`` makes them one at a time from number `first` on and round.

        Raises
        ------
        DiskProblem
            If records cannot be written, or the executor is gone for good. What is finished is kept.
        """
        begin = time.monotonic()
        deadline = begin + 60 * self.minutes if self.minutes is not None else float("inf")
        self.summary.total = total
        self.folder.tidy()
        self.heartbeat.beat(())
        self.queue = Queue(self.folder, jobs, total, retry_failed=self.retry_failed, settled=self._count)
        try:
            while self._fill(begin, deadline) or self.flying or (self.queue.refused and not self.summary.stopped):
                self._collect(deadline)
                if time.monotonic() >= deadline and (self.flying or self.queue.refused):
                    self.summary.stopped = f"time limit of {self.minutes:g} minutes"
                    break
        finally:
            self.heartbeat.stop()
            for future in self.flying:
                with contextlib.suppress(Exception):
                    future.cancel()
            if self.backend is not None:
                self.backend.stop()
            locks.tidy(self.folder.path)
            self.summary.seconds = time.monotonic() - begin
        return self.summary

    def _count(self, ended: Ended) -> None:
        self.summary.count(ended)
        if ended.status == Status.REUSED:
            self.progress.total = max(1.0, self.progress.total - 1)
        else:
            self.progress.advance(1)

    def _fill(self, begin: float, deadline: float) -> bool:
        """Submit until the executor has enough; returns whether anything was submitted."""
        submitted = False
        while len(self.flying) < (self.backend.window if self.backend else 1):
            entries = self.queue.next(self.backend.chunk if self.backend else 1, alone=not self.flying)
            if not entries:
                break
            if time.monotonic() + self._typical(begin) > deadline:
                self.queue.put_back(entries)
                self.summary.stopped = f"time limit of {self.minutes:g} minutes"
                break
            for entry in entries:
                if entry.job.prepare is not None:
                    entry.job.prepare()
            if self.backend is None:
                self._begin()
            assert self.backend is not None
            jobs = [dataclasses.replace(entry.job, prepare=None, cost=None) for entry in entries]
            try:
                future = self.backend.submit(perform, jobs, str(self.folder.path), self.timeout)
            except Exception as error:
                if not is_lost(error) and "shutdown" not in str(error):
                    raise
                self.queue.again.extend(entries)
                self._rebuild(error)
                continue
            self.flying[future] = entries
            if hasattr(future, "add_done_callback"):
                future.add_done_callback(lambda _: self.ended.set())
            else:
                self.polled = True
            submitted = True
            self.heartbeat.beat({entry.job.name for flying in self.flying.values() for entry in flying})
        return submitted

    def _typical(self, begin: float) -> float:
        """Seconds that a run takes, as far as is known: one that cannot end in time is not begun."""
        workers = self.backend.workers if self.backend else 1
        return workers * (time.monotonic() - begin) / self.summary.done if self.summary.done else 0.0

    def _begin(self) -> None:
        """Start the executor; if its workers are elsewhere, see that they see the folder."""
        self.backend = self.start()
        if self.backend.remote:
            probe = self.folder.path / self.heartbeat.path.name
            self.heartbeat.beat({"probe"})
            found = self.backend.submit(sees, str(probe)).result()
            if not found:
                raise DiskProblem(f"the workers do not see {self.folder.path}; try --out with a folder that all share")

    def _collect(self, deadline: float) -> None:
        """Wait for a task to end, and take up what became of its runs."""
        finished = self._wait(min(1.0, max(0.0, deadline - time.monotonic())))
        self.heartbeat.beat({entry.job.name for flying in self.flying.values() for entry in flying})
        broken: list[BaseException] = []
        for future in finished:
            entries = self.flying.pop(future)
            try:
                ended = future.result()
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:
                if is_lost(error):
                    self._lost(entries, error, broken)
                else:
                    # `perform` raises for nothing: the task itself could not be carried there and back.
                    self._fail(entries, error)
                continue
            self.rebuilds = 0
            for entry, one in zip(entries, ended, strict=True):
                self._take(entry, one)
        if broken:
            for entries in self.flying.values():
                self.queue.suspects.extend(entries)
            self.flying.clear()
            self._rebuild(broken[0])

    def _wait(self, seconds: float) -> list[Any]:
        """Tasks that have ended; sleeps for at most so many seconds."""
        until = time.monotonic() + (min(seconds, AGAIN) if self.queue.refused else seconds)
        while True:
            self.ended.clear()
            finished = [future for future in self.flying if future.done()]
            left = until - time.monotonic()
            if finished or left <= 0:
                return finished
            self.ended.wait(min(left, 0.05) if self.polled else left)

    def _take(self, entry: Entry, ended: Ended) -> None:
        if ended.status == Status.ELSEWHERE:
            self.queue.refuse(entry, self.quiet)
            return
        if ended.status == Status.DISK:
            self.disk_errors += 1
            if self.disk_errors >= DISK_ERRORS:
                raise DiskProblem(ended.reason)
            self.queue.again.append(entry)
            return
        self.disk_errors = 0
        if ended.status == Status.FAILED and entry.failures < self.retries:
            entry.failures += 1
            self.folder.forget_failure(entry.job)
            self.queue.again.append(entry)
            return
        self._count(ended)

    def _lost(self, entries: Sequence[Entry], error: BaseException, broken: list[BaseException]) -> None:
        """The worker of a task is gone: look what it left behind, do the rest again."""
        kind = type(error).__name__
        # dask blames whatever was queued at a worker, after trying it on several: only a run that was alone is guilty.
        dask, alone = kind == "KilledWorker", len(entries) == 1 and not self.flying
        exact = kind == "UncompletedJobError" or (self.backend is not None and self.backend.single)
        if not (exact or dask):
            broken.append(error)
        guilt = KILLS * alone if dask else int(alone or (exact and len(entries) == 1))
        for entry in entries:
            if self.folder.done(entry.job):
                self._count(Ended(entry.job.name, Status.DONE))
            elif (known := self.folder.failure(entry.job)) is not None:
                self._count(Ended(entry.job.name, Status(known["status"]), known["reason"]))
            elif isinstance(error, WorkerLate):
                reason = f"longer than the limit of {self.timeout:g} s, and its worker had to be killed"
                self.folder.note_failure(entry.job, Status.TIMEOUT, reason)
                self._count(Ended(entry.job.name, Status.TIMEOUT, reason))
            else:
                entry.kills += guilt
                if entry.kills >= KILLS:
                    reason = f"its worker died {entry.kills} times or more: {error}"
                    self.folder.note_failure(entry.job, Status.FAILED, reason)
                    self._count(Ended(entry.job.name, Status.FAILED, reason))
                else:
                    (self.queue.again if exact else self.queue.suspects).append(entry)

    def _fail(self, entries: Sequence[Entry], error: BaseException) -> None:
        for entry in entries:
            reason = f"{type(error).__name__}: {error}"
            self.folder.note_failure(entry.job, Status.FAILED, reason)
            self._count(Ended(entry.job.name, Status.FAILED, reason))

    def _rebuild(self, error: BaseException) -> None:
        """Start the executor anew."""
        self.rebuilds += 1
        if self.rebuilds > REBUILDS:
            raise DiskProblem(f"the executor broke {self.rebuilds} times without a run done: {error}") from error
        say(f"the executor broke ({error}); started anew", self.quiet)
        if self.backend is not None:
            self.backend.stop()
        self.backend = None
        self._begin()
