"""``sde-si tune suggest``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any

import tyro

from sde_si.errors import DONE, require
from sde_si.hyperparameters import check_count, check_number
from sde_si.options import FLOAT, INT, JSON, TEXT, existing, flag, options_class, parse
from sde_si.terminal import emit, guarded, standing
from sde_si.tune.flags import print_all

_RECORD = Annotated[str, tyro.conf.arg(metavar="RECORD", help="a record of simulate, train or a monitor")]
Options = options_class(
    "Options",
    {
        "record": (tyro.conf.Positional[_RECORD], ""),
        "like": flag(TEXT, None, "a record whose angle per epoch is to be had"),
        "angle_epoch": flag(FLOAT, None, "the angle per epoch to be had, degrees"),
        "B": flag(INT, None, "batch size, where the record does not say it (a monitor's)"),
        "json": JSON,
    },
    "Advice from a measured record: a number, an interval and the measurement, or why there is none.",
)


def main(args: Sequence[str] | None = None) -> int:
    """``sde-si tune suggest``; returns the exit code."""
    return guarded(lambda: _main(args), standing(record="RECORD"))


def _main(args: Sequence[str] | None) -> int:
    options: Any = parse(Options, "sde-si tune suggest", args)
    require(bool(options.record), "record", "a record", "none", "suggest runs/train-sgd-....nc")
    require(options.like is None or options.angle_epoch is None, "like", "another run or an angle", "both")
    existing("like", options.like)
    existing("record", options.record)
    if options.B is not None:
        check_count("B", options.B, advice="128")
    angle = options.angle_epoch
    if angle is not None:
        check_number("angle_epoch", angle, above=0, below=90, advice="22")
    from sde_si.tune.advice import suggest
    from sde_si.tune.suggestion import to_table

    found = suggest(
        options.record, like=options.like, angle_epoch=None if angle is None else math.radians(angle), B=options.B
    )
    if options.json:
        emit({"record": options.record, "suggestions": [one.to_json() for one in found]})
    else:
        print_all(options.record, [to_table(found)], [str(one) for one in found])
    return DONE
