"""Courses on disk: one record for each effective learning rate, named by the digest of all that decides its numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_si import regimes
from sde_si.record import SCHEMA, load, save
from sde_si.run import file_digest, sha256
from sde_si.sphere import laws
from sde_si.sphere.course import Course, Progress, courses, toy_configuration
from sde_si.sphere.setting import Setting
from sde_si.terminal import say
from sde_si.theory import Prediction

if TYPE_CHECKING:
    import xarray as xr

FORMAT = 1
CODES = {regimes.UNDECIDED: 0, regimes.CONVERGENCE: 1, regimes.EQUILIBRIUM: 2, regimes.DIVERGENCE: 3}
_TOY, _ALL = ("sphere/toy", "streams"), ("sphere/course", "sphere/laws", "sphere/setting", "regimes", "series")


def digest(setting: Setting, effective_lr: float) -> str:
    """Hex digest of configuration, sources and format."""
    made = toy_configuration(setting, effective_lr) if setting.fast else setting.run(effective_lr).digest()
    root = Path(__file__).parent.parent
    names = _ALL + (_TOY if setting.fast else ())
    sources = {name: file_digest(root / f"{name}.py") for name in names}
    return sha256(json.dumps({"format": FORMAT, "sphere": made, "sources": sources}, sort_keys=True).encode())


def name(setting: Setting, effective_lr: float, known: str = "") -> str:
    """File of the record; `known` is the digest, where it has been worked out."""
    return f"sphere-{setting.method}-{(known or digest(setting, effective_lr))[:12]}.nc"


def to_record(setting: Setting, course: Course) -> xr.Dataset:
    """The course with its regime and what theory says of its mean loss."""
    record, rate = course.record(), course.effective_lr
    found = laws.regime(setting, course)
    for key, value in (("regime", np.int32(CODES[found.name])), ("regime_confidence", np.float64(found.confidence))):
        _, unit, title = SCHEMA[key]
        record[key] = ((), value, {"units": unit, "long_name": title})
    source = "theory.md 5.4" if setting.problem.loss.name == "groups" else "theory.md 8.3"
    value = laws.mean_loss(setting, rate)
    predicted = (
        Prediction()
        if value is None
        else Prediction(value=value, source=source, note=laws.approximation(setting, rate))
    )
    record.attrs["predictions"] = json.dumps({"loss_mean": asdict(predicted)}, sort_keys=True)
    record.attrs["digest"] = digest(setting, rate)
    return record


def obtain(
    setting: Setting,
    rates: Sequence[float],
    folder: Path,
    *,
    fresh: bool = False,
    quiet: bool = False,
    progress: Progress | None = None,
) -> list[Course]:
    """The courses at these effective learning rates: those with a record are loaded, the others run and saved.

    Raises
    ------
    BadInput
        Before any work.
    DiskProblem
        If a record cannot be read or written.
    """
    paths = {rate: folder / name(setting, rate) for rate in rates}
    done = {} if fresh else {rate: Course.from_record(load(path)) for rate, path in paths.items() if path.exists()}
    if done:
        say(f"{len(done)} of {len(rates)} effective LRs: loaded from {folder} (--fresh computes again)", quiet)
    missing = [rate for rate in rates if rate not in done]
    for course in courses(setting, missing, progress) if missing else []:
        save(to_record(setting, course), paths[course.effective_lr])
        done[course.effective_lr] = course
    return [done[rate] for rate in rates]
