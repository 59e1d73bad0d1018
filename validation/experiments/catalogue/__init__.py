"""Every experiment, one file each, found by its name."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

from validation.experiments.base import Experiment


def _found() -> dict[str, Experiment]:
    found = {}
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        name = path.stem.replace("_", "-")
        module = importlib.import_module(f"{__name__}.{path.stem}")
        found[name] = dataclasses.replace(module.EXPERIMENT, name=name)
    return found


EXPERIMENTS: dict[str, Experiment] = _found()
