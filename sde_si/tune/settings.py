"""Hyperparameters for another data set size and batch: the ways to keep the tuning factor, and what each does."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters, check_number
from sde_si.schedules import Timetable
from sde_si.sweep.axes import SOLVABLE, solve_tuning_factor
from sde_si.tune.cautions import collect
from sde_si.tune.change import Caution, Change
from sde_si.tune.effects import Effect, Gradients, effects, factor_of, find_optimizer, is_decoupled

if TYPE_CHECKING:
    from rich.table import Table

Settings = Mapping[str, Any]
KEPT = 1e-12  # relative distance of two tuning factors that are the same


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to keep the tuning factor.

    Attributes
    ----------
    change : str
        A key of `WAYS`; ``none`` where the target keeps it already.
    hyperparameters : HyperParameters
    effects : dict of Effect
        By quantity (`sde_si.quantities.SHOWN`): before and after.
    warnings : tuple of Caution
    """

    change: str
    hyperparameters: HyperParameters
    effects: Mapping[str, Effect]
    warnings: tuple[Caution, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "change": self.change,
            "hyperparameters": five(self.hyperparameters),
            "effects": {name: effect.to_json() for name, effect in self.effects.items()},
            "warnings": [one.to_json() for one in self.warnings],
        }


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Settings for the target, and what is known of them.

    Attributes
    ----------
    source : HyperParameters
        The settings that were tuned.
    target : dict
        What the target fixes.
    optimizer : str
    tuning_factor : float
        Of the source, per epoch.
    options : tuple of Option
        The ways that are possible.
    left_out : dict of str
        The other ways, and why they are not.
    as_given : Option or None
        The target with everything else as in the source; None if that cannot be run.
    off : float or None
        Its tuning factor over that of the source.
    """

    source: HyperParameters
    target: Settings
    optimizer: str
    tuning_factor: float
    options: tuple[Option, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    as_given: Option | None = None
    off: float | None = None

    @property
    def kept(self) -> bool:
        """Whether the target keeps the tuning factor without any other change."""
        return self.off is not None and abs(self.off - 1) <= KEPT

    def __getitem__(self, change: str) -> Option:
        """The option of that name."""
        for option in self.options:
            if option.change == change:
                return option
        raise KeyError(self.left_out.get(change, change))

    def to_table(self) -> Table:
        """Quantities down, options across."""
        from sde_si.tune.show import options_table

        return options_table(self)

    def lines(self) -> list[str]:
        """What is said below the table: verdict, ways left out, warnings, sources."""
        from sde_si.tune.show import transfer_lines

        return transfer_lines(self)

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """Table and lines."""
        from rich.markup import escape

        yield self.to_table()
        yield from map(escape, self.lines())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "optimizer": self.optimizer,
            "source": five(self.source),
            "target": dict(self.target),
            "tuning_factor": self.tuning_factor,
            "kept": self.kept,
            "off": self.off,
            "options": [option.to_json() for option in self.options],
            "left_out": [{"change": change, "reason": why} for change, why in self.left_out.items()],
            "as_given": None if self.as_given is None else self.as_given.to_json(),
        }


def five(hp: HyperParameters) -> dict[str, Any]:
    """The hyperparameters of the tuning factor."""
    return {name: getattr(hp, name) for name in SOLVABLE_ORDER}


SOLVABLE_ORDER = tuple(sorted(SOLVABLE, key=("N", "B", "lr", "wd", "momentum").index))


def _one(name: str) -> Callable[[Settings, float, bool], Settings]:
    """Change one hyperparameter."""

    def way(settings: Settings, factor: float, decoupled: bool) -> Settings:
        rest = {key: value for key, value in settings.items() if key != name}
        return solve_tuning_factor(rest | {"tuning_factor": factor}, name, decoupled=decoupled)

    return way


def _both(settings: Settings, factor: float, decoupled: bool) -> Settings:
    """Change lr and wd by the same factor."""
    changed = _one("wd")(settings, factor, decoupled)["wd"] / settings["wd"]
    return {**settings, "lr": settings["lr"] * math.sqrt(changed), "wd": settings["wd"] * math.sqrt(changed)}


# name -> (hyperparameters that it changes, how); to add a way, write it here
WAYS: dict[str, tuple[tuple[str, ...], Callable[[Settings, float, bool], Settings]]] = {
    "wd": (("wd",), _one("wd")),
    "lr": (("lr",), _one("lr")),
    "both": (("lr", "wd"), _both),
    "momentum": (("momentum",), _one("momentum")),
    "B": (("B",), _one("B")),
}
LAST = ("momentum", "B")  # only where lr and wd are both given


def transfer(
    source: HyperParameters,
    *,
    optimizer: str = "sgd",
    epochs: int | None = None,
    schedule: str | None = None,
    signal: float | None = None,
    noise_trace: float | None = None,
    **target: Any,
) -> Transfer:
    """Settings for another N, B, lr, wd or momentum that keep the tuning factor of tuned ones.

    Parameters
    ----------
    source : HyperParameters
        The settings that were tuned; ``beta2`` of AdamW and Lion, too.
    optimizer : str
        ``sgd``, ``sgdw``, ``adamw`` or ``lion``.
    epochs, schedule : optional
        Of the run to come, where they are not the source's: its phases are held against the time to equilibrium.
    signal, noise_trace : float, optional
        Measured at the source: squared mean gradient G and trace tau of the minibatch noise, at the unit vector.
    **target
        Any of N, B, lr, wd, momentum; the others are free.

    Returns
    -------
    Transfer

    Raises
    ------
    BadInput
        For a wrong value, or if there is no weight decay to transfer.

    Examples
    --------
    >>> tuned = HyperParameters(N=50_000, B=256, lr=0.1, wd=1e-4, momentum=0.9)
    >>> found = transfer(tuned, N=12_500, B=128)
    >>> [(o.change, round(o.hyperparameters.lr, 6), round(o.hyperparameters.wd, 7)) for o in found.options]
    [('wd', 0.1, 0.0002), ('lr', 0.2, 0.0001), ('both', 0.141421, 0.0001414)]
    """
    find_optimizer(optimizer)
    require(source.wd > 0, "wd", "weight decay in the settings to transfer (without it there is no equilibrium)",
            source.wd, "1e-4")  # fmt: skip
    given = {name: target[name] for name in SOLVABLE_ORDER if target.get(name) is not None}
    unknown = [name for name in target if name not in SOLVABLE]
    require(not unknown, "target", f"any of {', '.join(SOLVABLE_ORDER)}", ", ".join(unknown), "N=12500, B=128")
    require(bool(given), "target", f"at least one of {', '.join(SOLVABLE_ORDER)}", "none", "N=12500")
    if "wd" in given:
        check_number("wd", given["wd"], above=0, advice="leave wd free")
    gradients = Gradients(B=source.B, signal=signal, noise_trace=noise_trace)
    plan = {"epochs": source.epochs if epochs is None else epochs, "schedule": schedule or source.schedule}
    scheduled = epochs is not None or plan["schedule"] != "constant"
    settings, factor, decoupled = five(source) | given, factor_of(source, optimizer), is_decoupled(optimizer)
    # What is given must be right; where lr wd comes out wrong because one of the two is free, a way may mend it.
    free = {} if {"lr", "wd"} <= given.keys() else {"wd": 0.0}
    Timetable(source.replace(**{**settings, **free}, **plan))

    def made(change: str, values: Settings) -> Option:
        after = source.replace(**values, **plan)
        Timetable(after)  # lr wd < 1 all along the schedule
        found = effects(source, after, optimizer, gradients)
        seen = Change(before=source, after=after, optimizer=optimizer, effects=found, gradients=gradients,
                      scheduled=scheduled)  # fmt: skip
        return Option(change=change, hyperparameters=after, effects=found, warnings=collect(seen))

    try:
        as_given = made("none", settings)
    except BadInput:
        as_given = None
    off = None if as_given is None else factor_of(as_given.hyperparameters, optimizer) / factor
    if as_given is not None and off is not None and abs(off - 1) <= KEPT:
        options, left_out = [as_given], {}
    else:
        options, left_out = _options(settings, given, factor, decoupled, made)
    return Transfer(
        source=source, target=given, optimizer=optimizer, tuning_factor=factor, options=tuple(options),
        left_out=left_out, as_given=as_given, off=off,
    )  # fmt: skip


def _options(
    settings: Settings, given: Settings, factor: float, decoupled: bool, made: Callable[[str, Settings], Option]
) -> tuple[list[Option], dict[str, str]]:
    """The ways that are possible, and why the others are not."""
    options, left_out = [], {}
    free = not {"lr", "wd"} <= given.keys()
    for change, (names, way) in WAYS.items():
        if change in LAST and free:
            continue
        fixed = [name for name in names if name in given]
        if fixed:
            left_out[change] = f"{' and '.join(fixed)} {'is' if len(fixed) == 1 else 'are'} given"
            continue
        try:
            options.append(made(change, way(settings, factor, decoupled)))
        except BadInput as error:
            left_out[change] = str(error)
    return options, left_out
