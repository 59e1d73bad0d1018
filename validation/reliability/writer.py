"""What is done to one worker while it writes."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from pathlib import Path
from typing import Any

from sde_si.sweep import Sweep
from sde_si.sweep.folder import Folder
from sde_si.sweep.job import readable
from sde_si.sweep.status import Status
from sde_si.sweep.worker import perform
from validation import faults
from validation.reliability.study import Study, comparable


def writer(study: Study) -> dict[str, Any]:
    """A worker's whole way through a good and a bad run, with each fault at each of its boundaries of writing."""
    (study.folder / "bad.py").write_text("def bad(seed):\n    raise ValueError('as asked for')\n")
    counts: dict[str, Any] = {}
    for function, expected in (("walk.py:walk", Status.DONE), ("bad.py:bad", Status.FAILED)):
        base = {"steps": 5} if expected == Status.DONE else {}
        [job] = Sweep(function=f"{study.folder}/{function}", base=base | {"seed": 1}).jobs()
        whole: dict[str, bytes] = {}
        for kind in ("crash", "ENOSPC", "EROFS", "EIO"):
            number = 0
            while True:
                number += 1
                out, counter = study.folder / f"writer-{expected}-{kind}-{number}", study.folder / "count"
                out.mkdir()
                counter.unlink(missing_ok=True)
                code = _in_child(job, out, f"{kind}:{number}:{number}:{out}:{counter}")
                if counter.stat().st_size < number:
                    break
                assert code in ((137,) if kind == "crash" else (0, 4)), code
                for path in out.glob("*.nc"):
                    assert readable(path, job.digest) == ""
                for path in out.glob("failed/*.json"):
                    assert json.loads(path.read_text())["status"] == Status.FAILED
                assert _in_child(job, out, "") == 0
                Folder(out).tidy()
                names = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
                stem = Path(job.name).stem
                assert names == ([job.name] if expected == Status.DONE else [f"failed/{stem}.json"]), names
                content = comparable({path.name: path.read_bytes() for path in out.glob("*.nc")})
                whole = whole or content
                assert content == whole
            counts[f"{kind}, {'record' if expected == Status.DONE else 'reason'}"] = number - 1
    return counts


def _in_child(job: Any, out: Path, fault: str) -> int:
    """Do the run in a forked process with this fault: 137 crashed, 4 said that the disk refuses, 0 else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads: the child uses none of them
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 99
    try:
        if fault:
            faults.install(fault)
        [outcome] = perform([dataclasses.replace(job, prepare=None)], str(out), None)
        code = 4 if outcome.status == Status.DISK else 0
    finally:
        os._exit(code)
