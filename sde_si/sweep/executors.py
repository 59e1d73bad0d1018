"""Where runs are done: local processes, a dask cluster, SLURM, or anything with ``submit``. To add one: `EXECUTORS`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sde_si.errors import BadInput, require
from sde_si.sweep.pool import LocalPool, WorkerDied

GRACE = 60.0  # s beyond a run's limit after which a local worker that did not end itself is killed from outside


@dataclass(frozen=True)
class Backend:
    """A running executor, as the engine sees it.

    Attributes
    ----------
    submit : callable
        ``submit(function, *arguments)`` gives an object with ``done()`` and ``result()``.
    stop : callable
        Ends it, with what is still running.
    window : int
        Tasks to have submitted at once.
    chunk : int
        Runs in one task.
    remote : bool
        Whether workers may see another file system.
    single : bool
        Whether a lost task says that this very task's worker died.
    workers : int
        Runs done at once, for the estimate of the time.
    """

    submit: Callable[..., Any]
    stop: Callable[[], object]
    window: int
    chunk: int = 1
    remote: bool = False
    single: bool = False
    workers: int = 1


Starter = Callable[[], Backend]


def is_lost(error: BaseException) -> bool:
    """Whether the exception of a task means that its worker or the executor went away."""
    names = {cls.__name__ for cls in type(error).__mro__}
    # dask's and submitit's classes by name: neither need be installed
    away = {"KilledWorker", "CommClosedError", "FutureCancelledError", "UncompletedJobError", "FailedJobError"}
    return isinstance(error, WorkerDied | BrokenExecutor | CancelledError) or bool(names & away)


def starter(executor: Any, folder: Path, timeout: float | None) -> Starter:
    """What starts the executor, once and again if it breaks.

    Parameters
    ----------
    executor : str or object
        ``local[:workers]``, ``dask://HOST:PORT``, ``slurm[:option=value,...]``; an object with ``submit``; or a
        function without arguments that makes such an object, so that a broken one can be replaced.

    Raises
    ------
    BadInput
        If it is none of these.
    """
    if isinstance(executor, str):
        kind, _, rest = executor.partition(":")
        known = "local[:WORKERS], dask://HOST:PORT or slurm[:OPTION=VALUE,...]"
        require(kind in EXECUTORS, "executor", known, repr(executor), "local:2")
        return EXECUTORS[kind](rest, folder, timeout)
    if hasattr(executor, "submit"):
        return lambda: _foreign(executor, lambda: None)
    require(callable(executor), "executor", "a name, an object with submit, or what makes one", repr(executor), "local")

    def again() -> Backend:
        made = executor()
        return _foreign(made, lambda: made.shutdown(wait=False, cancel_futures=True))

    return again


def workers_of(executor: Any) -> int:
    """Runs done at once by local workers; 1 where only the running executor would know."""
    from sde_si.machine import usable_cores

    kind, _, rest = executor.partition(":") if isinstance(executor, str) else ("", "", "")
    return (int(rest) if rest.isdigit() else usable_cores()) if kind == "local" else 1


def _foreign(executor: Any, stop: Callable[[], object]) -> Backend:
    workers = int(getattr(executor, "_max_workers", 0)) or os.cpu_count() or 1
    return Backend(executor.submit, stop, 2 * workers, workers=workers)


def _local(rest: str, folder: Path, timeout: float | None) -> Starter:
    from sde_si.machine import usable_cores

    require(not rest or (rest.isdigit() and int(rest) > 0), "executor", "local[:WORKERS]", f"local:{rest}", "local:2")
    workers = int(rest) if rest else usable_cores()

    def start() -> Backend:
        pool = LocalPool(workers, None if timeout is None else timeout + GRACE)
        # One task waits for each worker, so that none is idle while the parent makes up the next.
        return Backend(pool.submit, pool.shutdown, 2 * workers, single=True, workers=workers)

    return start


def _need(module: str, extra: str) -> None:
    from importlib.util import find_spec

    require(find_spec(module) is not None, "executor", f"{module} to be installed", "no such package",
            f'pip install "sde_si[{extra}]"')  # fmt: skip


def _dask(rest: str, folder: Path, timeout: float | None) -> Starter:
    address = re.fullmatch(r"//([^/\s]+):(\d+)/?", rest)
    good = address is not None and 0 < int(address[2]) < 65536
    host = address[1] if address else rest.strip("/").partition(":")[0]
    require(good, "executor", "dask://HOST:PORT", f"dask:{rest}", f"dask://{host or 'scheduler'}:8786")
    _need("distributed", "dask")

    def start() -> Backend:
        from distributed import Client

        try:
            client: Any = Client(f"tcp:{rest}", timeout="10s", set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise BadInput(
                "executor",
                "a dask scheduler that answers",
                f"dask:{rest} ({error})",
                "dask scheduler on that host, and its port",
            ) from error
        workers = max(1, sum(client.nthreads().values()))

        def submit(function: Callable[..., Any], *arguments: Any) -> Any:
            return client.submit(function, *arguments, pure=False)

        return Backend(submit, client.close, 2 * workers + 2, remote=True, workers=workers)

    return start


def _slurm(rest: str, folder: Path, timeout: float | None) -> Starter:
    _need("submitit", "slurm")
    options: dict[str, Any] = {"max": 64, "chunk": 1, "minutes": 60}
    for word in filter(None, rest.split(",")):
        name, equals, value = word.partition("=")
        require(bool(equals and value), "executor", "slurm[:OPTION=VALUE,...]", repr(word), "slurm:minutes=60")
        options[name.strip()] = int(value) if value.isdigit() else value
    most, chunk, cluster = options.pop("max"), options.pop("chunk"), options.pop("cluster", "slurm")
    for name, value in (("max", most), ("chunk", chunk), ("minutes", options["minutes"])):
        require(
            isinstance(value, int) and value > 0, "executor", f"{name}=a whole number", f"{name}={value}", f"{name}=60"
        )

    def start() -> Backend:
        import submitit

        try:
            executor = submitit.AutoExecutor(folder=str(folder / "jobs"), cluster=cluster)
            minutes = {"timeout_min": options["minutes"]}
            more = {k if k.startswith(f"{cluster}_") else f"{cluster}_{k}": v
                    for k, v in options.items() if k != "minutes"}  # fmt: skip
            executor.update_parameters(**minutes, **more)
        except Exception as error:
            raise BadInput(
                "executor", "options that submitit takes", f"slurm:{rest} ({error})", "slurm:minutes=60"
            ) from error
        return Backend(executor.submit, lambda: None, most, chunk=chunk, remote=True, workers=most)

    return start


EXECUTORS: dict[str, Callable[[str, Path, float | None], Starter]] = {"local": _local, "dask": _dask, "slurm": _slurm}
