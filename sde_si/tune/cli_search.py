"""``sde-si tune search``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sde_si.errors import DONE, BadInput, require
from sde_si.hyperparameters import HyperParameters
from sde_si.options import (
    EXECUTOR,
    INT,
    JSON,
    OUT,
    QUIET,
    TEXT,
    TIMEOUT,
    comma,
    flag,
    options_class,
    parse,
    real,
    whole,
)
from sde_si.terminal import emit, guarded
from sde_si.tune.flags import HYPER, OPTIMIZER, print_all

FACTORS = "0.01:1:8"
Options = options_class(
    "Options",
    {
        "command": flag(
            TEXT,
            None,
            '"python train.py --wd {wd} --lr {lr} --N {N} --B {B} --seed {seed}"; JSON in its last line or in {out}',
        ),
        "function": flag(TEXT, None, "path/file.py:name instead: name(N, B, lr, wd, momentum, seed)"),
        "metric": flag(TEXT, "value", "number in the command's last line (dotted name) or in what the function gives"),
        "minimize": flag(bool, False, "less is better"),
        "tuning_factors": flag(TEXT, FACTORS, "LO:HI:COUNT, evenly spaced in the log, or A,B,..."),
        "full_N": flag(INT, None, "samples of the whole data set"),
        **HYPER,
        "N": flag(INT, None, "samples of the subset"),
        "batches": flag(comma(whole, "A,B,..."), None, "batch sizes to search [default: --B]"),
        "solve_for": flag(TEXT, "wd", "wd or lr: what makes the tuning factor"),
        "optimizer": OPTIMIZER,
        "seeds": flag(INT, 3, "runs of a point"),
        "rounds": flag(INT, 1, "refinements after the first points"),
        "sampler": flag(TEXT, "grid", "grid, or optuna (needs optuna)"),
        "no_early_stop": flag(bool, False, "give every point every seed"),
        "executor": EXECUTOR,
        "timeout": TIMEOUT,
        "out": OUT,
        "json": JSON,
        "quiet": QUIET,
    },
    "Search the tuning factor on a subset of the data; settings for all of it. Killed, the same command goes on.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si tune search``; returns the exit code."""
    return guarded(lambda: _main(args))


def read_factors(text: str) -> list[float]:
    """``LO:HI:COUNT`` or ``A,B,...``.

    Raises
    ------
    BadInput
    """
    expected = "LO:HI:COUNT with 0 < LO < HI and COUNT >= 3, or three or more numbers A,B,..."
    try:
        if ":" not in text:
            return sorted(real(word) for word in text.split(","))
        low, high, count = text.split(":")
        first, last, points = real(low), real(high), whole(count)
    except ValueError as error:
        raise BadInput("tuning_factors", expected, repr(text), FACTORS) from error
    require(0 < first < last < 1e100 and 3 <= points <= 1000, "tuning_factors", expected, repr(text), FACTORS)
    return [first * (last / first) ** (i / (points - 1)) for i in range(points)]


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si tune search", args)
    factors = read_factors(options.tuning_factors)
    advice = '--command "python train.py --wd {wd} --N {N} --seed {seed}"'
    one = (options.command is None) != (options.function is None)
    require(one, "command", "a command or a function", "both" if options.command else "none", advice)
    for name in ("N", "full_N"):
        require(getattr(options, name) is not None, name, "a number of samples", "none", "512")
    subset = HyperParameters(N=options.N, B=options.B, lr=options.lr, wd=options.wd, momentum=options.momentum)
    from sde_si.tune.hunt import search

    names = ("command", "full_N", "solve_for", "optimizer", "metric", "seeds", "rounds", "sampler", "out",
             "executor", "timeout", "quiet")  # fmt: skip
    found = search(
        options.function, subset=subset, tuning_factors=factors, batches=options.batches or (),
        maximize=not options.minimize,
        stop_early=not options.no_early_stop, **{name: getattr(options, name) for name in names},
    )  # fmt: skip
    if options.json:
        emit(found.to_json())
        return DONE
    print_all(
        f"{len(found.trials)} points on {subset.N} of {options.full_N} samples", [found.to_table()], found.lines()
    )
    print_all("settings for the whole data set", [found.settings.to_table()], found.settings.lines())
    return DONE
