"""What a sweep's description may hold, looked at before anything is made of it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import check_count, check_number


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """The known name that was probably meant, or other advice."""
    return next(iter(difflib.get_close_matches(name, list(known), 1)), otherwise)


def check_setting(name: str, known: Collection[str], what: str, otherwise: str) -> None:
    """Refuse a setting that nobody knows.

    Raises
    ------
    BadInput
        With the name that was probably meant.
    """
    if name not in known:
        raise BadInput(
            name, f"{what} ({', '.join(sorted(known))})", repr(name), nearest(name, sorted(known), otherwise)
        )


def check_limits(timeout: float | None, minutes: float | None, retries: int) -> None:
    """Refuse limits of a sweep that are none.

    Raises
    ------
    BadInput
    """
    if timeout is not None:
        check_number("timeout", timeout, above=0, advice="600")
    if minutes is not None:
        check_number("max_minutes", minutes, above=0, advice="60")
    check_count("retries", retries, least=0, advice="1")


def check_out(out: Any) -> None:
    """Refuse what cannot be the name of a folder.

    Raises
    ------
    BadInput
    """
    text = isinstance(out, str | os.PathLike) and str(out) != "" and "\0" not in str(out)
    require(text, "out", "the name of a folder", repr(out), '"runs/study"')
    path = Path(out)
    try:
        here = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), Path("/"))
        folder = here.is_dir()
    except OSError as error:
        require(False, "out", "the name of a folder", f"{out} ({error.strerror})", '"runs/study"')
        return
    require(folder, "out", "a folder, or a name for a new one", f"{out} ({here} is none)", f'"{here}-runs"')


def check_shapes(kind: Any, function: Any, command: Any, solve_for: Any, runs: Any, tables: Mapping[str, Any]) -> None:
    """Refuse text that is none, tables that are none, and runs that are no list of tables.

    Raises
    ------
    BadInput
    """
    examples = {"kind": "simulate", "command": "train --lr {lr}", "solve_for": "wd"}
    for name, value in (("kind", kind), ("command", command), ("solve_for", solve_for)):
        require(value is None or isinstance(value, str), name, "text", repr(value), repr(examples[name]))
    good = function is None or isinstance(function, str | Callable)
    require(good, "function", "a function, or its name", repr(function), "'file.py:name'")
    for name, value in tables.items():
        require(isinstance(value, Mapping), name, "a table", repr(value), f"[{name}]")
    listed = isinstance(runs, list | tuple) and all(isinstance(one, Mapping) for one in runs)
    advice = "[[runs]] (two brackets) before each of them, or runs = [{lr = 0.1}, {lr = 0.2}]"
    require(listed, "runs", "a list of tables, one for each run", repr(runs), advice)
