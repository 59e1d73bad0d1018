"""What every command says while it works: progress and messages on stderr, and errors turned into exit codes."""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from sde_si.errors import BAD_INPUT, DISK, BadInput, DiskProblem

READER_GONE = 141  # what a shell shows of a command whose reader (head, less) has seen enough: 128 + SIGPIPE

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def in_notebook() -> bool:
    """Whether this is a Jupyter kernel, where progress would only clutter the output."""
    return "ipykernel" in sys.modules


def emit(content: Any) -> None:
    """Print the one JSON object (or list) of ``--json`` on stdout; a NaN in it is a mistake of ours.

    Raises
    ------
    ValueError
        If a number is not finite.
    """
    print(json.dumps(content, allow_nan=False))


def say(text: str, quiet: bool = False) -> None:
    """One message for people, on stderr."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


class Progress:
    """Progress of one task: a bar on a terminal, otherwise one line every 30 seconds; thread-safe.

    Parameters
    ----------
    label : str
        What is being done.
    total : float
        Amount of work, in the unit that `advance` counts.
    quiet : bool
        Say nothing.
    unit : str
        What is counted, if its number and rate are worth telling.
    """

    INTERVAL = 30.0

    def __init__(self, label: str, total: float, quiet: bool = False, unit: str = "") -> None:
        self.label, self.total, self.done = label, max(total, 1.0), 0.0
        self.quiet, self.unit = quiet or in_notebook(), unit
        self._lock = threading.Lock()
        self._begin = self._last = time.monotonic()
        self._bar: Any = None

    def __enter__(self) -> Self:
        if not self.quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self.label, total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, amount: float) -> None:
        """Count work done."""
        with self._lock:
            self.done += amount
            # Work can grow (more epochs, more paths): then the bar's end moves.
            self.total = max(self.total, self.done)
            if self._bar is not None:
                known = {"description": f"{self.label}: {self._rate()}"} if self.unit else {}
                self._bar.update(self._task, completed=self.done, total=self.total, **known)
                return
            now = time.monotonic()
            if not self.quiet and now - self._last >= self.INTERVAL:
                self._last = now
                left = (now - self._begin) * (self.total / self.done - 1)
                counted = f", {self._rate()}" if self.unit else ""
                say(f"{self.label}: {self.done / self.total:.0%}{counted}, about {left:.0f} s left")

    def _rate(self) -> str:
        rate = self.done / max(time.monotonic() - self._begin, 1e-9)
        return f"{self.done:.0f} of {self.total:.0f} {self.unit}, {rate:.3g} {self.unit}/s"


EVERY = 20_000  # new objects between two looks for garbage: imports make a million and leave none


def _spare_the_collector() -> tuple[int, int, int]:
    """A third of the time of a short command went into looking for garbage: in imports, and in all of them at the end.

    Returns the threshold that was set before.
    """
    _freeze_at_exit()
    threshold = gc.get_threshold()
    gc.set_threshold(max(EVERY, threshold[0]), *threshold[1:])
    return threshold


@functools.cache
def _freeze_at_exit() -> None:
    """What lives to the end is given back with the process."""
    atexit.register(gc.freeze)


def _stand_in() -> None:
    """Streams that the caller has closed are None, which no printing library expects: they lead nowhere instead."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  (open to the end)


def _forget_output() -> None:
    """Let what nobody can take go nowhere, or the interpreter would complain of it at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# packages that only some commands need -> the extra that brings them
EXTRAS = {"torch": "networks", "sklearn": "networks"}


def as_flag(name: str) -> str:
    """A Python keyword as the command line spells it."""
    return f"--{name.replace('_', '-')}"


def standing(**words: str) -> Callable[[str], str]:
    """Labels for `guarded`: these arguments stand without a flag, under the word of the usage line."""
    return lambda name: words.get(name) or as_flag(name)


def guarded(main: Callable[[], int], label: Callable[[str], str] = as_flag) -> int:
    """Run a command; bad input and disk problems become one message on stderr and their exit code.

    Parameters
    ----------
    main : callable
        Returns the exit code.
    label : callable
        What a user of the command knows an argument by.
    """
    threshold = _spare_the_collector()
    _stand_in()
    try:
        try:
            return main()
        finally:
            sys.stdout.flush()  # what cannot be written is known here, not after the end
    except BadInput as error:
        say(f"error: {error.message(label(error.name))}")
        return BAD_INPUT
    except DiskProblem as error:
        say(f"error: {error}")
        return DISK
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in EXTRAS:
            raise
        say(f"error: expected {name} to be installed, got no such package; try pip install -e '.[{EXTRAS[name]}]'")
        return BAD_INPUT
    except MemoryError as error:
        say(f"error: not enough memory{f' ({error})' if str(error) else ''}; try smaller sizes, or fewer of them")
        return BAD_INPUT
    except BrokenPipeError:
        _forget_output()
        return READER_GONE
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # rich has forgotten the output, and would exit with 1
            return READER_GONE
        raise
    except OSError as error:
        if error.errno not in FULL or error.filename:  # files have a DiskProblem with their name
            raise
        _forget_output()
        say(f"error: cannot write to stdout: {error.strerror}")
        return DISK
    except KeyboardInterrupt:
        say("interrupted; finished records are kept")
        return 130
    finally:
        gc.set_threshold(*threshold)
