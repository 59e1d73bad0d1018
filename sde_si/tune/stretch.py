"""A phase of a schedule, how far it comes, and what keeps it from equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sde_si.comparison import finite, number
from sde_si.hyperparameters import HyperParameters
from sde_si.quantities import shown
from sde_si.tune.change import Caution
from sde_si.tune.lag import Lag
from sde_si.tune.phases import Phase

REACHED = 0.02  # distance of the angle per epoch from its equilibrium that counts as there


@dataclass(frozen=True)
class Stretch:
    """A phase, and how far it comes.

    Attributes
    ----------
    phase : Phase
    angles : tuple of float or None
        Angle per epoch in its first and last epoch, radians, and between them the extreme if it lies beyond both.
    equilibrium : tuple of float or None
        The same at the equilibrium of the mean lr of these epochs.
    reached : int or None
        Epoch from which the angle stays within 2 % of equilibrium to the phase's end; None: it does not, or, where lr
        changes all the time, for less than half of the phase.
    norm : float or None
        Length of the weights at its end, over that of the equilibrium of the last epoch.
    lag : Lag or None
        Its epochs in which the norm no longer follows.
    """

    phase: Phase
    angles: tuple[float | None, ...]
    equilibrium: tuple[float | None, ...]
    reached: int | None
    norm: float | None
    lag: Lag | None

    @property
    def first(self) -> float | None:
        """Angle of its first epoch."""
        return self.angles[0]

    @property
    def last(self) -> float | None:
        """Angle of its last epoch."""
        return self.angles[-1]

    def warning(self, hp: HyperParameters) -> Caution | None:
        """`_text` with the share of the equilibrium angle, or, where no angle is known, the relaxation in epochs."""
        text = self._text(hp)
        if text is None:
            return None
        ideal = self.equilibrium[-1]
        if self.last and ideal:
            share = self.last / ideal
            return Caution("equilibrium", text, share, 1 - REACHED if share < 1 else 1 + REACHED)
        return Caution("transient", text, self.phase.relaxation_epochs, self.phase.epochs)

    def _text(self, hp: HyperParameters) -> str | None:
        """Why the angle is not that of equilibrium; None if it is, or where a rise of lr goes before another phase."""
        phase, ideal, how = self.phase, self.equilibrium[-1], ""
        if self.reached is not None or not (phase.constant or self.lag):
            return None
        if self.last and ideal:
            how = (
                f"; the angle comes to {degrees(self.last)} of {degrees(ideal)} degrees, "
                f"{100 * self.last / ideal:.3g} % of it"
            )
        where = f"epochs {phase.first}-{phase.last}"
        if not phase.constant:
            why = self.lag.text(hp.lr) if self.lag else where
            return f"{why}: equilibrium is not reached in the end{how} (theory.md 10.7)"
        head = f"{where}: equilibrium is not reached in {phase.epochs} epochs"
        if self.velocity:
            memory = 1 / (1 - phase.momentum)
            return (
                f"{head}, since the velocity starts from zero: momentum remembers 1/(1 - momentum) = {memory:.3g} "
                f"steps, the phase has {phase.epochs * (hp.N // phase.B)}; the norm is at {self.norm:.4g} of its "
                f"equilibrium{how} (theory.md 9.10)"
            )
        return f"{head}, the norm needs {short(phase.relaxation_epochs)} to relax by e{how} (theory.md 10.7)"

    @property
    def velocity(self) -> bool:
        """Whether the angle lacks more because the velocity began at zero than because of the norm.

        A step's angle goes as lr/|x|^2: what the norm leaves of the deficit is the velocity's.
        """
        known, ideal = self.last, self.equilibrium[-1]
        if self.phase.first > 1 or not self.phase.momentum or not (known and ideal and self.norm):
            return False
        return abs(2 * math.log(self.norm)) < abs(math.log(known / ideal)) / 2

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types; angles in radians."""
        phase = self.phase
        return {
            "epochs": [phase.first, phase.last], "constant": phase.constant, "lr": [phase.lr, phase.last_lr],
            "lr_largest": max(phase.lrs), "momentum": phase.momentum, "B": phase.B,
            "tuning_factor": phase.tuning_factor, "relaxation_epochs": finite(phase.relaxation_epochs),
            "angle_first": self.first, "angle_last": self.last, "angle_equilibrium": self.equilibrium[-1],
            "reached_epoch": self.reached, "norm_over_equilibrium": self.norm,
        }  # fmt: skip


def short(value: float | None, factor: float = 1.0, digits: int = 5) -> str:
    """To some digits; a dash for what is not known."""
    if value is None or not math.isfinite(value):
        return number(None)
    return number(finite(float(f"{value * factor:.{digits}g}")))


def spread(values: tuple[float | None, ...], factor: float = 1.0) -> str:
    """First .. last, or first .. extreme .. last, then with fewer digits, for the table's width."""
    return " .. ".join(short(v, factor, 5 if len(values) < 3 else 3) for v in values)


def degrees(value: float | None) -> str:
    """An angle per epoch."""
    return short(value, shown("angle_epoch").factor)
