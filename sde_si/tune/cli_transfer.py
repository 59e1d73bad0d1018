"""``sde-si tune transfer``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sde_si.errors import DONE, require
from sde_si.hyperparameters import HyperParameters, check_count
from sde_si.options import FLOAT, INT, JSON, TEXT, existing, flag, options_class, parse
from sde_si.terminal import emit, guarded
from sde_si.tune.flags import BETA2, OPTIMIZER, named, print_all, read_settings, under

FROM = "N=50000,B=256,lr=0.1,wd=1e-4,momentum=0.9"
TO = "N=12500,B=128"
Options = options_class(
    "Options",
    {
        "source": named("from", TEXT, None, f"the tuned settings: {FROM}"),
        "to": flag(TEXT, None, f"what is fixed of the new ones: {TO}; the rest is free"),
        "optimizer": OPTIMIZER,
        "beta2": BETA2,
        "epochs": flag(INT, None, "epochs of the new run: its phases are held against the time to equilibrium"),
        "schedule": flag(TEXT, None, "schedule of the new run; needs --epochs [default constant]"),
        "signal": flag(FLOAT, None, "measured at the tuned settings: squared mean gradient G at the unit vector"),
        "noise_trace": flag(FLOAT, None, "measured at the tuned settings: trace tau of the minibatch noise"),
        "record": flag(TEXT, None, "take signal and noise trace from this record of the tuned run"),
        "json": JSON,
    },
    "Settings for another N, B, lr, wd or momentum that keep the tuning factor N lr wd/(B (1 - momentum)).",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si tune transfer``; returns the exit code."""
    return guarded(lambda: _main(args))


def source_of(options: Any) -> HyperParameters:
    """The tuned settings.

    Raises
    ------
    BadInput
    """
    given = read_settings("from", options.source, FROM)
    from sde_si.tune.effects import is_sgd

    coupled = is_sgd(options.optimizer)
    needed = ["N", "B", "lr", "wd", *(["momentum"] if coupled else [])]
    fits = options.beta2 is None or not coupled
    require(fits, "beta2", "an optimizer that uses it (adamw, lion)", options.optimizer, "--optimizer adamw")
    missing = [name for name in needed if name not in given]
    require(not missing, "from", f"{', '.join(needed)}", f"no {', '.join(missing)}", FROM)
    values: dict[str, Any] = {"momentum": 0.9, **given, "beta2": options.beta2}
    hp = under("from", lambda: HyperParameters(**values), FROM)
    require(hp.wd > 0, "from", "weight decay to transfer (without it there is no equilibrium)", "wd=0", FROM)
    return hp


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si tune transfer", args)
    from sde_si.tune.effects import find_optimizer

    find_optimizer(options.optimizer)
    source, target = source_of(options), read_settings("to", options.to, TO)
    known = options.schedule is None or options.epochs is not None
    require(known, "epochs", "the epochs of the new run beside --schedule", "none", "--epochs 300")
    if options.epochs is not None:
        check_count("epochs", options.epochs, advice="300")
    measured = {"signal": options.signal, "noise_trace": options.noise_trace}
    if options.record is not None:
        both = options.signal is not None or options.noise_trace is not None
        require(not both, "record", "either a record or --signal and --noise-trace", "both", "--record FILE.nc")
        existing("record", options.record)
        from sde_si.tune.evidence import gradients_of, record_of_run

        measured = gradients_of(record_of_run(options.record), source, options.optimizer)
    from sde_si.tune.settings import transfer

    found = under(
        "to",
        lambda: transfer(
            source, optimizer=options.optimizer, epochs=options.epochs, schedule=options.schedule, **measured, **target
        ),
    )
    if options.json:
        emit(found.to_json())
    else:
        print_all(f"{options.optimizer}: tuning factor {found.tuning_factor:.6g} per epoch", [found.to_table()],
                  found.lines())  # fmt: skip
    return DONE
