"""``sde-si tune lr-range``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sde_si.errors import DONE, require
from sde_si.options import EXECUTOR, FLOAT, INT, JSON, NO_FIGURE, OUT, QUIET, TEXT, TIMEOUT, flag, options_class, parse
from sde_si.terminal import emit, guarded
from sde_si.tune.flags import print_all

Options = options_class(
    "Options",
    {
        "command": flag(TEXT, None, 'a short training: "python train.py --lr {lr} --epochs 1"; its last line is JSON'),
        "metric": flag(TEXT, "loss", "the loss in that JSON; a list counts with its last number"),
        "start": flag(FLOAT, 1e-4, "smallest learning rate"),
        "stop": flag(FLOAT, 10.0, "largest learning rate"),
        "points": flag(INT, 16, "learning rates, each a run of its own from the same start"),
        "ramp": flag(TEXT, "exponential", "exponential or linear"),
        "seeds": flag(INT, 1, "runs at every learning rate, with {seed} in the command"),
        "executor": EXECUTOR,
        "timeout": TIMEOUT,
        "out": OUT,
        "no_figure": NO_FIGURE,
        "json": JSON,
        "quiet": QUIET,
    },
    "Learning-rate range test of a training command. For a torch model in memory: sde_si.tune.lr_range.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si tune lr-range``; returns the exit code."""
    return guarded(lambda: _main(args))


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si tune lr-range", args)
    advice = '"python train.py --lr {lr}"'
    require(bool(options.command), "command", "a training command with {lr}", "none", advice)
    require("{lr}" in options.command, "command", "a command with {lr}", repr(options.command), advice)
    from sde_si.tune.ramp_reading import learning_rates

    learning_rates(options.start, options.stop, options.points, options.ramp, name="points")
    from sde_si.tune.ramp_command import lr_range_command

    names = ("start", "stop", "points", "ramp", "metric", "seeds", "out", "executor", "timeout", "quiet")
    found = lr_range_command(options.command, **{name: getattr(options, name) for name in names})
    content, figure = found.to_json(), None
    if not options.no_figure:
        from sde_si.tune.figures import save_figure

        figure = save_figure(found.figure(), "lr-range", content, Path(options.out))
    if options.json:
        emit(content | {"figure": str(figure) if figure else None})
    else:
        print_all(options.command, [found.to_table()],
                  [*found.lines(), *([f"figure: {figure}"] if figure else [])])  # fmt: skip
    return DONE
