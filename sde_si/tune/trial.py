"""One run of somebody's training command, as a sweep runs it: the command, and one number from what it says."""

from __future__ import annotations

import json
import math
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require
from sde_si.record import load
from sde_si.run import file_digest
from sde_si.sweep import Diverged, Sweep
from sde_si.sweep.kinds.commands import how_it_ended, run_program

RUN = "sde_si.tune.trial:run_command"


def run_command(template: str, metric: str, folder: str, sources: Mapping[str, str], **settings: Any) -> float:
    """Run the command with these settings; returns the metric of the JSON object that it gives.

    The object ends its output, or is in the file that it was told to write by ``{out}``. `sources` (the hashes of its
    files) only enters the run's digest.

    Raises
    ------
    RuntimeError, ValueError
        If the command fails, or says no such number.
    Diverged
        If the number is not finite.
    """
    with tempfile.TemporaryDirectory(prefix="sde_si-") as room:
        file = Path(room) / "result.json"
        said = _output_of([word.format(**settings, out=file) for word in shlex.split(template)], folder).strip()
        if "{out}" in template:
            if not file.is_file():
                raise ValueError("the command wrote no file {out}")
            said = file.read_text()
        elif not said:
            raise ValueError("the command printed nothing; its last line should be one JSON object")
        else:
            said = said.splitlines()[-1]
    try:
        content = json.loads(said)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        where = "in the file {out}" if "{out}" in template else "on its last line"
        msg = f"the command printed no JSON object {where}: {said.strip()[:150]!r}"
        raise ValueError(msg.replace("printed", "wrote") if "{out}" in template else msg)
    value = pick(content, metric)
    if not math.isfinite(value):
        raise Diverged(f"{metric} is {value}")
    return value


def _output_of(words: Sequence[str], folder: str) -> str:
    """What a command printed.

    Raises
    ------
    RuntimeError
        If it ends with another code than 0: in the first line how, and the last line of its stderr; then all of it.
    """
    code, said, complained = run_program(words, folder)
    if code:
        lines = complained.strip().splitlines()
        how = how_it_ended(code, "").removesuffix(": ")
        raise RuntimeError("\n".join([f"{how}: {lines[-1].strip()}" if lines else f"{how}, stderr is empty", *lines]))
    return said


def pick(content: Any, metric: str) -> float:
    """The number under a dotted name; of a list the last one; nan for null.

    Raises
    ------
    ValueError
        If there is none; the message says what there is.
    """
    for key in metric.split("."):
        if not isinstance(content, dict) or key not in content:
            known = ", ".join(content) if isinstance(content, dict) else "no names"
            msg = f"the command's JSON has no {metric!r}: at {key!r} it has {known}"
            raise ValueError(msg)
        content = content[key]
    while isinstance(content, list) and content:
        content = content[-1]
    if content is None:
        return math.nan
    if isinstance(content, bool) or not isinstance(content, int | float):
        msg = f"{metric!r} of the command's JSON is no number: {content!r}"
        raise ValueError(msg)
    return float(content)


def check_command(template: str, settings: Mapping[str, Any], needed: tuple[str, ...]) -> dict[str, Any]:
    """The settings that a command adds to every run: itself and the hashes of its files.

    Raises
    ------
    BadInput
        If it names what is no setting, or lacks what it must use.
    """
    advice = '"python train.py --lr {lr} --wd {wd} --N {N} --B {B} --seed {seed}"'
    for name in needed:
        require("{" + name + "}" in template, "command", f"a command with {{{name}}}", repr(template), advice)
    try:
        words = shlex.split(template)
        filled = [word.format(**settings, out="FILE") for word in words]
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join([*settings, "out"])
        raise BadInput("command", f"names in braces among {known}", f"{template!r} ({error})", advice) from None
    require(bool(filled), "command", "a command", repr(template), advice)
    files = {word: file_digest(Path(word)) for word in words if word.endswith(".py") and Path(word).is_file()}
    return {"template": template, "folder": str(Path.cwd()), "sources": files}


def values_of(sweep: Sweep, metric: str) -> list[float]:
    """The metric of every run in order; nan for one that failed or diverged.

    Raises
    ------
    BadInput
        If a finished run has no such number.
    """
    out = []
    for job in sweep.jobs():
        path = Path(sweep.out) / job.name
        if not path.is_file():
            out.append(math.nan)
            continue
        record = load(path)
        known = ", ".join(map(str, record.data_vars))
        require(metric in record, "metric", f"a number that the training gives ({known})", repr(metric))
        numbers = np.ravel(record[metric].values)
        finite = numbers[np.isfinite(numbers)]
        out.append(float(finite[-1]) if finite.size and np.isfinite(numbers[-1]) else math.nan)
    return out


def reasons(sweep: Sweep) -> list[str]:
    """Why runs failed, each reason once, with the file that has the whole of it."""
    from sde_si.sweep.folder import Folder

    folder = Folder(Path(sweep.out), quiet=True)
    found: dict[str, Path] = {}
    for job in sweep.jobs():
        one = None if (Path(sweep.out) / job.name).is_file() else folder.failure(job)
        if one and one["reason"]:
            found.setdefault(one["reason"].splitlines()[0][:300], folder.reason_file(job))
    return [f"{reason} (whole: {file})" for reason, file in found.items()]
