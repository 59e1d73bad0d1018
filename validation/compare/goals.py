"""What was aimed at, before anything was measured: how far a network may be from a law."""

ROTATION = 0.15  # of 1 - cos, by a law, at all lags
NORM = 0.03  # of the length at equilibrium, by a simulation
ANGLE = 0.03  # of the angle per step
# of each quantity of the simulations; an effective learning rate goes as one over the squared length
OF = {"weight_norm": NORM, "effective_lr": 2 * NORM, "angle_step": ANGLE}
