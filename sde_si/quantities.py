"""The quantities that are predicted and shown: names, labels and units. To show another, add it here."""

from __future__ import annotations

import math
from dataclasses import dataclass

DEGREES = 180 / math.pi
BALANCE = 0.02  # of squared displacement over squared norm: nearer to that of a stationary norm, the norm is stationary


@dataclass(frozen=True)
class Quantity:
    """How a quantity is shown.

    Attributes
    ----------
    label, unit : str
        As shown to people.
    factor : float
        From the stored unit (`sde_si.record.SCHEMA`) to the shown one.
    """

    label: str
    unit: str = ""
    factor: float = 1.0

    @property
    def title(self) -> str:
        """Label with unit, for an axis or a table."""
        return f"{self.label} [{self.unit}]" if self.unit else self.label


_PREDICTED: dict[str, Quantity] = {
    "weight_norm": Quantity("weight norm"),
    "effective_lr": Quantity("effective LR", "/step"),
    "angle_step": Quantity("rms angle per step", "deg", DEGREES),
    "angle_epoch": Quantity("angle per epoch", "deg", DEGREES),
    "cos_epoch": Quantity("cosine per epoch"),
    "time_to_equilibrium": Quantity("time to equilibrium", "epochs"),
}
QUANTITIES = tuple(_PREDICTED)  # what theory predicts at equilibrium, in the order in which it is shown
SHOWN = _PREDICTED | {
    "steps_to_equilibrium": Quantity("time to equilibrium", "steps"),
    "relative_update": Quantity("relative update lr/|x|", "/step"),
    "tuning_factor": Quantity("tuning factor", "/epoch"),
    "correlation_time": Quantity("correlation time of the direction", "epochs"),
    "temperature": Quantity("temperature"),
    "signal_to_noise": Quantity("signal over noise, G/tau"),
}


def shown(name: str) -> Quantity:
    """How to show a quantity; one that is not in the table is shown by its name as it is stored."""
    if name.startswith("angle_lag_"):
        return Quantity(f"angle over {name.removeprefix('angle_lag_')} steps", "deg", DEGREES)
    return SHOWN.get(name, Quantity(name))
