"""A worker's guard: ends the process when its run takes too long or its parent is gone, whatever the run is doing."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable

CHILDREN: set[subprocess.Popen[str]] = set()  # commands that this process is running
TIMED_OUT = 91  # exit code of a worker that ended itself
_TICK = 0.2  # s


def end_process() -> None:
    """End at once, and the commands that run here with it."""
    for child in list(CHILDREN):
        child.kill()
    os._exit(TIMED_OUT)


class Watch:
    """The one guard thread of this process.

    A thread cannot be stopped from outside; a process can. What was to be said about the run is said by `expired`
    before the process ends.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[int, tuple[float, Callable[[], None]]] = {}
        self._parent = 0
        self._thread: threading.Thread | None = None
        self._next = 0

    def _start(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._loop, name="watch", daemon=True)
            self._thread.start()

    def follow_parent(self) -> None:
        """End this process when its parent is gone."""
        self._parent = os.getppid()
        self._start()

    def begin(self, seconds: float, expired: Callable[[], None]) -> int:
        """Call `expired` and end the process after so many seconds, unless `end` is called with the number returned."""
        with self._lock:
            self._next += 1
            self._deadlines[self._next] = (time.monotonic() + seconds, expired)
            self._start()
            return self._next

    def end(self, number: int) -> None:
        """The run is over in time."""
        with self._lock:
            self._deadlines.pop(number, None)

    def _loop(self) -> None:
        while True:
            time.sleep(_TICK)
            if self._parent and os.getppid() != self._parent:
                end_process()
            now = time.monotonic()
            with self._lock:
                late = [expired for when, expired in self._deadlines.values() if when <= now]
                if late:
                    # The lock is held: a run that ends right now waits, and ends with the process.
                    try:
                        for expired in late:
                            expired()
                    finally:
                        end_process()


WATCH = Watch()
