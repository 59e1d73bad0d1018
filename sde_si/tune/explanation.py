"""The predicted course of a run, as tables, lines, JSON and figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.comparison import finite, number
from sde_si.hyperparameters import HyperParameters
from sde_si.methods import METHODS
from sde_si.quantities import shown
from sde_si.tune.change import Caution
from sde_si.tune.effects import LENGTHS, OPTIMIZERS, factor_of
from sde_si.tune.stretch import Stretch, short, spread

if TYPE_CHECKING:
    from rich.table import Table

Array = np.ndarray
ROWS = 16  # of the table of epochs


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
        Of the settings: a step so large that first order fails, a partial batch, changes after the last epoch.
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

    @property
    def all_warnings(self) -> tuple[Caution, ...]:
        """`warnings`, then one for each phase that does not come to equilibrium: what text and JSON say."""
        late = (one.warning(self.hyperparameters) for one in self.stretches)
        return (*self.warnings, *(one for one in late if one is not None))

    def tables(self) -> list[Table]:
        """By phase, and by epoch where there is something to tell."""
        return [self.to_table(), *([self.epochs_table()] if self.followed else [])]

    def to_table(self) -> Table:
        """One row a phase."""
        from sde_si.tune.show import plain_table

        angle = ["angle/epoch [deg]"] if self.followed else []
        head = ("lr", "momentum", "B", "tuning factor", "e-fold [epochs]", *angle, "equilibrium [deg]")
        out = plain_table("epochs", [*head, "within 2 % of it"])
        for one in self.stretches:
            phase = one.phase
            lr = spread(phase.lrs[:1] if phase.constant else phase.lrs)
            # Adaptive methods have no closed form under a schedule: then the relaxation alone decides.
            reached = "never" if one.reached is None else f"from epoch {one.reached}"
            factor = shown("angle_epoch").factor
            ideal = spread(one.equilibrium[-1:] if phase.constant else one.equilibrium, factor)
            out.add_row(
                f"{phase.first}-{phase.last}", lr, number(phase.momentum), str(phase.B), short(phase.tuning_factor),
                short(phase.relaxation_epochs),
                *([spread(one.angles, factor)] if self.followed else []), ideal, reached,
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
            cells = [short(self.course[name][e], shown(name).factor) for name in self.course]
            out.add_row(str(e + 1), *cells, short(self.paper[e], factor))
        return out

    def some_epochs(self) -> list[int]:
        """Epochs (from 0) that the table shows."""
        total = self.hyperparameters.epochs
        ends = {e - 1 for one in self.stretches[:ROWS] for e in (one.phase.first, one.phase.last)}
        left = max(0, ROWS - len(ends))
        return sorted(ends | set(np.linspace(0, total - 1, left).round().astype(int).tolist()))

    def lines(self) -> list[str]:
        """What is said below the tables."""
        out = [f"warning: {one.text}" for one in self.all_warnings]
        if not self.followed:
            out.append(
                f"{self.optimizer}: no closed form under a schedule, so no table of epochs: equilibrium values and "
                "times alone"
            )
        if any(not one.phase.constant for one in self.stretches):
            out.append("equilibrium, papers and effective LR: of the mean lr that the steps of an epoch use")
            out.append(
                "phases in which lr changes: first .. extreme in between, if it lies beyond both .. last; tuning "
                "factor and e-fold at the epoch of the largest mean lr"
            )
        if self.relative:
            out.append(
                f"* relative to the equilibrium of the first lr that is used, {short(self.first_lr)}: the size of "
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
            "warnings": [one.to_json() for one in self.all_warnings],
            "phases": [one.to_json() for one in self.stretches],
            "epochs": epochs | {"angle_epoch_paper": [finite(v) for v in self.paper]},
        }

    def figure(self) -> Any:
        """Angle per epoch, norm and effective LR against epochs (matplotlib Figure)."""
        from sde_si.tune.figures import course_figure

        return course_figure(self)
