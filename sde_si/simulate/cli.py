"""The command line: flags, runs, records, then table, figure or JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sde_si.errors import DIVERGED, DONE, require
from sde_si.hyperparameters import check_count
from sde_si.machine import human, lasting, usable_cores
from sde_si.options import parse
from sde_si.resolve import EXTRAS, default_methods, find_method, read_norm, resolve, start_norm, unused_extras
from sde_si.run import Run
from sde_si.simulate.api import NO_EQUILIBRIUM, begin_of_search
from sde_si.simulate.options import (
    DERIVED,
    Options,
    block_of,
    check_output,
    hyperparameters_of,
    problem_of,
    target_of,
)
from sde_si.terminal import emit, guarded


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si simulate``; returns the exit code."""
    return guarded(lambda: _main(args))


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si simulate", args, DERIVED)
    if options.version:
        from sde_si.provenance import version

        print(version())
        return DONE
    if options.list:
        from sde_si.catalogue import show_catalogue

        show_catalogue()
        return DONE
    check_output(options)
    runs = resolve_all(options)
    if options.theory:
        return _theory(options, runs)
    from sde_si.simulate import cost

    threads = options.threads or usable_cores()
    for run in runs:
        cost.check(run, threads)
    if options.dry_run:
        return _dry_run(options, runs, threads)
    return _simulate(options, runs, threads)


def resolve_all(options: Any) -> list[Run]:
    """The checked run of every method; all start from the same weights.

    Raises
    ------
    BadInput
    """
    problem = problem_of(options)
    hyperparameters = hyperparameters_of(options, problem)
    if target_of(options) is not None:
        require(hyperparameters.wd > 0, "target_error", NO_EQUILIBRIUM, "wd = 0", "--wd 5e-4")
    read_norm(options.init_norm)
    if options.threads is not None:
        check_count("threads", options.threads)
    methods = [find_method(name) for name in options.method or default_methods(problem)]
    names = ", ".join(method.name for method in methods)
    require(len(set(names.split(", "))) == len(methods), "method", "each method once", names)
    some_sde, some_discrete = any(m.sde for m in methods), any(not m.sde for m in methods)
    require(options.substeps is None or some_sde, "substeps", "a method of the SDE", names, "--method em")
    require(
        options.sampling == "replacement" or some_discrete,
        "sampling",
        "a discrete optimizer among the methods for reshuffling",
        names,
        "--method sgd",
    )
    require(not options.check_step or some_sde, "check_step", "a method of the SDE", names, "--method em")
    for name in EXTRAS:
        used = getattr(options, name) is None or any(name in m.extras for m in methods)
        require(used, name, "a method that uses it", names, "--method adamw")
    noise_from = _noise_from(options)
    runs = [
        resolve(
            problem,
            hyperparameters.replace(**unused_extras(method)),
            method=method,
            paths=options.paths,
            seed=options.seed,
            substeps=options.substeps if method.sde else None,
            # On a finite sum the optimizers draw true minibatches; the flag is for the SDE beside them.
            noise=options.noise if method.sde or not (problem.loss.finite_sum and some_sde) else None,
            sampling="replacement" if method.sde and some_discrete else options.sampling,
            init_norm=1.0,
            lags=options.lags or (),
            noise_from=noise_from,
            epochs_known=options.epochs != "auto",
        )
        for method in methods
    ]
    if options.epochs == "auto":
        runs = [begin_of_search(run) for run in runs]
    start = start_norm(runs[0], options.init_norm)
    return [run.replace(start_norm=start) for run in runs]


def _noise_from(options: Any) -> int | None:
    """Substeps of the finer run: a number, or what its record says.

    Raises
    ------
    BadInput
        If the record was made with another seed.
    """
    text = options.noise_from
    if text is None:
        return None
    if text.isdigit():
        return int(text)
    require(Path(text).is_file(), "noise_from", "a number of substeps or the record of a finer run", repr(text), "16")
    from sde_si.record import configuration, load

    made = configuration(load(text))
    require(
        made["seed"] == options.seed, "noise_from", f"a record made with seed {options.seed}", f"seed {made['seed']}"
    )
    return int(made["substeps"])


def _theory(options: Any, runs: list[Run]) -> int:
    from sde_si.comparison import rows
    from sde_si.simulate import report
    from sde_si.theory import predict

    records = {run.method.name: predict(run) for run in runs}
    tables = {name: rows(record) for name, record in records.items()}
    if options.json:
        results = {name: report.result_json(record, tables[name], record=None) for name, record in records.items()}
        for run in runs:
            results[run.method.name]["weight_norm_initial"] = run.start_norm
        emit(_top(options, runs, None) | {"results": results})
        return DONE
    report.print_tables(tables, _title(runs[0]), [line for n, r in records.items() for line in report.lines(n, r)])
    return DONE


def _dry_run(options: Any, runs: list[Run], threads: int) -> int:
    from sde_si.simulate import cost
    from sde_si.simulate.store import announce_compilation

    announce_compilation(options.quiet)
    estimates = {run.method.name: cost.estimate(run, threads) for run in runs}
    if options.json:
        emit(_top(options, runs, None) | {"dry_run": estimates})
        return DONE
    for name, found in estimates.items():
        print(
            f"{name}: {found['steps']} steps ({found['substeps']} substeps) on {found['paths']} paths, "
            f"{human(found['memory_bytes'])}, about {lasting(found['seconds'])} on {threads} threads"
        )
    return DONE


def _top(options: Any, runs: list[Run], figure: Path | None) -> dict[str, Any]:
    run = runs[0]
    arrays = run.arrays
    problem = {
        "loss": run.problem.loss.name,
        "dim": arrays.dim,
        "groups": arrays.groups,
        "N": run.hyperparameters.N,
        "noise_trace": run.noise_trace,
        "summary": run.problem.loss.summary,
    }
    problem["noise_trace"] = problem["noise_trace"] if math.isfinite(problem["noise_trace"]) else None
    return {"hyperparameters": block_of(options, runs), "problem": problem, "figure": str(figure) if figure else None}


def _simulate(options: Any, runs: list[Run], threads: int) -> int:
    from sde_si.comparison import rows
    from sde_si.estimators import window_of
    from sde_si.record import diverged
    from sde_si.simulate import report
    from sde_si.simulate.check import step_bias
    from sde_si.simulate.store import Store

    store = Store(Path(options.out), threads, options.fresh, options.quiet, options.save_states)
    store.check_writable()
    outcomes, tables = {}, {}
    for run in runs:
        name = run.method.name
        found = store.obtain(run, until_equilibrium=options.epochs == "auto", target_error=target_of(options))
        bias = step_bias(store, found.run, window_of(found.record)) if options.check_step and run.method.sde else None
        outcomes[name], tables[name] = found, rows(found.record, bias)
    figure = None
    if not options.no_figure:
        from sde_si.figures import overlay_figure

        figure = overlay_figure({name: o.record for name, o in outcomes.items()}, store.folder)
    dead = [{"method": name, **one} for name, o in outcomes.items() for one in diverged(o.record)]
    if options.json:
        results = {
            name: report.result_json(o.record, tables[name], record=str(o.path), reused=o.reused, seconds=o.seconds)
            for name, o in outcomes.items()
        }
        top = _top(options, [o.run for o in outcomes.values()], figure)
        emit(top | {"results": results} | ({"diverged": dead} if dead else {}))
        return DIVERGED if dead else DONE
    below = []
    for name, o in outcomes.items():
        below += report.lines(name, o.record, "loaded" if o.reused else f"simulated in {lasting(o.seconds)}")
    below += [f"record: {o.path}" for o in outcomes.values()] + ([f"figure: {figure}"] if figure else [])
    report.print_tables(tables, _title(next(iter(outcomes.values())).run), below)
    return DIVERGED if dead else DONE


def _title(run: Run) -> str:
    hp = run.hyperparameters
    return (
        f"{run.problem.loss.name}, dim {run.arrays.dim}: N={hp.N} B={hp.B} lr={hp.lr:g} wd={hp.wd:g} "
        f"momentum={hp.momentum:g} schedule={hp.schedule}; tuning factor {hp.tuning_factor:.4g} per epoch"
    )
