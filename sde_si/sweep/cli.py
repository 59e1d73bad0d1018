"""``sde-si sweep FILE.toml``, ``sde-si sweep status FILE.toml``, ``sde-si sweep collect FILE.toml``."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from sde_si.errors import DIVERGED, DONE, UNFINISHED, BadInput, require
from sde_si.options import FLOAT, INT, QUIET, TEXT, TIMEOUT, flag, options_class, parse
from sde_si.sweep.checks import nearest
from sde_si.sweep.plan import counted, dry_run
from sde_si.terminal import as_flag, emit, guarded

if TYPE_CHECKING:
    from sde_si.sweep.api import Sweep
    from sde_si.sweep.summary import Summary

# What a sweep's file may hold: the fields of `Sweep`, and these, which flags override.
_TABLES = {"base": "base", "grid": "grid", "zip": "zipped", "runs": "runs", "seeds": "seeds",
           "kind": "kind", "function": "function", "command": "command", "solve_for": "solve_for"}  # fmt: skip
_TEXTS = {"kind": "simulate", "function": "file.py:name", "command": "train --lr {lr}", "solve_for": "wd",
          "out": "runs/study", "executor": "local:2"}  # fmt: skip
_CONTENTS = {"base", "grid", "zip", "runs", "seeds", "function", "command"}
_WHERE = flag(TEXT, None, "folder of the records, over the file's own `out` [default ./runs]")
_JSON = flag(bool, False, "print one JSON object instead of text")
_FILE = (tyro.conf.Positional[Annotated[str, tyro.conf.arg(metavar="FILE.toml", help="what to run")]], "")
_RUN = {
    "executor": flag(TEXT, None, "local[:WORKERS], dask://HOST:PORT or slurm[:OPTION=VALUE,...] [default local]"),
    "timeout": TIMEOUT,
    "max_minutes": flag(FLOAT, None, "stop cleanly after so many minutes [default: no limit]"),
    "retries": flag(INT, None, "times that a run which raised an exception is tried again at once [default 0]"),
}
RunOptions = options_class(
    "RunOptions",
    {"file": _FILE, "out": _WHERE, **_RUN,
     "retry_failed": flag(bool, False, "try again what failed, diverged or took too long"),
     "dry_run": flag(bool, False, "list the runs, which exist, and the estimated time; run nothing"),
     "json": _JSON, "quiet": QUIET},
    "Do the runs of FILE.toml that are not done yet. Other uses: sde-si sweep status FILE.toml, and collect FILE.toml.",
)  # fmt: skip
StatusOptions = options_class(
    "StatusOptions",
    {"file": _FILE, "out": _WHERE, "json": _JSON, "quiet": QUIET},
    "Count the runs of FILE.toml that are done, running, failed and missing, from the files alone.",
)
CollectOptions = options_class(
    "CollectOptions",
    {"file": _FILE, "out": _WHERE, "to": flag(TEXT, None, "file.nc (all of it) or file.parquet (a table)"),
     "json": _JSON, "quiet": QUIET},
    "Put the finished records of FILE.toml into one Dataset over the sweep's axes, or one table.",
)  # fmt: skip


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si sweep``; returns the exit code."""
    words = list(sys.argv[1:] if args is None else args)
    if words and words[0] in _ACTIONS:
        action, cls = _ACTIONS[words[0]]
        return guarded(lambda: action(parse(cls, f"sde-si sweep {words[0]}", words[1:])), _label)
    return guarded(lambda: _run(parse(RunOptions, "sde-si sweep", words)), _label)


_FLAGS = {field.name for cls in (RunOptions, StatusOptions, CollectOptions) for field in dataclasses.fields(cls)}


def _label(name: str) -> str:
    """The file, a flag, or a key of the file as it stands there."""
    return "FILE.toml" if name == "file" else as_flag(name) if name in _FLAGS else name


def read(file: str, out: str | None = None) -> tuple[Sweep, dict[str, Any]]:
    """The sweep that a TOML file describes, and the values that flags may override.

    Raises
    ------
    BadInput
        If the file is missing, malformed, or has an unknown key.
    """
    require(bool(file), "file", "a TOML file", "none", "sde-si sweep study.toml")
    try:
        content = tomllib.loads(Path(file).read_text())
    except OSError as error:
        advice = "the name of a file, as study.toml"
        raise BadInput("file", "a TOML file that can be read", f"{file} ({error.strerror})", advice) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("file", "a TOML file", f"{file} ({error})", "mending that line") from error
    except ValueError as error:  # a NUL in the name
        raise BadInput("file", "a TOML file", f"{file!r} ({error})", "study.toml") from error
    for key, value in content.items():
        known = [*_TABLES, "out", *_RUN]
        advice = nearest(key, known, f"[base] before the settings of a run, as {key}")
        require(key in known, key, f"keys among {', '.join(known)} in {file}", repr(key), advice)
        if key in _TEXTS:
            require(isinstance(value, str), key, "text", repr(value), f'{key} = "{_TEXTS[key]}"')
    # An empty file would be one simulation with nothing but defaults, which nobody asks for in this way.
    some = bool(content.keys() & _CONTENTS)
    require(
        some, "file", f"one of {', '.join(sorted(_CONTENTS))}", f"none in {file}", "[grid] with lr = [0.1, 0.2] in it"
    )
    from sde_si.sweep.api import Sweep

    fields = {name: content[key] for key, name in _TABLES.items() if key in content}
    where = content.get("out", "./runs") if out is None else out
    return Sweep(**fields, out=where), {k: content.get(k) for k in _RUN}


def _run(options: Any) -> int:
    sweep, configured = read(options.file, options.out)
    limits = {name: getattr(options, name) if getattr(options, name) is not None else configured[name] for name in _RUN}
    if options.dry_run:
        return dry_run(sweep, limits, as_json=options.json, quiet=options.quiet)
    summary = sweep.run(
        executor=limits["executor"] or "local",
        timeout=limits["timeout"],
        minutes=limits["max_minutes"],
        retries=limits["retries"] or 0,
        retry_failed=options.retry_failed,
        quiet=options.quiet,
    )
    if options.json:
        emit(_summary_json(summary, sweep))
    else:
        _print_summary(summary, sweep)
    if summary.diverged or summary.failed or summary.timeout:
        return DIVERGED
    return UNFINISHED if summary.missing else DONE


def _summary_json(summary: Summary, sweep: Sweep) -> dict[str, Any]:
    reasons = [dict(zip(("name", "status", "reason"), one, strict=True)) for one in summary.reasons]
    counts = ("total", "done", "reused", "diverged", "failed", "timeout", "missing", "seconds")
    return {name: getattr(summary, name) for name in counts} | {
        "stopped": summary.stopped or None, "reasons": reasons, "out": str(sweep.out),
    }  # fmt: skip


def _print_summary(summary: Summary, sweep: Sweep) -> None:
    parts = [f"{summary.done} done in {summary.seconds:.1f} s", f"{summary.reused} found done"]
    shown = {"diverged": "diverged", "failed": "failed", "timeout": "took too long", "missing": "not done"}
    parts += [f"{getattr(summary, key)} {text}" for key, text in shown.items() if getattr(summary, key)]
    print(f"{summary.total} runs: {', '.join(parts)}; records in {sweep.out}")
    for name, status, reason in summary.reasons:
        print(f"{name}: {status}: {reason.splitlines()[0] if reason else ''}")
    if summary.reasons:
        print(f"reasons in {Path(sweep.out) / 'failed'}; --retry-failed tries them again")
    if summary.stopped:
        print(f"stopped: {summary.stopped}; the same command goes on")


def _others(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"no run of this sweep, but in its folder: {len(names)} of *.nc ({shown})"


def _status(options: Any) -> int:
    from sde_si.sweep.folder import STATES, Folder

    sweep, _ = read(options.file, options.out)
    folder = Folder(Path(sweep.out))
    running, counts, reasons = folder.running_elsewhere(), dict.fromkeys(STATES, 0), []
    names = set()
    for job in sweep.jobs():
        names.add(job.name)
        status = folder.state(job, running)
        counts[status] += 1
        if status == "failed" and (known := folder.failure(job)) is not None:
            reasons.append({"name": job.name, "status": known["status"], "reason": known["reason"]})
        if status == "unreadable":
            reasons.append({"name": job.name, "status": status, "reason": folder.finished(job)})
    others = folder.strangers(names)
    if options.json:
        emit({"counts": counts, "reasons": reasons, "others": others})
        return DONE
    print(counted(counts))
    for one in reasons:
        print(f"{one['name']}: {one['status']}: {one['reason'].splitlines()[0] if one['reason'] else ''}")
    if others:
        print(_others(others))
    return DONE


def _collect(options: Any) -> int:
    sweep, _ = read(options.file, options.out)
    target = Path(options.to) if options.to else Path(f"{Path(options.file).stem}.nc")
    require(target.suffix in (".nc", ".parquet"), "to", "a file ending in .nc or .parquet", target, "all.parquet")
    from sde_si.sweep.gather import collect
    from sde_si.sweep.tables import write

    data = collect(sweep, quiet=options.quiet)
    write(data, target)
    dims = {str(name): size for name, size in data.sizes.items()}
    if options.json:
        variables = sorted(map(str, data.data_vars))
        counts = {name: data.attrs[name] for name in ("runs", "finished")}
        emit({"file": str(target), "dims": dims, "variables": variables} | counts)
        return DONE
    shape = ", ".join(f"{name} {size}" for name, size in dims.items())
    print(f"{data.attrs['finished']} of {data.attrs['runs']} runs in {target}: {shape}")
    return DONE


_ACTIONS: dict[str, tuple[Callable[[Any], int], type]] = {
    "status": (_status, StatusOptions),
    "collect": (_collect, CollectOptions),
}
