"""What a user did wrong, said so that it can be mended; and the exit codes of every command."""

from __future__ import annotations

from collections.abc import Iterable

DONE = 0
CLAIM_FAILED = 1
BAD_INPUT = 2
DIVERGED = 3
DISK = 4
UNFINISHED = 5


class BadInput(ValueError):
    """An argument that is refused before any work begins.

    Parameters
    ----------
    name : str
        The argument as the user knows it (a Python keyword; the command line shows it as a flag).
    expected, got : object
        What would have been right, and what was given.
    advice : str, optional
        A next step that works.
    """

    def __init__(self, name: str, expected: str, got: object, advice: str = "") -> None:
        self.name, self.expected, self.got, self.advice = name, expected, got, advice
        super().__init__(self.message(name))

    def message(self, label: str) -> str:
        """The one-line message, with `label` for the argument's name."""
        text = f"{label}: expected {self.expected}, got {self.got}"
        return f"{text}; try {self.advice}" if self.advice else text


class DiskProblem(OSError):
    """A file or folder that cannot be read or written; nothing half-written is left behind."""


class Damaged(DiskProblem):
    """A file that can be read, but does not hold what was written under its name.

    Parameters
    ----------
    what : str
        The file, and what is wrong with it.
    advice : str, optional
        A next step that works.
    """

    def __init__(self, what: str, advice: str = "") -> None:
        self.what, self.advice = what, advice
        super().__init__(f"{what}; {advice}" if advice else what)


def require_known(
    name: str, value: object, known: Iterable[str], *, also: str = "", listed: str = "", advice: str = ""
) -> None:
    """Raise `BadInput` unless `value` is one of the `known` names; the advice is the nearest name, if one is near.

    Parameters
    ----------
    name : str
        Of the argument.
    value : object
    known : iterable of str
    also : str
        What is allowed beside the names, in words.
    listed : str
        In the place of all the names, where they are too many.
    advice : str
        A name to try if none is near; by default the first.
    """
    names = list(known)
    if value not in names:
        from difflib import get_close_matches

        typed = {name.lower(): name for name in reversed(names)}  # ADAMW is meant as adamw
        near = [typed[found] for found in get_close_matches(str(value).lower(), typed, 1)]
        listed = listed or f"one of {', '.join(names)}{also and f', or {also}'}"
        raise BadInput(name, listed, repr(value), near[0] if near else advice or names[0])


def require(ok: bool, name: str, expected: str, got: object, advice: str = "") -> None:
    """Raise `BadInput` unless `ok`."""
    if not ok:
        raise BadInput(name, expected, got, advice)
