"""``sde-si tune explain``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sde_si.errors import DONE, require
from sde_si.hyperparameters import HyperParameters
from sde_si.options import FLOAT, INT, JSON, NO_FIGURE, OUT, TEXT, flag, options_class, parse
from sde_si.schedules import SCHEDULES, Timetable
from sde_si.terminal import emit, guarded
from sde_si.tune.flags import BETA2, HYPER, OPTIMIZER, print_all

_HP = HyperParameters()
Options = options_class(
    "Options",
    {
        **HYPER,
        "epochs": flag(INT, _HP.epochs, "epochs"),
        "schedule": flag(TEXT, _HP.schedule, f"NAME:ARGS, several joined by +; names: {', '.join(SCHEDULES)}"),
        "optimizer": OPTIMIZER,
        "beta2": BETA2,
        "init_norm": flag(TEXT, "1eq", "length at the start; 0.3eq: times the equilibrium length of the first lr used"),
        "noise_trace": flag(FLOAT, None, "trace of the minibatch noise at the unit vector; then lengths are absolute"),
        "out": OUT,
        "no_figure": NO_FIGURE,
        "json": JSON,
    },
    "What a schedule will do: predicted angle per epoch, norm and effective LR, phase by phase.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si tune explain``; returns the exit code."""
    return guarded(lambda: _main(args))


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si tune explain", args)
    from sde_si.resolve import read_norm
    from sde_si.tune.effects import OPTIMIZERS, Gradients, find_optimizer, is_sgd

    find_optimizer(options.optimizer)
    users = [name for name in OPTIMIZERS if not is_sgd(name)]
    fits = options.beta2 is None or options.optimizer in users
    told = f"an optimizer that uses it ({', '.join(users)})"
    require(fits, "beta2", told, options.optimizer, f"--optimizer {users[0]}")
    names = ("N", "B", "lr", "wd", "momentum", "epochs", "schedule", "beta2")
    hp = HyperParameters(**{name: getattr(options, name) for name in names})
    Timetable(hp)
    length, multiple = read_norm(options.init_norm)
    require(multiple or options.noise_trace is not None, "init_norm",
            "a multiple of the equilibrium length (without --noise-trace absolute lengths mean nothing)",
            options.init_norm, f"{length:g}eq or --noise-trace 3")  # fmt: skip
    Gradients(B=hp.B, noise_trace=options.noise_trace)
    from sde_si.tune.course import explain

    found = explain(hp, optimizer=options.optimizer, init_norm=options.init_norm, noise_trace=options.noise_trace)
    content, figure = found.to_json(), None
    if not options.no_figure:
        from sde_si.tune.figures import save_figure

        figure = save_figure(found.figure(), "explain", content, Path(options.out))
    if options.json:
        emit(content | {"figure": str(figure) if figure else None})
        return DONE
    title = (
        f"{options.optimizer}: N={hp.N} B={hp.B} lr={hp.lr:g} wd={hp.wd:g} momentum={hp.momentum:g} "
        f"schedule={hp.schedule}; tuning factor {content['tuning_factor']:.4g} per epoch"
    )
    print_all(title, found.tables(),
              [*found.lines(), *([f"figure: {figure}"] if figure else [])])  # fmt: skip
    return DONE
