"""Local processes that stay warm: a dead one costs its own run and is replaced; the others go on.

The standard library's pool breaks as a whole when one process dies and cannot tell which run killed it, and its workers
import the caller's main module again. These workers are ``python -m sde_si.sweep.worker``, one thread each.
"""

from __future__ import annotations

import collections
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from sde_si.sweep.worker import THREADS


class WorkerDied(RuntimeError):
    """The process of this task ended before the task did; nothing is said about other tasks."""


class WorkerLate(WorkerDied):
    """The process was killed because its task took too long, and it could not end itself."""


class _Worker:
    """One process, the connection to it, and the task that it has."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        import sde_si

        # Found there as it was found here, whatever folder or path the caller has set up.
        where = str(Path(sde_si.__file__).parent.parent)
        path = os.pathsep.join([*(p for p in sys.path if p), where])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sde_si.sweep.worker", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env=os.environ | THREADS | {"PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=sys.__stderr__.fileno() if sys.__stderr__ else subprocess.DEVNULL,
        )
        theirs.close()
        self.connection = Connection(ours.detach())
        self.future: Future[Any] | None = None
        self.deadline = float("inf")

    def give(self, future: Future[Any], message: bytes, limit: float | None) -> None:
        """Send a task."""
        self.future = future
        self.deadline = time.monotonic() + limit if limit is not None else float("inf")
        with contextlib.suppress(OSError):  # a process that died meanwhile is found out by its closed connection
            self.connection.send_bytes(message)

    def kill(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()
        self.connection.close()


class LocalPool:
    """An executor of local processes with ``submit`` and ``shutdown``.

    Parameters
    ----------
    workers : int
    limit : float, optional
        Seconds after which a worker is killed from outside, if it has not ended its task by itself.
    """

    def __init__(self, workers: int, limit: float | None = None) -> None:
        self.workers, self.limit = workers, limit
        self._tasks: collections.deque[tuple[Future[Any], bytes]] = collections.deque()
        self._lock = threading.Lock()
        self._closing = False
        self._reader, self._writer = socket.socketpair()
        self._staff = [_Worker() for _ in range(workers)]
        self._thread = threading.Thread(target=self._serve, name="pool", daemon=True)
        self._thread.start()

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._staff]

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Future[Any]:
        """Have ``function(*arguments)`` done by a worker."""
        future: Future[Any] = Future()
        message = pickle.dumps((function, arguments))
        with self._lock:
            if self._closing:
                msg = "the pool is shut down"
                raise RuntimeError(msg)
            self._tasks.append((future, message))
        self._writer.send(b"\0")
        return future

    def shutdown(self) -> None:
        """End all workers at once, with whatever they are doing."""
        with self._lock:
            self._closing = True
        with contextlib.suppress(OSError):  # the thread has ended by itself
            self._writer.send(b"\0")
        self._thread.join()

    def _serve(self) -> None:
        try:
            while not self._closing:
                self._assign()
                pending = min(worker.deadline for worker in self._staff)
                timeout = None if pending == float("inf") else max(0.0, pending - time.monotonic())
                ready = wait([self._reader, *(worker.connection for worker in self._staff)], timeout)
                if self._reader in ready:
                    self._reader.recv(4096)
                for i, worker in enumerate(self._staff):
                    if worker.connection in ready:
                        self._hear(i, worker)
                    elif worker.deadline <= time.monotonic():
                        worker.process.kill()
        finally:
            for worker in self._staff:
                worker.kill()
                if worker.future is not None:
                    worker.future.set_exception(WorkerDied("the pool was shut down"))
            with self._lock:
                self._closing = True
                left = [future for future, _ in self._tasks]
                self._tasks.clear()
            for future in left:
                future.cancel()
            self._reader.close()
            self._writer.close()

    def _assign(self) -> None:
        for i, worker in enumerate(self._staff):
            if worker.future is None and worker.process.poll() is not None:
                self._hear(i, worker)
                worker = self._staff[i]
            with self._lock:
                if worker.future is not None or not self._tasks:
                    continue
                future, message = self._tasks.popleft()
            # From here on it cannot be cancelled: its answer finds it waiting.
            if future.set_running_or_notify_cancel():
                worker.give(future, message, self.limit)

    def _hear(self, i: int, worker: _Worker) -> None:
        """An answer, or the closed connection of a dead process."""
        future = worker.future
        try:
            good, value = worker.connection.recv()
        except (EOFError, OSError):
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(1.0)  # its own exit code, if it is on its way out, rather than our signal
            worker.kill()
            code = worker.process.returncode
            self._staff[i] = _Worker()
            if future is not None:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                late = worker.deadline <= time.monotonic()
                future.set_exception((WorkerLate if late else WorkerDied)(f"the worker ended with {how}"))
            return
        worker.future, worker.deadline = None, float("inf")
        if future is None:
            return
        if good:
            future.set_result(value)
        else:
            future.set_exception(RuntimeError(value))
