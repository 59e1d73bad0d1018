"""What the actions of ``sde-si tune`` have in common on the command line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from typing import Annotated, Any, TypeVar

import tyro

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters
from sde_si.options import FLOAT, INT, TEXT, flag, real, whole

T = TypeVar("T")
_HP = HyperParameters()
READERS: dict[str, Callable[[str], Any]] = {"N": whole, "B": whole, "lr": real, "wd": real, "momentum": real}
OPTIMIZER = flag(TEXT, "sgd", "sgd, sgdw, adamw or lion")
BETA2 = flag(FLOAT, None, "second coefficient of adamw [default 0.999] and lion [default 0.99]")
HYPER: dict[str, tuple[Any, Any]] = {
    "N": flag(INT, _HP.N, "training samples"),
    "B": flag(INT, _HP.B, "batch size"),
    "lr": flag(FLOAT, _HP.lr, "learning rate per step"),
    "wd": flag(FLOAT, _HP.wd, "weight decay"),
    "momentum": flag(FLOAT, _HP.momentum, "momentum coefficient, or beta1"),
}


def named(name: str, type_: Any, default: Any, help: str) -> tuple[Any, Any]:  # noqa: A002
    """A flag whose name is no Python name."""
    return Annotated[type_, tyro.conf.arg(name=name, help=help, help_behavior_hint="")], default  # pyright: ignore[reportInvalidTypeForm]


def read_settings(flag: str, text: str | None, advice: str) -> dict[str, Any]:
    """``N=50000,B=256`` as numbers by name.

    Raises
    ------
    BadInput
    """
    expected = f"NAME=VALUE,... with names among {', '.join(READERS)}"
    if not text:
        raise BadInput(flag, expected, "nothing", advice)
    out: dict[str, Any] = {}
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        require(bool(equals) and name in READERS, flag, expected, repr(part), advice)
        require(name not in out, flag, "each name once", f"{name} twice", advice)
        try:
            out[name] = READERS[name](value)
        except ValueError as error:
            expected, typed = f"a number for {name}", advice
            if READERS[name] is whole:
                expected = f"a whole number for {name}"
                with contextlib.suppress(ValueError, OverflowError):
                    typed = f"{name}={round(real(value))}"
            raise BadInput(flag, expected, repr(value), typed) from error
    return out


def under(flag: str, make: Callable[[], T], advice: str = "") -> T:
    """What `make` gives; what it refuses is called by the flag that it came from."""
    try:
        return make()
    except BadInput as error:
        if error.name not in (*READERS, "target"):
            raise
        raise BadInput(flag, f"{error.name}: {error.expected}", error.got, advice or error.advice) from error


def print_all(title: str, tables: Iterable[Any], lines: Iterable[str]) -> None:
    """Title, tables and lines on stdout."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    for table in tables:
        console.print(table)
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
