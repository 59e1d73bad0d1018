"""Trainings of real networks: the trainer of the project's ``validation`` folder, run as a program of its own."""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters
from sde_si.methods import METHODS
from sde_si.options import written
from sde_si.record import diverged, load
from sde_si.run import sha256
from sde_si.sweep.checks import check_setting
from sde_si.sweep.job import FORMAT, Diverged, Job, Settings, canonical
from sde_si.sweep.kinds.commands import how_it_ended, run_program

if TYPE_CHECKING:
    import xarray as xr

PROGRAM, PACKAGE = "validation.train", "validation"
OURS = ("out", "config", "fresh", "json", "quiet", "no_figure", "resume", "help")  # flags that are not the user's here
NO_NUMBERS = ("data_dir", "device", "compile", "stack")  # settings that decide where and how fast, not what
_CHECKED = ("N", "B", "lr", "wd", "momentum", "epochs", "beta2", "eps")
ALL_DIVERGED = 3  # exit code: some path did; the record is there


@functools.cache
def trainer() -> Path:
    """Folder in which the trainer's package lies; the package is not imported.

    Raises
    ------
    BadInput
        If there is none.
    """
    found = importlib.util.find_spec(PACKAGE)
    where = Path(found.origin).parent if found and found.origin else None
    ok = where is not None and (where / "train" / "__main__.py").exists()
    require(ok, "kind", f"the trainer ({PROGRAM}) on Python's path", "none", "PYTHONPATH=FOLDER OF THE REPOSITORY")
    assert where is not None
    return where.parent


def _environment(root: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])}


@functools.cache
def flags() -> frozenset[str]:
    """Settings that the trainer knows, from its own help."""
    found = {name.replace("-", "_") for name in re.findall(r"--([A-Za-z0-9-]+)", _asked(PROGRAM, "--help"))}
    return frozenset(found - set(OURS))


def _asked(*words: str) -> str:
    """What a module of the trainer prints."""
    command, root = [sys.executable, "-m", *words], str(trainer())
    done = subprocess.run(command, env=_environment(root), capture_output=True, text=True, check=False)
    if done.returncode:
        raise BadInput("kind", "a trainer that starts", how_it_ended(done.returncode, done.stderr))
    return done.stdout


@functools.cache
def _sources() -> str:
    """Digest of what decides a training's numbers beside its settings, as the trainer tells it."""
    return _asked(f"{PROGRAM}.sources").strip()


def decoupled(settings: Settings) -> bool:
    """Whether the optimizer's weight decay bypasses its momentum."""
    method = METHODS.get(str(settings.get("optimizer", "sgd")))
    return method is not None and method.decoupled


def train(settings: Settings) -> Job:
    """One training; settings are the flags of ``python -m validation.train``, data files count by their names."""
    known = flags()
    for name in settings:
        check_setting(name, known, "settings of the trainer", f"python -m {PROGRAM} --help")
    # As the trainer does; what only it knows it refuses itself, and the run is called failed.
    size = settings.get("B")
    given: dict[str, Any] = {"N": max(50_000, size) if isinstance(size, int) else 50_000}
    given |= {name: settings[name] for name in _CHECKED if settings.get(name) is not None}
    HyperParameters(**given)
    decides = {name: value for name, value in settings.items() if name not in NO_NUMBERS}
    digest = sha256(canonical({"format": FORMAT, "train": decides, "sources": _sources()}))
    ready = dict(settings)
    if isinstance(ready.get("data_dir"), str):
        ready["data_dir"] = str(Path(ready["data_dir"]).absolute())
    optimizer = "".join(c if c.isalnum() else "-" for c in str(settings.get("optimizer", "sgd")))
    make = functools.partial(make_train, ready, digest, str(trainer()))
    return Job(f"train-{optimizer}-{digest[:12]}.nc", digest, make)


def make_train(settings: Settings, digest: str, root: str) -> xr.Dataset:
    """Train, and read the record.

    Raises
    ------
    RuntimeError
        If the trainer refuses or fails, with the end of what it said.
    Diverged
        If every path ceased to be finite.
    """
    with tempfile.TemporaryDirectory(prefix="sde_si-") as room:
        words = [sys.executable, "-m", PROGRAM, *written(settings), "--out", room, "--json", "--quiet", "--no-figure"]
        code, said, complained = run_program(words, os.getcwd(), _environment(root))  # noqa: PTH109
        if code not in (0, ALL_DIVERGED):
            raise RuntimeError(how_it_ended(code, complained))
        record = load(_last_object(said)["record"])
    dead = diverged(record)
    if len(dead) == record.sizes["path"]:
        raise Diverged(f"all {len(dead)} paths diverged, the first at step {min(one['step'] for one in dead)}")
    # the trainer's own digest covers the data files, too
    record.attrs |= {"trained_digest": record.attrs["digest"], "digest": digest}
    return record


def _last_object(said: str) -> dict[str, Any]:
    return json.loads(said.strip().splitlines()[-1])
