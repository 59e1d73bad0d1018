"""A program that writes its record to a file, or says it on stdout."""

from __future__ import annotations

import functools
import json
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sde_si.errors import BadInput, require
from sde_si.run import file_digest, sha256
from sde_si.sweep.checks import nearest
from sde_si.sweep.job import FORMAT, Job, Settings, canonical, finished
from sde_si.sweep.watch import CHILDREN

if TYPE_CHECKING:
    import xarray as xr


def command(template: str, settings: Settings) -> Job:
    """One command: ``{name}`` stands for a setting, ``{out}`` for the file (NetCDF or JSON) that it writes.

    Without ``{out}`` the last line on its stdout is one JSON object of numbers and lists.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise BadInput("command", "quotes in pairs", f"{template!r} ({error})", '"train --lr {lr}"') from None
    fields = dict(settings) | {"out": "{out}"}
    try:
        filled = [word.format(**fields) for word in words]
    except (KeyError, IndexError, ValueError, AttributeError, TypeError) as error:
        known = [*settings, "out"]
        missing = error.args[0] if isinstance(error, KeyError) else ""
        advice = f"{{{nearest(str(missing), known, known[0])}}}, and {{{{ }}}} for braces of the command's own"
        raise BadInput(
            "command", f"names in braces among {', '.join(known)}", f"{template!r} ({error})", advice
        ) from None
    require(bool(filled), "command", "a command", repr(template), '"train --lr {lr} --out {out}"')
    files = {word: file_digest(Path(word)) for word in words if word.endswith(".py") and Path(word).is_file()}
    digest = sha256(canonical({"format": FORMAT, "command": words, "settings": settings, "sources": files}))
    stem = "".join(c if c.isalnum() else "-" for c in Path(next(iter(files), words[0])).stem)
    return Job(
        f"command-{stem}-{digest[:12]}.nc",
        digest,
        functools.partial(make_command, filled, digest, settings, str(Path.cwd())),
    )


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
        said = output_of([word.replace("{out}", str(out)) for word in words], folder)
        if not asked:
            return finished(json.loads(said.strip().splitlines()[-1]), digest, settings, "command")
        content = out.read_bytes()
        if content.lstrip()[:1] == b"{":
            return finished(json.loads(content), digest, settings, "command")
        with xr.open_dataset(out, engine="scipy") as opened:
            return finished(opened.load(), digest, settings, "command")


def output_of(words: Sequence[str], folder: str) -> str:
    """Run a command, and return what it printed.

    Raises
    ------
    RuntimeError
        If it ends with another code than 0, with the end of its stderr.
    """
    code, said, complained = run_program(words, folder)
    if code:
        raise RuntimeError(how_it_ended(code, complained))
    return said


def run_program(
    words: Sequence[str], folder: str, environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a program, which ends when the worker does (`sde_si.sweep.watch`)."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
    ) as child:
        CHILDREN.add(child)
        try:
            said, complained = child.communicate()
        finally:
            child.kill()
            CHILDREN.discard(child)
    return child.returncode, said, complained


def how_it_ended(code: int, complained: str) -> str:
    """The reason of a program that failed, with the end of its stderr."""
    how = f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"
    return f"the command ended with {how}: {complained.strip()[-500:]}"
