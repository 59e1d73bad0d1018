"""``python -m validation.experiments``: run the papers' experiments, list them, and what has no record yet."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from sde_si.errors import DIVERGED, DONE, UNFINISHED, require, require_known
from sde_si.hyperparameters import check_count, check_number
from sde_si.options import FLOAT, FOLDER, INT, TEXT, flag, names_in, options_class, parse
from sde_si.terminal import emit, guarded, say, standing
from validation.experiments.base import SCALES

DEVICES = ("auto", "cpu", "cuda")
MEANT_FOR = {"cpu": "cpu", "cuda": "gpu"}  # scale that --pending means by a device
_NAMES = (
    tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME...", help="experiments, or all")]],
    (),
)
Options = options_class(
    "Options",
    {
        "names": _NAMES,
        "scale": flag(TEXT, None, f"{', '.join(SCALES)} [default cpu; with --pending the one its device is for]"),
        "seeds": flag(INT, None, "networks a cell [default: the experiment's]"),
        "device": flag(TEXT, None, "cpu, cuda, or auto [default auto; --pending without it only lists]"),
        "workers": flag(INT, None, "trainings side by side, one thread each [default: the cores; cuda: 4]"),
        "max_minutes": flag(FLOAT, None, "stop cleanly after so many minutes; the same command goes on"),
        "data_dir": flag(FOLDER, None, "folder of the images, where they are not where Debian puts them"),
        "work": flag(FOLDER, "./runs/experiments", "folder of the single runs"),
        "out": flag(FOLDER, None, "folder of the summaries [default: validation/records/experiments]"),
        "retry_failed": flag(bool, False, "try again what failed"),
        "rebuild": flag(bool, False, "write summaries anew that are up to date; what they hold is not trained again"),
        "dry_run": flag(bool, False, "say what would be run and for how long; run nothing"),
        "list": flag(bool, False, "list the experiments"),
        "pending": flag(bool, False, "list what has no record yet, with the hours left; with --device, run it"),
        "json": flag(bool, False, "print one JSON object instead of text"),
        "quiet": flag(bool, False, "no progress, no messages"),
    },
    "Run experiments of the papers at one scale and write their summaries. To list them: --list.",
)


def main(args: Sequence[str] | None = None) -> int:
    """Run, or list; returns the exit code."""
    words = list(sys.argv[1:] if args is None else args)
    return guarded(lambda: _main(parse(Options, "python -m validation.experiments", words)), standing(names="NAME"))


def _main(options: Any) -> int:
    device = options.device or "auto"
    require_known("device", device, DEVICES)
    for name in ("seeds", "workers"):
        if getattr(options, name) is not None:
            check_count(name, getattr(options, name))
    if options.max_minutes is not None:
        check_number("max_minutes", options.max_minutes, above=0, advice="60")
    from validation.experiments.summary import check_scale

    if options.scale is not None:
        check_scale(options.scale)
    experiments = _chosen(options)
    require(not (options.pending and options.list), "pending", "either --pending or --list", "both")
    if options.list:
        return _list(options, experiments)
    if options.pending:
        return _pending(options, experiments, device)
    require(bool(experiments), "names", "at least one experiment", "none", "--list")
    plans = [_plan(options, experiment, options.scale or "cpu") for experiment in experiments]
    return _dry_run(options, plans) if options.dry_run else _run(options, plans, device)


def _chosen(options: Any) -> list[Any]:
    from validation.experiments.catalogue import EXPERIMENTS
    from validation.experiments.summary import find

    names = names_in(options.names)
    every = names == ["all"] or (not names and (options.list or options.pending))
    return list(EXPERIMENTS.values()) if every else [find(name) for name in names]


def _plan(options: Any, experiment: Any, scale: str) -> Any:
    from validation.experiments.run import Plan
    from validation.experiments.summary import RECORDS

    seeds = options.seeds or experiment.seeds[scale]
    out = Path(options.out).absolute() if options.out else RECORDS
    return Plan(experiment, scale, seeds, Path(options.work).absolute(), out)


def _list(options: Any, experiments: list[Any]) -> int:
    from validation.experiments.run import listing

    rows = listing(experiments, [options.scale] if options.scale else list(SCALES))
    if options.json:
        emit({"experiments": rows})
        return DONE
    for row in rows:
        print(f"{row['name']}: {row['title']}\n    {row['source']}")
        print("    " + "; ".join(f"{s}: {n['runs']} runs, {n['hours']:.2g} h" for s, n in row["scales"].items()))
    return DONE


def _dry_run(options: Any, plans: list[Any]) -> int:
    from validation.experiments.run import estimate

    _say_damaged(plans, set(), options.quiet)
    left, rows = estimate(plans), []
    for plan in plans:
        key = f"{plan.experiment.name}-{plan.scale}"
        rows.append({"name": plan.experiment.name, "scale": plan.scale, "seeds": plan.seeds, "recorded": plan.done,
                     "damaged": bool(plan.damage), "runs": len(plan.runs), "missing": len(plan.missing()),
                     "seconds": left[key]})  # fmt: skip
    total = sum(row["seconds"] for row in rows if not row["recorded"])
    if options.json:
        emit({"experiments": rows, "hours": total / 3600})
        return DONE
    for row in rows:
        state = "recorded" if row["recorded"] else f"{row['missing']} of {row['runs']} runs to do"
        state = f"the record is damaged, {state}" if row["damaged"] else state
        hours = "" if row["recorded"] else f", about {row['seconds'] / 3600:.2g} h of one core or accelerator"
        print(f"{row['name']} {row['scale']}: {state}{hours}")
    print(f"together about {total / 3600:.2g} h; a run that two experiments share is counted once")
    return DONE


def _say_damaged(plans: list[Any], made_again: set[Path], quiet: bool) -> None:
    """Name the damaged summaries in the plans' folders: no run is taken from them."""
    from validation.experiments.catalogue import EXPERIMENTS
    from validation.experiments.summary import damage, path_of

    for scale, folder in dict.fromkeys((plan.scale, plan.records) for plan in plans):
        for name in EXPERIMENTS:
            if path_of(name, scale, folder) not in made_again and (found := damage(name, scale, folder)):
                say(str(found), quiet)


def _pending(options: Any, experiments: list[Any], device: str) -> int:
    scale = options.scale or (MEANT_FOR.get(device) if options.device else None)
    if options.device == "auto" and scale is None:
        from validation.train.job import pick_device

        scale = MEANT_FOR[pick_device("auto")]
    scales = [scale] if scale else [s for s in SCALES if s != "tiny"]
    plans = [_plan(options, experiment, s) for s in scales for experiment in experiments]
    plans = [plan for plan in plans if not plan.done]
    if options.device is None or options.dry_run:
        return _dry_run(options, plans)
    return _run(options, plans, device)


def _run(options: Any, plans: list[Any], device: str) -> int:
    from sde_si.machine import usable_cores

    begin, results = time.monotonic(), []
    todo = [plan for plan in plans if options.rebuild or not plan.done]
    if todo:
        from validation.train.job import pick_device  # needs torch

        device = pick_device(device)
    workers = options.workers or (4 if device == "cuda" else usable_cores())
    _say_damaged(plans, {plan.path for plan in todo}, options.quiet)
    for plan in plans:
        if plan not in todo:
            say(f"{plan.path} is there and up to date", options.quiet)
    for plan in todo:
        plan.check(device, options.data_dir)
    for plan in plans:
        result = {"name": plan.experiment.name, "scale": plan.scale, "record": str(plan.path), "status": "recorded"}
        left = None if options.max_minutes is None else options.max_minutes - (time.monotonic() - begin) / 60
        if plan in todo:
            result |= _one(options, plan, device, workers, left)
        results.append(result)
    if options.json:
        emit({"experiments": results, "seconds": time.monotonic() - begin})
    else:
        for row in results:
            print(f"{row['name']} {row['scale']}: {row['status']}" + (f", {row['text']}" if row.get("text") else ""))
    status = {row["status"] for row in results}
    return DIVERGED if "failed" in status else UNFINISHED if "unfinished" in status else DONE


def _one(options: Any, plan: Any, device: str, workers: int, left: float | None) -> dict[str, Any]:
    """Run one experiment; its summary is written when no run is missing."""
    if left is not None and left <= 0:
        return {"status": "unfinished", "text": "no time left"}
    done = plan.sweep(
        device=device, data_dir=options.data_dir, workers=workers, minutes=left, retry_failed=options.retry_failed,
        quiet=options.quiet,
    )  # fmt: skip
    for name, status, reason in done.reasons:
        say(f"{name}: {status}: {reason.splitlines()[0] if reason else ''}", options.quiet)
    counts = f"{done.done} runs done in {done.seconds:.0f} s, {done.reused} found done, {plan.held} held by summaries"
    if done.failed or done.timeout:
        where = plan.work / "failed"
        return {"status": "failed", "text": f"{counts}, {done.failed + done.timeout} failed: reasons in {where}"}
    if done.missing:
        return {"status": "unfinished", "text": f"{counts}, {done.missing} to do; the same command goes on"}
    plan.summarise()
    return {"status": "recorded", "text": f"{counts}; {plan.path}"}
