"""Simulations: one run is that of ``sde-si simulate`` with the same settings."""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from sde_si.errors import require
from sde_si.losses.base import simple_arrays
from sde_si.simulate.options import FILES
from sde_si.sweep.checks import check_setting
from sde_si.sweep.job import Diverged, Job, Settings, canonical, wherever

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.run import Run

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
        check_setting(name, allowed, "settings of a simulation", "sde-si simulate --help")
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
    ready = wherever(settings, FILES) | {"init_norm": repr(run.start_norm)}
    name = f"simulate-{run.method.name}-{digest[:12]}.nc"
    kernel = _kernel_key(run)
    return Job(
        name,
        digest,
        functools.partial(make_simulation, ready),
        prepare=functools.partial(_calibrate, kernel, run),
        ready=functools.partial(_get_ready, _compiled_key(run), ready),
        cost=functools.partial(_simulation_cost, kernel, run),
    )


_warmed: set[tuple[Any, ...]] = set()


def _get_ready(compiled: tuple[Any, ...], settings: Settings) -> None:
    """What takes a second in a new process, and far more where nothing is compiled yet: imports and a few steps."""
    from sde_si.simulate.cost import estimate

    if compiled not in _warmed:
        importlib.import_module("sde_si.simulate.session")
        importlib.import_module("sde_si.simulate.report")
        estimate(resolve_settings(settings), 1)
        _warmed.add(compiled)


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


def _compiled_key(run: Run) -> tuple[Any, ...]:
    """What decides which functions are compiled: fewer things than decide what a step costs."""
    from sde_si.streams import PART

    loss, dim, method, momentum, noise, sampling, *_ = _kernel_key(run)
    return (loss, dim > PART, method, momentum, noise, sampling)


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
