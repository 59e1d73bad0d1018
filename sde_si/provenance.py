"""Where and when numbers were made; the only part of a record that may differ between equal runs."""

from __future__ import annotations

import datetime as dt
import functools
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any


def version() -> str:
    """Version of the installed package."""
    try:
        return metadata.version("sde_si")
    except metadata.PackageNotFoundError:
        return "unknown"


def _commit() -> str:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


@functools.cache
def _software() -> dict[str, str]:
    """What cannot change while the process lives; asked once, since it takes longer than a small run."""
    packages = ("numpy", "numba", "scipy", "xarray")
    return {
        "host": platform.node(),
        "device": platform.machine(),
        "python": platform.python_version(),
        "sde_si": version(),
        "commit": _commit(),
        **{name: metadata.version(name) for name in packages},
    }


def provenance(**more: Any) -> dict[str, Any]:
    """Time, host, versions and commit, with whatever else is given."""
    return {"written": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), **_software(), **more}
