"""Whether the norm can follow a phase of a schedule: its epochs against the norm's relaxation (theory.md 10.7)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sde_si.tune.phases import Phase

# Change of the relaxation time, which goes as 1/lr, over the epochs that the norm no longer follows: below it the angle
# stays within about 10 % of equilibrium, since |x|^4 lags by 1/(1 - 0.2) behind lr.
FOLLOWED = 1.2


@dataclass(frozen=True)
class Lag:
    """Epochs at the end of a phase in which the norm no longer follows.

    Attributes
    ----------
    phase : Phase
    begin : int
        The first of them, from 1.
    relaxation_epochs : float
        Epochs that the norm needs to relax by e with that epoch's settings.
    """

    phase: Phase
    begin: int
    relaxation_epochs: float

    @property
    def left(self) -> int:
        """How many epochs."""
        return self.phase.last - self.begin + 1

    def text(self, lr: float) -> str:
        """With its numbers, without a conclusion; lr in units of the run's, so that options can share it."""
        phase = self.phase
        times = " .. ".join(f"{v / lr:.3g}" for v in phase.lrs[: 1 if phase.constant else None])
        law = f" (1/({phase.power}T) is {1 / (phase.power * phase.tuning_factor):.4g})"
        first = law if phase.constant else " at the largest lr"
        text = (
            f"epochs {phase.first}-{phase.last} (lr times {times}) last {phase.epochs} epochs, and the norm needs "
            f"{phase.relaxation_epochs:.4g} to relax by e{first}"
        )
        if phase.epochs < phase.relaxation_epochs:
            return text
        return (
            f"{text}; from epoch {self.begin} on it needs {self.relaxation_epochs:.4g} or more, with {self.left} left"
        )


def lag(phase: Phase, *, end: bool = True) -> Lag | None:
    """The epochs in which the norm no longer follows; None if it does, or if nothing is known.

    Parameters
    ----------
    phase : Phase
    end : bool
        Whether the run ends with it. Else a rise of lr is left out: in a warm-up nobody expects equilibrium, and the
        phase after it is judged by itself.
    """
    if math.isnan(phase.relaxation_epochs):
        return None
    if phase.constant:
        late = phase.relaxation_epochs > phase.epochs
        return Lag(phase, phase.first, phase.relaxation_epochs) if late else None
    if not end and phase.lrs[-1] == max(phase.lrs):
        return None
    times = np.array(phase.times)
    follows = np.flatnonzero(times <= np.arange(phase.epochs, 0, -1))
    i = int(follows[-1]) + 1 if follows.size else 0
    if i == phase.epochs:
        return None
    if not follows.size:  # a warm-up inside is slow by itself: the best epoch speaks
        return Lag(phase, phase.first, phase.relaxation_epochs)
    tail = times[i:]
    if tail.max() <= FOLLOWED * tail.min():
        return None
    return Lag(phase, phase.first + i, float(times[i]))
