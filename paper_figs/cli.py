"""``python -m paper_figs [NAME,...]``: draw figures and tables from records, check them, or make them anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from paper_figs.scripts import SIMULATED, Script, scripts
from sde_si.errors import CLAIM_FAILED, DONE, UNFINISHED, require
from sde_si.options import QUIET, TEXT, comma, flag, options_class, parse
from sde_si.terminal import emit, guarded, named, say

if TYPE_CHECKING:
    import xarray as xr

FORMATS = ("pdf", "png", "svg")
Options = options_class(
    "Options",
    {
        "names": (
            tyro.conf.Positional[
                Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME,...", help="only these [default all]")]
            ],
            (),
        ),
        "out": flag(TEXT, "./runs/figures", "folder for figures and tables"),
        "format": flag(comma(str, "pdf,png,svg"), ("png",), "file formats"),
        "recompute": flag(bool, False, "simulate again, and train what has no present record (needs torch)"),
        "scale": flag(TEXT, None, "tiny, cpu, gpu or full: the records of that size [default: the largest there is]"),
        "check": flag(bool, False, "draw nothing; fail if a record does not belong to the present configuration"),
        "gallery": flag(TEXT, None, "write gallery.md and its pictures into this folder, e.g. docs"),
        "list": flag(bool, False, "list figures and tables with the records they need"),
        "json": flag(bool, False, "print one JSON object"),
        "quiet": QUIET,
    },
    "Draw the figures and tables of the papers, theory over experiment, from committed records.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``python -m paper_figs``; returns the exit code."""
    return guarded(lambda: _main(list(sys.argv[1:] if args is None else args)), named(names="NAME"))


def _main(words: list[str]) -> int:
    options: Any = parse(Options, "python -m paper_figs", words)
    known = scripts()
    names = dict.fromkeys(name for word in options.names for name in word.split(","))
    for name in names:
        require(name in known, "names", "names that --list shows", repr(name), next(iter(known)))
    for form in options.format:
        require(form in FORMATS, "format", f"some of {', '.join(FORMATS)}", repr(form), "pdf,png")
    if options.scale is not None:
        from validation.experiments import SCALES

        require(options.scale in SCALES, "scale", f"one of {', '.join(SCALES)}", repr(options.scale), "cpu")
    chosen = [known[name] for name in names or known]
    if options.list:
        return _list(chosen, options)
    if options.recompute and (code := _recompute(chosen, options)):
        return code
    return _check(chosen, options) if options.check else _draw(chosen, options)


def _list(chosen: list[Script], options: Any) -> int:
    if options.json:
        emit({one.name: {"title": one.title, "source": one.source, "needs": one.needs} for one in chosen})
        return DONE
    width = max(len(one.name) for one in chosen)
    for one in chosen:
        print(f"{one.name:{width}}  {one.title} [{', '.join(one.needs) or 'theory alone'}]")
    return DONE


def records_of(script: Script, scale: str | None) -> tuple[dict[str, xr.Dataset], list[str]]:
    """The records that a script needs, and the names of those that nobody has made yet.

    Raises
    ------
    DiskProblem
        If one cannot be read.
    """
    from paper_figs import simulated

    found, pending = {}, []
    if script.simulates:
        own = simulated.load(script)
        if own is None:
            pending.append(f"{script.name} (simulation)")
        else:
            found[SIMULATED] = own
    if script.experiments:
        from validation import experiments

        for name in script.experiments:
            there = experiments.present(name) if name in experiments.EXPERIMENTS else []
            if not there or (scale is not None and scale not in there):
                pending.append(name if scale is None else f"{name} ({scale})")
            else:
                found[name] = experiments.load(name, scale)
    return found, pending


def foreign(script: Script, records: dict[str, xr.Dataset]) -> list[str]:
    """Names of the records that do not belong to the present configuration."""
    from paper_figs import simulated

    out = []
    for name, record in records.items():
        if name == SIMULATED:
            present = simulated.digest(script)
        else:
            from validation import experiments

            present = experiments.current(name, record.attrs["scale"])
        if record.attrs.get("digest") != present:
            out.append(script.name if name == SIMULATED else f"{name} ({record.attrs['scale']})")
    return out


def _recompute(chosen: list[Script], options: Any) -> int:
    """Make records anew; returns the exit code of what went wrong, or 0."""
    from paper_figs import simulated

    for scale, names in _to_train(chosen, options.scale).items():
        # A program of its own: training needs torch, drawing does not.
        command = [sys.executable, "-m", "validation.experiments", ",".join(names), "--scale", scale]
        code = subprocess.run(command + ["--quiet"] * options.quiet, check=False).returncode
        if code not in (DONE, UNFINISHED):
            say(f"{' '.join(command[1:])} failed; see its message above")
            return code
    for one in chosen:
        if one.simulates:
            simulated.recompute(one, options.quiet)
    return DONE


def _to_train(chosen: list[Script], scale: str | None) -> dict[str, list[str]]:
    """Experiments by scale: the one asked for, else the largest that there is and is drawn, else cpu."""
    if not any(one.experiments for one in chosen):
        return {}
    from validation.experiments import present

    out: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for one in chosen for name in one.experiments):
        out.setdefault(scale or next(iter(present(name)), "cpu"), []).append(name)
    return out


def _check(chosen: list[Script], options: Any) -> int:
    wrong, missing = [], []
    for one in chosen:
        records, pending = records_of(one, options.scale)
        wrong += [f"{one.name}: {name}" for name in foreign(one, records)]
        missing += [f"{one.name}: {name}" for name in pending]
    if options.json:
        emit({"foreign": wrong, "pending": missing})
    for text in wrong:
        say(f"{text}: the record does not belong to the present configuration (--recompute makes it anew)")
    for text in missing:
        say(f"{text}: pending, no record yet", options.quiet)
    say(f"{len(chosen)} figures checked, {len(wrong)} wrong records, {len(missing)} pending", options.quiet)
    return CLAIM_FAILED if wrong else UNFINISHED if missing else DONE


def _draw(chosen: list[Script], options: Any) -> int:
    from paper_figs import gallery
    from paper_figs.output import write

    shown: dict[str, Any] = {}
    unfinished = False
    for one in chosen:
        records, pending = records_of(one, options.scale)
        if pending:
            enough = one.partial and bool(records)
            say(f"{one.name}: {'drawn without' if enough else 'not drawn'}, pending: {', '.join(pending)}")
            unfinished = True
            if not enough:
                shown[one.name] = {"pending": pending}
                continue
        for name in foreign(one, records):
            say(f"{one.name}: the record of {name} does not belong to the present configuration")
        drawn = one.draw(records)
        files = write(one, drawn, Path(options.out), options.format) if options.gallery is None else []
        shown[one.name] = {"files": [str(file) for file in files], "seen": drawn.seen, "drawn": drawn}
        say(f"{one.name}: {', '.join(str(file) for file in files) or 'drawn'}", options.quiet)
    if options.gallery is not None:
        page = gallery.write(Path(options.gallery), shown, whole=not options.names)
        say(f"written: {page}", options.quiet)
    if options.json:
        emit({name: {k: v for k, v in one.items() if k != "drawn"} for name, one in shown.items()})
    elif not options.quiet:
        for name, one in shown.items():
            if "seen" in one:
                print(f"{name}: {one['seen']}")
    return UNFINISHED if unfinished else DONE
