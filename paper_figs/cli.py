"""``python -m paper_figs [NAME,...]``: draw figures and tables from records, check them, or make them anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from paper_figs import drawing
from paper_figs.scripts import Script, scripts
from sde_si.errors import CLAIM_FAILED, DISK, DONE, UNFINISHED, require, require_known
from sde_si.options import FOLDER, QUIET, TEXT, comma, flag, names_in, options_class, parse
from sde_si.terminal import emit, guarded, say, standing

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
        "out": flag(FOLDER, "./runs/figures", "folder for figures and tables"),
        "format": flag(comma(str, "pdf,png,svg"), ("png",), "file formats"),
        "recompute": flag(bool, False, "simulate again, and train what has no present record (needs torch)"),
        "scale": flag(TEXT, None, "tiny, cpu, gpu or full: the records of that size [default: the largest there is]"),
        "check": flag(bool, False, "draw nothing; fail if a record does not belong to the present configuration"),
        "gallery": flag(FOLDER, None, "write gallery.md and its pictures into this folder, e.g. docs"),
        "list": flag(bool, False, "list figures and tables with the records they need"),
        "json": flag(bool, False, "print one JSON object"),
        "quiet": QUIET,
    },
    "Draw the figures and tables of the papers, theory over experiment, from committed records.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``python -m paper_figs``; returns the exit code."""
    return guarded(lambda: _main(list(sys.argv[1:] if args is None else args)), standing(names="NAME"))


def _main(words: list[str]) -> int:
    options: Any = parse(Options, "python -m paper_figs", words)
    known = scripts()
    names = names_in(options.names)
    for name in names:
        require_known("names", name, known, listed="names that --list shows", advice="--list")
    for form in options.format:
        require(form in FORMATS, "format", f"some of {', '.join(FORMATS)}", repr(form), "pdf,png")
    if options.scale is not None:
        from validation.experiments import SCALES

        require_known("scale", options.scale, SCALES, advice="cpu")
    chosen = [known[name] for name in names or known]
    if options.list:
        return _list(chosen, options)
    require(
        not (options.check and options.recompute), "check", "either --check or --recompute", "both", "--check first"
    )
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


def _recompute(chosen: list[Script], options: Any) -> int:
    """Make records anew; returns the exit code of what went wrong, or 0."""
    from paper_figs import simulated

    for scale, names in _to_train(chosen, options.scale).items():
        # A program of its own: training needs torch, drawing does not.
        command = [sys.executable, "-m", "validation.experiments", ",".join(names), "--scale", scale]
        code = subprocess.run(command + ["--quiet"] * options.quiet, check=False).returncode
        if code not in (DONE, UNFINISHED):
            say(f"error: python {' '.join(command[1:])} failed; see its message above")
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
    wrong: list[str] = []
    missing: list[str] = []
    unreadable: list[str] = []
    for one in chosen:
        found = drawing.records_of(one, options.scale)
        wrong += [f"{one.name}: {name}" for name in drawing.foreign(one, found.records)]
        missing += [f"{one.name}: {name}" for name in found.pending]
        unreadable += found.unreadable
    unreadable = list(dict.fromkeys(unreadable))  # figures share records
    if options.json:
        emit({"foreign": wrong, "pending": missing, "unreadable": unreadable})
    for text in wrong:
        say(f"{text}: the record does not belong to the present configuration (--recompute makes it anew)")
    for text in missing:
        say(f"{text}: pending, no record yet", options.quiet)
    counts = f"{len(wrong)} wrong records, {len(missing)} pending, {len(unreadable)} unreadable"
    say(f"{len(chosen)} figures checked, {counts}", options.quiet)
    return _code(unreadable, bool(wrong), bool(missing))


def _code(unreadable: Sequence[str], wrong: bool, unfinished: bool) -> int:
    """The exit code, after every file that cannot be read is named."""
    for text in unreadable:
        say(f"error: {text}")
    return DISK if unreadable else CLAIM_FAILED if wrong else UNFINISHED if unfinished else DONE


def _draw(chosen: list[Script], options: Any) -> int:
    from paper_figs import gallery

    shown: dict[str, Any] = {}
    unreadable: dict[str, None] = {}  # in order, each once: figures share records
    for one, entry in zip(chosen, drawing.each([drawing.Order.of(one, options) for one in chosen]), strict=True):
        shown[one.name] = entry
        unreadable |= dict.fromkeys(entry.get("unreadable", ()))
        if "pending" in entry or "unreadable" in entry:
            reasons = [f"pending: {', '.join(entry['pending'])}"] if "pending" in entry else []
            how = "drawn without" if "seen" in entry else "not drawn"
            say(f"{one.name}: {how}, {'; '.join(reasons + entry.get('unreadable', []))}")
        if "foreign" in entry:
            names = ", ".join(entry["foreign"])
            say(f"{one.name}: the record of {names} does not belong to the present configuration")
        if "seen" in entry:
            say(f"{one.name}: {', '.join(entry['files']) or 'drawn'}", options.quiet)
    if options.gallery is not None and not options.names and not unreadable:
        say(f"written: {gallery.write_page(Path(options.gallery), shown)}", options.quiet)
    if options.json:
        emit({name: {k: v for k, v in one.items() if k != "tables"} for name, one in shown.items()})
    elif not options.quiet:
        for name, one in shown.items():
            if "seen" in one:
                mark = f" [of an older configuration: {', '.join(one['foreign'])}]" if "foreign" in one else ""
                print(f"{name}{mark}: {one['seen']}")
    wrong, unfinished = (any(key in one for one in shown.values()) for key in ("foreign", "pending"))
    return _code(list(unreadable), wrong, unfinished)
