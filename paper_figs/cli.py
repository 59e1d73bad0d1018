"""``python -m paper_figs [NAME,...]``: draw figures and tables from records, check them, or make them anew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import tyro

from paper_figs.scripts import SIMULATED, Script, scripts
from sde_si.errors import CLAIM_FAILED, DISK, DONE, UNFINISHED, DiskProblem, require, require_known
from sde_si.options import FOLDER, QUIET, TEXT, comma, flag, names_in, options_class, parse
from sde_si.terminal import emit, guarded, say, standing

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


class Found(NamedTuple):
    """What a script needs: the records that are there, names of those that nobody has made, faults of the rest."""

    records: dict[str, xr.Dataset]
    pending: list[str]
    unreadable: list[str]


def records_of(script: Script, scale: str | None) -> Found:
    """Read what a script needs, whatever cannot be read."""
    from paper_figs import simulated

    found = Found({}, [], [])
    if script.simulates:
        with _kept(found.unreadable):
            own = simulated.load(script)
            if own is None:
                found.pending.append(f"{script.name} (simulation)")
            else:
                found.records[SIMULATED] = own
    if script.experiments:
        from validation import experiments

        for name in script.experiments:
            there = experiments.present(name) if name in experiments.EXPERIMENTS else []
            if not there or (scale is not None and scale not in there):
                found.pending.append(name if scale is None else f"{name} ({scale})")
            else:
                with _kept(found.unreadable):
                    found.records[name] = experiments.load(name, scale)
    return found


@contextmanager
def _kept(messages: list[str]) -> Iterator[None]:
    """One bad file is told of, and stops nothing else."""
    try:
        yield
    except DiskProblem as error:
        messages.append(str(error))


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
    wrong: list[str] = []
    missing: list[str] = []
    unreadable: list[str] = []
    for one in chosen:
        found = records_of(one, options.scale)
        wrong += [f"{one.name}: {name}" for name in foreign(one, found.records)]
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
    from paper_figs.output import write

    shown: dict[str, Any] = {}
    unreadable: dict[str, None] = {}  # in order, each once: figures share records
    for one in chosen:
        found = records_of(one, options.scale)
        unreadable |= dict.fromkeys(found.unreadable)
        entry = shown[one.name] = {key: value for key, value in found._asdict().items() if value and key != "records"}
        if entry:
            enough = one.partial and bool(found.records)
            reasons = [f"pending: {', '.join(found.pending)}"] * bool(found.pending) + found.unreadable
            say(f"{one.name}: {'drawn without' if enough else 'not drawn'}, {'; '.join(reasons)}")
            if not enough:
                continue
        if names := foreign(one, found.records):
            entry["foreign"] = names
            say(f"{one.name}: the record of {', '.join(names)} does not belong to the present configuration")
        drawn = one.draw(found.records)
        files = write(one, drawn, Path(options.out), options.format) if options.gallery is None else []
        entry |= {"files": [str(file) for file in files], "seen": drawn.seen, "drawn": drawn}
        say(f"{one.name}: {', '.join(str(file) for file in files) or 'drawn'}", options.quiet)
    if options.gallery is not None:
        page = gallery.write(Path(options.gallery), shown, whole=not options.names and not unreadable)
        say(f"written: {page}", options.quiet)
    if options.json:
        emit({name: {k: v for k, v in one.items() if k != "drawn"} for name, one in shown.items()})
    elif not options.quiet:
        for name, one in shown.items():
            if "seen" in one:
                mark = f" [of an older configuration: {', '.join(one['foreign'])}]" if "foreign" in one else ""
                print(f"{name}{mark}: {one['seen']}")
    wrong, unfinished = (any(key in one for one in shown.values()) for key in ("foreign", "pending"))
    return _code(list(unreadable), wrong, unfinished)
