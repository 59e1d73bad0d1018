"""Kinds of runs: simulations, a user's function, a command. To add one, write it into `KINDS`."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import json
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import BadInput, require
from sde_si.losses.base import simple_arrays
from sde_si.run import file_digest, sha256, source_digest
from sde_si.sweep.job import FORMAT, Diverged, Job, as_record, canonical
from sde_si.sweep.watch import CHILDREN

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.run import Run

Settings = Mapping[str, Any]
_REALS = ("lr", "wd", "momentum")


def resolve_settings(settings: Settings) -> Run:
    """The checked run of one point of a sweep of simulations.

    Raises
    ------
    BadInput
    """
    from sde_si.simulate.cli import resolve_all
    from sde_si.simulate.options import LOSS_FLAGS, RUN_FLAGS, Options

    allowed = (RUN_FLAGS.keys() | LOSS_FLAGS.keys()) - {"target_error", "check_step"}
    for name in settings:
        require(name in allowed, name, f"settings of a simulation ({', '.join(sorted(allowed))})", repr(name))
    require(settings.get("epochs") != "auto", "epochs", "a number of epochs in a sweep", "auto", "40")
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }
    # A whole number is written into the digest as the real one that the command line makes of it.
    given |= {name: float(given[name]) for name in _REALS if type(given.get(name)) is int}
    method = given.pop("method", "sgd")
    require(isinstance(method, str), "method", "one method for each run", repr(method), 'method = ["sgd", "em"]')
    for name in ("init_norm", "noise_from"):
        if given.get(name) is not None:
            given[name] = str(given[name])
    [run] = resolve_all(Options(**given, method=(method,)))
    return run


_lengths: dict[bytes, str] = {}
_MOST = 4096  # lengths kept


def simulation(settings: Settings) -> Job:
    """One simulation; its file is that of ``sde-si simulate`` with the same settings."""
    # All seeds of a loss whose arrays do not depend on them start at one length: it is worked out once.
    others = canonical({name: value for name, value in settings.items() if name != "seed"})
    known = {"init_norm": _lengths[others]} if others in _lengths else {}
    run = resolve_settings({**settings, **known})
    if run.problem.loss.arrays is simple_arrays and len(_lengths) < _MOST:
        _lengths[others] = repr(run.start_norm)
    digest = run.digest()
    # The start length is known now: the worker need not work out the equilibrium again.
    ready = dict(settings) | {"init_norm": repr(run.start_norm)}
    for key in ("loss", "data"):
        if isinstance(ready.get(key), str) and Path(ready[key].rpartition(":")[0] or ready[key]).is_file():
            ready[key] = str(Path(ready[key]).absolute())  # workers may stand in another folder
    name = f"simulate-{run.method.name}-{digest[:12]}.nc"
    kernel = _kernel_key(run)
    return Job(
        name,
        digest,
        functools.partial(make_simulation, ready),
        prepare=functools.partial(_calibrate, kernel, run),
        ready=_import_simulator,
        cost=functools.partial(_simulation_cost, kernel, run),
    )


def _import_simulator() -> None:
    """What takes a second in a new process."""
    importlib.import_module("sde_si.simulate.session")
    importlib.import_module("sde_si.simulate.report")


def make_simulation(settings: Settings) -> xr.Dataset:
    """Simulate in one thread.

    Raises
    ------
    Diverged
        If every path ceased to be finite.
    """
    from sde_si.simulate.report import diverged
    from sde_si.simulate.session import Session

    session = Session(resolve_settings(settings), threads=1)
    session.advance()
    record = session.record()
    dead = diverged(record)
    if len(dead) == record.sizes["path"]:
        first = min(dead, key=lambda one: one["step"])
        raise Diverged(f"all {len(dead)} paths diverged, the first at step {first['step']} ({first['quantity']})")
    return record


def _kernel_key(run: Run) -> tuple[Any, ...]:
    """What decides which functions are compiled and what a step costs."""
    batch = run.hyperparameters.B if run.noise in ("minibatch", "difference") else 0
    momentum = run.hyperparameters.momentum > 0
    block = min(run.paths, 256)
    return (run.problem.loss.name, run.arrays.dim, run.method.name, momentum, run.noise, run.sampling, batch, block)


_FIXED = 0.03  # s to resolve a run, and to make and write its record
_rates: dict[tuple[Any, ...], float] = {}


def _calibrate(kernel: tuple[Any, ...], run: Run) -> float:
    """Seconds of one substep of one block, from a few steps; compiles whatever the run needs."""
    if kernel not in _rates:
        from sde_si.simulate.cost import estimate

        found = estimate(run, 1)
        _rates[kernel] = found["seconds"] / (found["substeps"] * _blocks(run))
    return _rates[kernel]


def _blocks(run: Run) -> int:
    from sde_si.streams import block_size

    return -(-run.paths // block_size(run.arrays.dim))


def _simulation_cost(kernel: tuple[Any, ...], run: Run) -> float:
    return _FIXED + _calibrate(kernel, run) * int(run.timetable.start[-1]) * run.substeps * _blocks(run)


def locate(function: Any) -> tuple[str, Any]:
    """A name under which a worker finds a function, ``path/file.py:name`` or ``module:name``; "" if there is none."""
    if isinstance(function, str):
        where, _, name = function.rpartition(":")
        # Workers may stand in another folder.
        reference = f"{Path(where).resolve()}:{name}" if where.endswith(".py") else function
        return reference, find_function(reference)
    require(inspect.isfunction(function), "function", "a plain function", repr(function), "file.py:name")
    captured = function.__closure__ is None
    require(captured, "function", "a function that captures no variables (no digest sees them)", function.__qualname__)
    name, module = getattr(function, "__qualname__", ""), getattr(function, "__module__", "")
    if not name.isidentifier():
        return "", function
    if module == "__main__":
        file = getattr(sys.modules["__main__"], "__file__", None)
        return (f"{Path(file).resolve()}:{name}" if file and Path(file).is_file() else ""), function
    return (f"{module}:{name}" if getattr(sys.modules.get(module), name, None) is function else ""), function


@functools.lru_cache(maxsize=32)
def find_function(reference: str) -> Callable[..., Any]:
    """The function called ``path/file.py:name`` or ``module:name``.

    Raises
    ------
    BadInput
        If there is none.
    """
    where, _, name = reference.rpartition(":")
    require(bool(where and name), "function", "path/file.py:name or module:name", repr(reference))
    try:
        if where.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(where).stem, where)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules.setdefault(spec.name, module)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(where)
        function = getattr(module, name)
    except Exception as error:
        got = f"{reference!r} ({type(error).__name__}: {error})"
        raise BadInput("function", "a function that can be imported", got) from error
    require(callable(function), "function", "something that can be called", f"{reference} = {function!r}")
    return function


def call(function: Any, settings: Settings) -> Job:
    """One call of a user's function: ``function(**settings)`` returns a record, numbers by name, or a number."""
    reference, found = locate(function)
    called = getattr(found, "__name__", "function")
    try:
        source = source_digest(found)
    except (OSError, TypeError) as error:
        raise BadInput(
            "function", "a function whose source can be read", f"{called} ({error})", "file.py:name"
        ) from None
    digest = sha256(canonical({"format": FORMAT, "call": called, "settings": settings, "source": source}))
    if reference:
        make: Callable[[], xr.Dataset] = functools.partial(make_call, reference, digest, settings)
    else:
        make = functools.partial(make_by_value, _by_value(found), digest, settings)
    ready = functools.partial(find_function, reference) if reference else None
    return Job(f"call-{called}-{digest[:12]}.nc", digest, make, ready=ready)


def _by_value(function: Any) -> bytes:
    try:
        import cloudpickle
    except ImportError:
        raise BadInput(
            "function", "a function in a file (or cloudpickle installed)", repr(function), "file.py:name"
        ) from None
    return cloudpickle.dumps(function)


def make_call(reference: str, digest: str, settings: Settings) -> xr.Dataset:
    """Call the function of that name."""
    return _finished(find_function(reference)(**settings), digest, settings, "call")


def make_by_value(function: bytes, digest: str, settings: Settings) -> xr.Dataset:
    """Call a function that came by value (defined in a notebook or inside another function)."""
    import pickle

    return _finished(pickle.loads(function)(**settings), digest, settings, "call")  # noqa: S301 - our own parent's


def _finished(value: Any, digest: str, settings: Settings, source: str) -> xr.Dataset:
    """The record of a user's own run, with the attributes that every record has."""
    from sde_si.provenance import provenance

    record = as_record(value)
    record.attrs.setdefault("configuration", json.dumps(dict(settings), sort_keys=True))
    record.attrs |= {"source": record.attrs.get("source", source), "digest": digest}
    record.attrs.setdefault("provenance", json.dumps(provenance(), sort_keys=True))
    return record


def command(template: str, settings: Settings) -> Job:
    """One command: ``{name}`` stands for a setting, ``{out}`` for the file (NetCDF or JSON) that it writes.

    Without ``{out}`` the last line on its stdout is one JSON object of numbers and lists.
    """
    words = shlex.split(template)
    fields = dict(settings) | {"out": "{out}"}
    try:
        filled = [word.format(**fields) for word in words]
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join([*settings, "out"])
        raise BadInput("command", f"names in braces among {known}", f"{template!r} ({error})") from None
    require(bool(filled), "command", "a command", repr(template))
    files = {word: file_digest(Path(word)) for word in words if word.endswith(".py") and Path(word).is_file()}
    digest = sha256(canonical({"format": FORMAT, "command": words, "settings": settings, "sources": files}))
    stem = "".join(c if c.isalnum() else "-" for c in Path(next(iter(files), words[0])).stem)
    return Job(
        f"command-{stem}-{digest[:12]}.nc",
        digest,
        functools.partial(make_command, filled, digest, settings, str(Path.cwd())),
    )


def output_of(words: list[str], folder: str) -> str:
    """Run a command, and return what it printed.

    Raises
    ------
    RuntimeError
        If it ends with another code than 0, with the end of its stderr.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(words, cwd=folder, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as child:
        CHILDREN.add(child)
        try:
            said, complained = child.communicate()
        finally:
            child.kill()
            CHILDREN.discard(child)
    if code := child.returncode:
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
        msg = f"the command ended with {how}: {complained.strip()[-500:]}"
        raise RuntimeError(msg)
    return said


def make_command(words: list[str], digest: str, settings: Settings, folder: str) -> xr.Dataset:
    """Run the command in the parent's folder and read what it wrote.

    Raises
    ------
    RuntimeError
        If it ends with another code than 0, with the end of its stderr.
    """
    import xarray as xr

    with tempfile.TemporaryDirectory(prefix="sde_si-") as room:
        out = Path(room) / "record"
        asked = any("{out}" in word for word in words)
        filled = [word.replace("{out}", str(out)) for word in words]
        said = output_of(filled, folder)
        if not asked:
            return _finished(json.loads(said.strip().splitlines()[-1]), digest, settings, "command")
        content = out.read_bytes()
        if content.lstrip()[:1] == b"{":
            return _finished(json.loads(content), digest, settings, "command")
        with xr.open_dataset(out, engine="scipy") as opened:
            return _finished(opened.load(), digest, settings, "command")


# kind -> (what `Sweep.function` is for it, maker of a job)
KINDS: dict[str, tuple[str, Callable[..., Job]]] = {
    "simulate": ("", simulation),
    "call": ("a function, or its name path/file.py:name", call),
    "command": ("a command with {name} for settings and {out} for its file", command),
}
