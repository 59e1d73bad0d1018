"""The predicted course of a run, as tables, lines, JSON and figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import finite, number
from sde_si.hyperparameters import HyperParameters
from sde_si.methods import METHODS
from sde_si.quantities import shown
from sde_si.tune.cautions import Caution
from sde_si.tune.effects import LENGTHS, OPTIMIZERS, factor_of
from sde_si.tune.phases import Phase

if TYPE_CHECKING:
    from rich.table import Table

Array = np.ndarray
ROWS = 16  # of the table of epochs


@dataclass(frozen=True)
class Stretch:
    """A phase, and how far it comes.

    Attributes
    ----------
    phase : Phase
    first, last : float or None
        Angle per epoch in its first and last epoch, radians.
    equilibrium : tuple of float or None
        The same at the equilibrium of the mean lr of these epochs.
    reached : int or None
        Epoch from which the angle stays within 2 % of equilibrium to the phase's end; None: it does not, or, where lr
        changes all the time, for less than half of the phase.
    """

    phase: Phase
    first: float | None
    last: float | None
    equilibrium: tuple[float | None, float | None]
    reached: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; angles in radians."""
        phase = self.phase
        return {
            "epochs": [phase.first, phase.last], "constant": phase.constant, "lr": [phase.lr, phase.last_lr],
            "momentum": phase.momentum, "B": phase.B, "tuning_factor": phase.tuning_factor,
            "relaxation_epochs": finite(phase.relaxation_epochs), "angle_first": self.first, "angle_last": self.last,
            "angle_equilibrium": self.equilibrium[1], "reached_epoch": self.reached,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """The predicted course of a run.

    Attributes
    ----------
    hyperparameters : HyperParameters
    optimizer : str
    relative : bool
        Whether norm and effective LR are in units of their equilibrium values at `first_lr`.
    first_lr : float
        The first that is used: of a warm-up, that of its first step above 0.
    course : dict of ndarray, shape (epochs,)
        `COURSE`, or `ADAPTIVE`, by epoch; nan where there is no closed form.
    equilibrium : dict of ndarray, shape (epochs,)
        The same if the mean lr of every epoch's steps went on for ever.
    paper : ndarray, shape (epochs,)
        Angle per epoch by Yun et al. eqs. 18, 27, radians.
    stretches : tuple of Stretch
    warnings : tuple of Caution
        Of a step so large that first order fails, and of changes after the last epoch.
    """

    hyperparameters: HyperParameters
    optimizer: str
    relative: bool
    first_lr: float
    course: Mapping[str, Array]
    equilibrium: Mapping[str, Array]
    paper: Array
    stretches: tuple[Stretch, ...]
    warnings: tuple[Caution, ...] = ()

    @property
    def followed(self) -> bool:
        """Whether there is a closed form under the schedule: else epochs have equilibrium values alone."""
        return not np.isnan(self.course["weight_norm"]).all()

    def tables(self) -> list[Table]:
        """By phase, and by epoch where there is something to tell."""
        return [self.to_table(), *([self.epochs_table()] if self.followed else [])]

    def to_table(self) -> Table:
        """One row a phase."""
        from sde_si.tune.show import plain_table

        angle = ["angle/epoch [deg]"] if self.followed else []
        head = ("lr", "momentum", "B", "tuning factor", "e-fold [epochs]", *angle, "equilibrium [deg]")
        # of a phase in which lr changes: at its largest lr, and the angles of its ends
        out = plain_table("epochs", [*head, "within 2 % of it"])
        for one in self.stretches:
            phase = one.phase
            lr = number(phase.lr) if phase.constant else f"{number(phase.lr)} .. {number(phase.last_lr)}"
            # Adaptive methods have no closed form under a schedule: then the relaxation alone decides.
            reached = "never" if one.reached is None else f"from epoch {one.reached}"
            factor = shown("angle_epoch").factor
            ideal = " .. ".join(_short(v, factor) for v in one.equilibrium[int(phase.constant) :])
            out.add_row(
                f"{phase.first}-{phase.last}", lr, number(phase.momentum), str(phase.B), _short(phase.tuning_factor),
                _short(phase.relaxation_epochs),
                *([f"{_short(one.first, factor)} .. {_short(one.last, factor)}"] if self.followed else []),
                ideal, reached,
            )  # fmt: skip
        return out

    def epochs_table(self) -> Table:
        """Some epochs: the ends of the phases and some in between."""
        from sde_si.tune.show import RELATIVE, plain_table

        star = RELATIVE if self.relative else ""
        titles = [shown(name).title + (star if name in LENGTHS else "") for name in self.course]
        out = plain_table("epoch", [*titles, "angle per epoch, papers [deg]"])
        factor = shown("angle_epoch").factor
        for e in self.some_epochs():
            cells = [_short(self.course[name][e], shown(name).factor) for name in self.course]
            out.add_row(str(e + 1), *cells, _short(self.paper[e], factor))
        return out

    def some_epochs(self) -> list[int]:
        """Epochs (from 0) that the table shows."""
        total = self.hyperparameters.epochs
        ends = {e - 1 for one in self.stretches[:ROWS] for e in (one.phase.first, one.phase.last)}
        left = max(0, ROWS - len(ends))
        return sorted(ends | set(np.linspace(0, total - 1, left).round().astype(int).tolist()))

    def lines(self) -> list[str]:
        """What is said below the tables."""
        out = [f"warning: {one.text}" for one in self.warnings]
        for one in self.stretches:
            phase = one.phase
            if one.reached is None and phase.constant:
                ideal, how = one.equilibrium[1], ""
                if one.last and ideal:
                    share = f"{100 * one.last / ideal:.3g} % of it"
                    how = f"; the angle comes to {_degrees(one.last)} of {_degrees(ideal)} degrees, {share}"
                out.append(
                    f"warning: epochs {phase.first}-{phase.last}: equilibrium is not reached in {phase.epochs} epochs, "
                    f"the norm needs {_short(phase.relaxation_epochs)} to relax by e{how} (theory.md 10.7)"
                )
        if not self.followed:
            out.append(
                f"{self.optimizer}: no closed form under a schedule, so no table of epochs: equilibrium values and "
                "times alone"
            )
        if any(not one.phase.constant for one in self.stretches):
            out.append("equilibrium and papers: of the mean lr that the steps of an epoch use")
        if self.relative:
            out.append(
                f"* relative to the equilibrium of the first lr that is used, {_short(self.first_lr)}: the size of "
                "gradients is not known (--noise-trace)"
            )
        method = METHODS[OPTIMIZERS[self.optimizer]]
        known = not method.extras
        source = f"theory.md 9.10, {method.prediction.removeprefix('theory.md ')}" if known else method.prediction
        out.append(f"{method.summary}: {source}{'; papers: Yun et al. eqs. 18, 27' if known else ''}")
        out.append("noise with replacement and no confinement; a network in a basin turns less (theory.md 1.9, 18)")
        return out

    def __rich_console__(self, console: Any, options: Any) -> Any:
        """Tables and lines."""
        from rich.markup import escape

        yield from self.tables()
        yield from map(escape, self.lines())

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; angles in radians."""
        hp = self.hyperparameters
        shared = ("N", "B", "lr", "wd", "momentum", "epochs", "schedule", "steps_per_epoch")
        epochs: dict[str, Any] = {"epoch": list(range(1, hp.epochs + 1))}
        epochs |= {name: [finite(v) for v in values] for name, values in self.course.items()}
        epochs |= {f"{name}_equilibrium": [finite(v) for v in values] for name, values in self.equilibrium.items()}
        return {
            "optimizer": self.optimizer,
            "hyperparameters": {name: getattr(hp, name) for name in shared},
            "tuning_factor": factor_of(hp, self.optimizer),
            "relative": self.relative,
            "first_lr": self.first_lr,
            "warnings": [one.to_json() for one in self.warnings],
            "phases": [one.to_json() for one in self.stretches],
            "epochs": epochs | {"angle_epoch_paper": [finite(v) for v in self.paper]},
        }

    def figure(self) -> Any:
        """Angle per epoch, norm and effective LR against epochs (matplotlib Figure)."""
        from sde_si.tune.figures import course_figure

        return course_figure(self)


def _short(value: float | None, factor: float = 1.0) -> str:
    return number(finite(float(f"{value * factor:.5g}")) if value is not None and math.isfinite(value) else None)


def _degrees(value: float | None) -> str:
    return _short(value, shown("angle_epoch").factor)
