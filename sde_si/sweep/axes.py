"""The axes of a sweep: products, lists that go together, explicit runs, seeds; points are made one at a time."""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import check_count, check_number
from sde_si.sweep.job import plain

SOLVABLE = ("lr", "wd", "momentum", "N", "B")


@dataclass(frozen=True)
class Axis:
    """One dimension of the sweep: one setting, or several that go together.

    Attributes
    ----------
    name : str
        The dimension's name in the collected data.
    names : tuple of str
        The settings that it changes.
    values : sequence of tuple
        One tuple of their values for each point.
    """

    name: str
    names: tuple[str, ...]
    values: Sequence[tuple[Any, ...]]


_EXAMPLE = "[0.1, 0.2] or {log = [0.01, 1, 5]}"


def values_of(name: str, given: Any, advice: str = _EXAMPLE) -> list[Any]:
    """The values of one axis: a list, or ``{linear = [first, last, count]}``, ``{log = ...}``, ``{range = ...}``.

    Raises
    ------
    BadInput
        If it is neither, empty, or names a value twice.
    """
    if isinstance(given, Mapping):
        require(len(given) == 1, name, "one of linear, log, range", sorted(given), advice)
        [(kind, numbers)] = given.items()
        require(kind in _SPACINGS, name, "one of linear, log, range", repr(kind), advice)
        values = _SPACINGS[kind](name, numbers)
    else:
        values = list(given) if isinstance(given, list | tuple | range) or hasattr(given, "tolist") else None
        if values is None:
            raise BadInput(name, "a list of values", repr(given), advice)
    values = [plain(name, value) for value in values]
    require(len(values) > 0, name, "at least one value", "an empty list", advice)
    kinds = collections.Counter(map(repr, values))
    (common, times), *_ = kinds.most_common(1)
    require(times == 1, name, "each value once", f"{common} {times} times", f"the list with one {common}")
    return values


def _spaced(name: str, numbers: Any) -> tuple[float, float, int]:
    ok = isinstance(numbers, list | tuple) and len(numbers) == 3
    require(ok, name, "[first, last, count]", numbers, "[0.01, 1, 5]")
    first, last, count = numbers
    for end in (first, last):
        check_number(name, end, advice="[0.01, 1, 5]")
    check_count(name, count, least=2, advice="[0.01, 1, 5]")
    return float(first), float(last), count


def _linear(name: str, numbers: Any) -> list[Any]:
    first, last, count = _spaced(name, numbers)
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def _log(name: str, numbers: Any) -> list[Any]:
    first, last, count = _spaced(name, numbers)
    require(first > 0 and last > 0, name, "positive ends of a logarithmic axis", numbers, "[0.01, 1, 5]")
    inner = [first * (last / first) ** (i / (count - 1)) for i in range(1, count - 1)]
    return [first, *inner, last]


def _range(name: str, numbers: Any) -> list[Any]:
    ok = isinstance(numbers, list | tuple) and 1 <= len(numbers) <= 3 and all(isinstance(n, int) for n in numbers)
    ok = ok and (len(numbers) < 3 or numbers[2] != 0)
    require(ok, name, "one to three whole numbers, as Python's range", numbers, "[0, 8]")
    return list(range(*numbers))


_SPACINGS = {"linear": _linear, "log": _log, "range": _range}


def make_axes(
    grid: Mapping[str, Any],
    zipped: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    seeds: int | Sequence[int] | None,
) -> list[Axis]:
    """All axes: listed runs first, then what is zipped, the grid in the order given, and seeds last.

    Raises
    ------
    BadInput
        If lists that go together differ in length, or a setting is on two axes.
    """
    axes = []
    if runs:
        names = tuple(runs[0])
        for one in runs:
            expected = f"the same settings in every run ({', '.join(names)})"
            odd = ", ".join(sorted(set(one) ^ set(names)))
            require(set(one) == set(names), "runs", expected, sorted(one), f"{odd} in all of them or in none")
        axes.append(Axis("run", names, [tuple(plain(name, one[name]) for name in names) for one in runs]))
    if zipped:
        lists = {name: _unchecked(name, given) for name, given in zipped.items()}
        lengths = {name: len(values) for name, values in lists.items()}
        advice = "as many values in each, or [grid] for every combination"
        require(len(set(lengths.values())) == 1, "zip", "lists of one length", lengths, advice)
        axes.append(Axis("_".join(lists), tuple(lists), list(zip(*lists.values(), strict=True))))
    for name, given in grid.items():
        axes.append(Axis(name, (name,), [(value,) for value in values_of(name, given)]))
    if seeds is not None:
        if isinstance(seeds, int):
            check_count("seeds", seeds, advice="8, or [0] for the one seed 0")
            seeds = range(seeds)
        axes.append(Axis("seed", ("seed",), [(value,) for value in values_of("seeds", seeds, "8, or [0, 1, 2]")]))
    names = [name for axis in axes for name in axis.names]
    twice = sorted({name for name in names if names.count(name) > 1})
    advice = "taking it out of [grid], [zip], [[runs]] or seeds"
    require(not twice, "grid", "each setting on one axis", f"{', '.join(twice)} on two", advice)
    return axes


def _unchecked(name: str, given: Any) -> list[Any]:
    """A list that goes together with others may repeat its values."""
    if isinstance(given, Mapping):
        return values_of(name, given)
    require(isinstance(given, list | tuple), name, "a list of values", repr(given), "[0.1, 0.2]")
    return [plain(name, value) for value in given]


def count(axes: Sequence[Axis]) -> int:
    """Number of points."""
    return math.prod(len(axis.values) for axis in axes)


def points(axes: Sequence[Axis], first: int = 0) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Index along every axis and settings of each point, one at a time; the last axis varies fastest.

    They begin with number `first` and go round.
    """

    def every() -> Iterator[tuple[int, ...]]:
        return itertools.product(*(range(len(axis.values)) for axis in axes))

    for index in itertools.chain(itertools.islice(every(), first, None), itertools.islice(every(), first)):
        point: dict[str, Any] = {}
        for axis, i in zip(axes, index, strict=True):
            point |= dict(zip(axis.names, axis.values[i], strict=True))
        yield index, point


def solve_tuning_factor(settings: dict[str, Any], target: str, *, decoupled: bool) -> dict[str, Any]:
    """Replace `tuning_factor` by the setting `target` that it fixes.

    The tuning factor is N lr wd / (B (1 - momentum)) per epoch (Yun et al., eq. 27), without 1/(1 - momentum) for
    decoupled weight decay (theory.md 9.5).

    Raises
    ------
    BadInput
        If `target` cannot be solved for, is given as well, or does not come out valid.
    """
    known = ", ".join(SOLVABLE)
    require(target in SOLVABLE, "solve_for", f"what tuning_factor fixes: one of {known}", repr(target or None), "wd")
    given = {name for name in SOLVABLE if settings.get(name) is not None}
    advice = solve_for_advice(target, given)
    require(target not in given, "solve_for", f"no {target} beside tuning_factor", settings.get(target), advice)
    factor = settings["tuning_factor"]
    check_number("tuning_factor", factor, above=0, advice="0.2")
    from sde_si.hyperparameters import HyperParameters

    have = {name: settings.get(name, getattr(HyperParameters(), name)) for name in SOLVABLE if name != target}
    for name, value in have.items():
        check_number(name, value, **_RANGES[name])
    if "wd" in have:
        advice = f'5e-4, or solve_for = "wd" instead of "{target}"'
        require(have["wd"] > 0, "wd", f"a weight decay > 0, as {target} follows from tuning_factor", have["wd"], advice)
    N, B, lr, wd = (have.get(name, 1) for name in ("N", "B", "lr", "wd"))
    keep = 1.0 if decoupled else 1 - have.get("momentum", 0.0)
    if target == "momentum":
        require(not decoupled, "solve_for", "lr, wd, N or B for decoupled weight decay", "momentum", "wd")
        value = _momentum(factor, N * lr * wd / B)
    elif target == "B":
        value = _ratio(N * lr * wd, keep * factor)
    else:
        value = _ratio(factor * B * keep, N * lr * wd)
    if target in ("N", "B"):
        value = _whole(target, value, factor)
    return {key: one for key, one in settings.items() if key != "tuning_factor"} | {target: value}


_RANGES: dict[str, dict[str, Any]] = {
    "N": {"above": 0, "advice": "50000"},
    "B": {"above": 0, "advice": "128"},
    "lr": {"above": 0, "advice": "0.1"},
    "wd": {"least": 0, "advice": "5e-4"},
    "momentum": {"least": 0, "below": 1, "advice": "0.9"},
}


def solve_for_advice(target: str, given: Collection[str]) -> str:
    """How to mend a setting that is given and solved for as well."""
    other = next((f', or solve_for = "{name}"' for name in ("wd", *SOLVABLE) if name not in given), "")
    return f"leaving {target} out{other}"


def _ratio(above: float, below: float) -> float:
    return above / below if below else math.inf  # products of very small numbers can vanish


def _momentum(factor: float, least: float) -> float:
    """The momentum with this tuning factor, `least` being that of momentum 0."""
    value = 1 - least / factor
    expected = f"at least {least:.6g} (that of momentum 0)"
    require(
        value >= -1e-12, "tuning_factor", expected, factor, f"{2 * least:.6g} (momentum 0.5), or a smaller lr or wd"
    )
    require(
        value < 1, "tuning_factor", "one that a momentum below 1 has", factor, f"{1000 * least:.6g} (momentum 0.999)"
    )
    return value if value > 1e-12 else 0.0  # what rounding leaves of momentum 0


def _whole(target: str, value: float, factor: float) -> int:
    """N or B as a whole number; where it is none, the two tuning factors beside it are named."""
    below = math.floor(value) if value < math.inf else 1
    # N grows with the tuning factor, B falls
    factors = {
        one: factor * one / value if target == "N" else factor * value / one for one in (below, below + 1) if one
    }
    advice = " or ".join(f"{at:.12g} ({target} = {one})" for one, at in factors.items())
    whole = 0 < value < math.inf and abs(value - round(value)) <= 1e-9 * value
    require(whole, "tuning_factor", f"values with a whole {target}", f"{factor} ({target} = {value:.6g})", advice)
    return round(value)
