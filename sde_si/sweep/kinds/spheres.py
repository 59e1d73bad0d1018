"""Training on the sphere: one run is one effective learning rate of ``sde-si sphere``, and has its file."""

from __future__ import annotations

import dataclasses
import functools
import importlib
from typing import TYPE_CHECKING, Any

from sde_si.errors import require
from sde_si.hyperparameters import SMALLEST, check_number
from sde_si.simulate.options import FILES
from sde_si.sweep.checks import check_setting
from sde_si.sweep.job import Job, Settings, wherever

if TYPE_CHECKING:
    import xarray as xr

    from sde_si.sphere.setting import Setting

ADVICE = "effective_lr = {log = [0.05, 2, 9]}"


def resolve(settings: Settings) -> tuple[Setting, float]:
    """The checked setting and effective learning rate of one point.

    Raises
    ------
    BadInput
    """
    from sde_si.sphere.cli import RUN_FLAGS, Options, setting_of

    for name in settings:
        check_setting(name, RUN_FLAGS, "settings of sde-si sphere", "sde-si sphere --help")
    rate = settings.get("effective_lr")
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    require(number, "effective_lr", "one number for each run", repr(rate), ADVICE)
    check_number("effective_lr", rate, least=SMALLEST, below=1 / SMALLEST, advice=ADVICE)
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
    return setting_of(Options(**given | {"effective_lr": repr(rate), "threads": 1})), float(rate or 0)


def sphere(settings: Settings) -> Job:
    """All starts at one effective learning rate."""
    from sde_si.sphere import records

    setting, rate = resolve(settings)
    digest = records.digest(setting, rate)
    ready = wherever(settings, FILES)
    kernel = (setting.problem.loss.name, setting.method, setting.noise, setting.constraint, setting.fast)
    return Job(
        records.name(setting, rate, digest),
        digest,
        functools.partial(make_sphere, ready),
        prepare=functools.partial(_compile, kernel, setting, rate),
        ready=functools.partial(_get_ready, kernel, ready),
    )


_compiled: set[tuple[Any, ...]] = set()


def _compile(kernel: tuple[Any, ...], setting: Setting, rate: float) -> None:
    """A few steps, so that no worker has to compile."""
    from sde_si.sphere.course import courses

    if kernel not in _compiled:
        courses(dataclasses.replace(setting, starts=1, iterations=100), [rate])
        _compiled.add(kernel)


def _get_ready(kernel: tuple[Any, ...], settings: Settings) -> None:
    """Imports and a few steps in a new worker."""
    if kernel not in _compiled:
        importlib.import_module("sde_si.sphere.records")
        _compile(kernel, *resolve(settings))


def make_sphere(settings: Settings) -> xr.Dataset:
    """Do the run in one thread."""
    from sde_si.sphere import records
    from sde_si.sphere.course import courses

    setting, rate = resolve(settings)
    [course] = courses(setting, [rate])
    return records.to_record(setting, course)
