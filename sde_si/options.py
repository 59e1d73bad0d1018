"""Command lines from dataclasses: comma lists, TOML files, and the same error message for every mistake."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from sde_si.disk import NETCDF
from sde_si.errors import BadInput, require
from sde_si.terminal import as_flag

T = TypeVar("T")


def whole(text: str) -> int:
    """A whole number."""
    try:
        return int(text)
    except ValueError:
        msg = f"expected a whole number, got {text!r}"
        raise ValueError(msg) from None


def real(text: str) -> float:
    """A real number."""
    try:
        return float(text)
    except ValueError:
        msg = f"expected a number, got {text!r}"
        raise ValueError(msg) from None


def folder(text: str) -> str:
    """A folder's name; none would be taken for the present folder."""
    if not text.strip():
        msg = f"expected a folder, got {text!r}; try ."
        raise ValueError(msg)
    return text


def one(read: Callable[[str], Any], metavar: str) -> Any:
    """A type for a flag of one value."""
    return Annotated[Any, _spec(lambda words: read(words[0]), metavar)]


def comma(read: Callable[[str], Any], metavar: str) -> Any:
    """A type for a flag of values separated by commas, as a tuple."""
    return Annotated[Any, _spec(lambda words: tuple(read(w.strip()) for w in words[0].split(",")), metavar)]


def _show(value: Any) -> list[str]:
    return [",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)]


def _spec(read: Callable[[list[str]], Any], metavar: str) -> Any:
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1, metavar=metavar, instance_from_str=read, is_instance=lambda _: True, str_from_instance=_show
    )


INT, FLOAT, TEXT, FOLDER = one(whole, "INT"), one(real, "FLOAT"), one(str, "TEXT"), one(folder, "TEXT")


def flag(type_: Any, default: Any, help: str) -> tuple[Any, Any]:  # noqa: A002
    """Type and default of one field, with its help; the help of a flag that may be absent tells its default."""
    hint = "" if default is None or default is False else None
    return Annotated[type_, tyro.conf.arg(help=help, help_behavior_hint=hint)], default  # pyright: ignore[reportInvalidTypeForm]


JSON = flag(bool, False, "print one JSON object instead of the table")
QUIET = flag(bool, False, "no progress, no messages")
NO_FIGURE = flag(bool, False, "draw no figure")
OUT = flag(FOLDER, "./runs", "folder for records and figure")
EXECUTOR = flag(TEXT, "local", "local[:WORKERS], dask://HOST:PORT or slurm[:OPTION=VALUE,...]")
TIMEOUT = flag(FLOAT, None, "seconds that one run may take [default: no limit]")


def names_in(words: Sequence[str]) -> list[str]:
    """Names that stand on the command line without a flag, each once, apart or with commas between them.

    Raises
    ------
    BadInput
        If there are words, but no name.
    """
    names = [name for word in words for part in word.split(",") if (name := part.strip())]
    require(bool(names) or not words, "names", "names with commas between them", repr(" ".join(words)), "--list")
    return list(dict.fromkeys(names))


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
    configured = read_config(cls, _config_file(words), derived)
    options: Any = {"prog": prog, "description": cls.__doc__, "config": (tyro.conf.FlagCreatePairsOff,)}
    base = tyro.cli(cls, args=configured, **options) if configured else cls()
    return tyro.cli(cls, args=words, default=base, **options)


def written(settings: Mapping[str, Any]) -> list[str]:
    """The words of a command line for these settings; absent ones (None, False, empty lists) are left out."""
    words = []
    for name, value in settings.items():
        flag_ = as_flag(name)
        if isinstance(value, bool):
            words += [flag_] if value else []
        elif value is not None and value != [] and value != ():
            words += [flag_, *_show(value)]
    return words


def _config_file(words: list[str]) -> str | None:
    for i, word in enumerate(words):
        if word == "--config" and i + 1 < len(words):
            return words[i + 1]
        if word.startswith("--config="):
            return word.partition("=")[2]
    return None


def read_config(cls: type, file: str | None, derived: frozenset[str]) -> list[str]:
    """The flags that a TOML file stands for; derived keys are passed over.

    Raises
    ------
    BadInput
        If the file is missing, malformed, or has an unknown key.
    """
    if file is None:
        return []
    try:
        content = tomllib.loads(Path(file).read_text())
    except OSError as error:
        raise BadInput("config", "a TOML file that can be read", f"{file} ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadInput("config", "a TOML file", f"{file} ({error})") from error
    fields = {field.name: field for field in dataclasses.fields(cls)}
    words = []
    for key, value in content.items():
        if key in derived:
            continue
        require(key in fields, "config", f"keys among {', '.join(fields)}", f"{key!r} in {file}")
        if isinstance(fields[key].default, bool):
            require(isinstance(value, bool), key, f"true or false in {file}", repr(value))
        else:
            require(not isinstance(value, bool | dict), key, f"a number, text or list in {file}", repr(value))
        words += written({key: value})
    return words


def existing(name: str, file: str | None) -> None:
    """Refuse a record that does not exist or is another kind of file; a damaged one is a `DiskProblem` later.

    Raises
    ------
    BadInput
        About the argument `name`.
    """
    if file is None:
        return
    path = Path(file)
    try:
        exists, is_folder = path.exists(), path.is_dir()
    except OSError as error:  # too long a name, a folder that may not be searched
        raise BadInput(name, "a file that can be read", f"{file} ({error.strerror})") from error
    require(exists, name, "a file that exists", file, "the .nc file of a run")
    require(not is_folder, name, "a record (.nc)", f"the folder {file}", "one file of it")
    head = NETCDF  # an empty file is a record cut short
    with contextlib.suppress(OSError), path.open("rb") as opened:  # what cannot be read is told when it is loaded
        head = opened.read(len(NETCDF))
    other = "" if NETCDF.startswith(head) else f"{file}, which is another kind of file"
    require(not other, name, "a record (.nc)", other, "the .nc file of a run")
