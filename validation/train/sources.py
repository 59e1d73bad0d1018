"""The files that decide a training's numbers beside its settings. ``python -m validation.train.sources``: their digest.

Free of torch, so that a sweep learns it at once.
"""

from __future__ import annotations

import json
from pathlib import Path

import sde_si
from sde_si.run import file_digest, sha256

_PACKAGE, _SIMULATOR = Path(__file__).resolve().parent.parent, Path(sde_si.__file__).resolve().parent
_TRAINER = (
    "curvature", "ends", "flat", "loop", "meter", "optimizers", "response", "stack", "teacher", "tricks",
)  # fmt: skip
_OURS = ("audit/forward", "audit/search", "streams", "schedules/functions", "schedules/timetable")


def files() -> dict[str, Path]:
    """By names that are the same on every machine."""
    names = [f"train/{name}.py" for name in _TRAINER] + ["data/batches.py"]
    names += sorted(f"networks/{path.name}" for path in (_PACKAGE / "networks").glob("*.py"))
    return {f"validation/{name}": _PACKAGE / name for name in names} | {
        f"sde_si/{name}.py": _SIMULATOR / f"{name}.py" for name in _OURS
    }


def digests() -> dict[str, str]:
    """SHA-256 of each; the images have a digest of their own."""
    return {name: file_digest(path) for name, path in files().items()}


def whole() -> str:
    """One digest of them, of what makes and reads images, of defaults, and of what a record holds.

    For those who know neither images nor the settings that nobody has given.
    """
    names = [f"train/{name}.py" for name in ("cli", "job", "outcome", "checks")]
    paths = [*(_PACKAGE / name for name in names), *sorted((_PACKAGE / "data").glob("*.py"))]
    makers = {f"{path.parent.name}/{path.name}": path for path in [*paths, _SIMULATOR / "hyperparameters.py"]}
    return sha256(json.dumps([digests(), {n: file_digest(p) for n, p in makers.items()}], sort_keys=True).encode())


if __name__ == "__main__":
    print(whole())
