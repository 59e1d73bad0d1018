"""Command lines from dataclasses: comma lists, TOML files, and the same error message for every mistake."""

from __future__ import annotations

import dataclasses
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from sde_si.errors import BadInput, require

T = TypeVar("T")


def one(kind: Callable[[str], Any], metavar: str) -> Any:
    """A type for a flag of one value, which may be absent."""
    spec = _spec(lambda words: kind(words[0]), metavar)
    return Annotated[kind | None if isinstance(kind, type) else Any, spec]  # pyright: ignore


def comma(kind: Callable[[str], Any], metavar: str) -> Any:
    """A type for a flag of values separated by commas, as a tuple, which may be absent."""
    return Annotated[tuple[Any, ...] | None, _spec(lambda words: tuple(kind(w.strip()) for w in words[0].split(",")), metavar)]


def _spec(read: Callable[[list[str]], Any], metavar: str) -> Any:
    def show(value: Any) -> list[str]:
        return [",".join(map(str, value)) if isinstance(value, tuple) else str(value)]

    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1, metavar=metavar, instance_from_str=read, is_instance=lambda _: True, str_from_instance=show
    )


def flag(type_: Any, default: Any, help: str) -> tuple[Any, Any]:  # noqa: A002
    """Type and default of one field, with its help; the help of a flag that may be absent tells its default."""
    hint = "" if default is None or default is False else None
    return Annotated[type_, tyro.conf.arg(help=help, help_behavior_hint=hint)], default  # pyright: ignore


def options_class(name: str, fields: dict[str, tuple[Any, Any]], doc: str) -> type:
    """A frozen dataclass of flags."""
    made = [(key, type_, dataclasses.field(default=default)) for key, (type_, default) in fields.items()]
    cls = dataclasses.make_dataclass(name, made, frozen=True)
    cls.__doc__ = doc
    return cls


def parse(cls: type[T], prog: str, args: Sequence[str] | None, derived: frozenset[str] = frozenset()) -> T:
    """Read flags, over the values of ``--config FILE.toml`` if there is one.

    Raises
    ------
    BadInput
        If the file is missing, malformed, or has an unknown key. (Wrong flags end the process with code 2.)
    """
    words = list(sys.argv[1:] if args is None else args)
    base = cls(**read_config(cls, _config_file(words), derived))
    return tyro.cli(cls, prog=prog, args=words, default=base, description=cls.__doc__, use_underscores=False,
                    config=(tyro.conf.FlagCreatePairsOff,))  # fmt: skip


def _config_file(words: list[str]) -> str | None:
    for i, word in enumerate(words):
        if word == "--config" and i + 1 < len(words):
            return words[i + 1]
        if word.startswith("--config="):
            return word.partition("=")[2]
    return None


def read_config(cls: type, file: str | None, derived: frozenset[str]) -> dict[str, Any]:
    """The values of a TOML file, as the types of the options class; derived keys are passed over."""
    if file is None:
        return {}
    try:
        content = tomllib.loads(Path(file).read_text())
    except OSError as error:
        raise BadInput("config", "a TOML file that can be read", f"{file} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("config", "a TOML file", f"{file} ({error})") from error
    fields = {field.name: field for field in dataclasses.fields(cls)}
    values = {}
    for key, value in content.items():
        if key in derived:
            continue
        require(key in fields, "config", f"keys among {', '.join(fields)}", f"{key!r} in {file}")
        values[key] = _typed(key, value, fields[key].default, file)
    return values


def _typed(key: str, value: Any, default: Any, file: str) -> Any:
    """Lists become tuples; a whole number may stand for a real one; nothing else is converted."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    same = default is None or isinstance(value, type(default)) or isinstance(default, tuple)
    number_or_word = {type(default), type(value)} <= {int, str}
    ok = same or (number_or_word and key in ("epochs", "init_norm"))
    require(ok, key, f"a {type(default).__name__} in {file}", repr(value))
    return (value,) if isinstance(default, tuple) and not isinstance(value, tuple) else value
