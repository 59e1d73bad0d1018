"""What reshuffling does to the angle per epoch and the norm of a network, and what it would do to noise alone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, phases
from paper_figs.seeds import listed, seed_error, seed_mean
from sde_si import theory

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
# OWN_NORM is the norm over that which noise of the cell's own squared gradient would have (9.2).
ENDS, MIDDLES, STEP, NORM, OWN_NORM = "angle_epoch", "angle_middle", "angle_step", "weight_norm", "own_norm"
TOLD = {ENDS: "1 - cos between ends", MIDDLES: "between middles", STEP: "angle per step", NORM: "norm",
        OWN_NORM: "norm for its own squared gradient"}  # fmt: skip
LAST = 10  # epochs at the end of the schedule, where its learning rate is lowest
REFUTED = 3.0  # standard errors between the change of the norm and the law's
CONFINED = 0.7  # of the law for 1 - cos: less is called the work of the basin


@dataclass(frozen=True)
class Found:
    """Angles and norms under both ways of sampling.

    Attributes
    ----------
    caption : str
    cells : list of int, length 8
        At equilibrium: momentum 0.9, 0; within it augmentation none, shift; within it reshuffled, with replacement.
    measured : dict of str to ndarray, shape (8, seed)
        Of these cells by the keys of `TOLD`. 1 - cos and the own norm are over the law of noise with replacement (9.2),
        the angle per step is in radians, the norm as it is.
    noise_alone : dict of str to ndarray, shape (2,)
        By the same keys, for momentum 0.9, 0: reshuffled noise alone over noise with replacement.
    schedules : list of int, length 4
        Cells of the schedule: reshuffled, with replacement; within it augmentation none, the paper's.
    tuning_factor : float
        Of these.
    share : ndarray, shape (2, seed)
        Their 1 - cos in the last epochs, reshuffled over with replacement, in this order of augmentations.
    """

    caption: str
    cells: list[int]
    measured: dict[str, Array]
    noise_alone: dict[str, Array]
    schedules: list[int]
    tuning_factor: float
    share: Array


def find(record: xr.Dataset) -> Found:
    """Levels at equilibrium, and the end of the schedule."""
    kinds = product((0.9, 0.0), ("none", "shift"), ("reshuffle", "replacement"))
    cells = [networks.pick(record, part="equilibrium", momentum=a, augment=b, sampling=c)[0] for a, b, c in kinds]
    ways = product(("reshuffle", "replacement"), ("none", "paper"))
    schedules = [networks.pick(record, part="schedule", sampling=a, augment=b)[0] for a, b in ways]
    turned = np.array([(1 - np.cos(networks.of_cell(record, i, ENDS)[:, -LAST:])).mean(axis=1) for i in schedules])
    return Found(
        caption=networks.caption(record),
        cells=cells,
        measured={name: np.array([_measured(record, i, name) for i in cells]) for name in TOLD},
        noise_alone={name: np.array([_noise_alone(record, i, name) for i in cells[::4]]) for name in TOLD},
        schedules=schedules,
        tuning_factor=float(record["tuning_factor"][schedules[0]]),
        share=turned[:2] / turned[2:],
    )


def _measured(record: xr.Dataset, i: int, name: str) -> Array:
    """Mean of one cell's late epochs, shape (seed,), in the units of `Found.measured`."""
    hp, some = networks.hyperparameters(record, i), phases.late(record, i)
    values = networks.of_cell(record, i, NORM if name == OWN_NORM else name)[:, some]
    if name in (ENDS, MIDDLES):
        values = (1 - np.cos(values)) / (1 - theory.lag_cosines(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum)[-1])
    if name != OWN_NORM:
        return values.mean(axis=1)
    gradient = networks.of_cell(record, i, "gradient")[:, some].mean(axis=1)
    # E|x|^2 grows like the root of the noise trace
    square = theory.sgd_moments(hp.lr, hp.wd, hp.momentum, noise_trace=1.0).xx * gradient**0.5
    return values.mean(axis=1) / square**0.5


def _noise_alone(record: xr.Dataset, i: int, name: str) -> float:
    """Reshuffled noise alone over noise with replacement (1.13), at a cell's settings."""
    hp = networks.hyperparameters(record, i)
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    if name == STEP:
        return 1.0
    if name in (NORM, OWN_NORM):
        return theory.reshuffled(n, u, mu).norm_factor ** 0.5
    versines = theory.reshuffled_versines(n, u, mu, n, start=n // 2 if name == MIDDLES else 0)
    return versines[-1] / (1 - theory.lag_cosines(n, u, mu)[-1])


def seen(found: Found) -> str:
    """What reshuffling changes at equilibrium, and at the end of the schedule."""
    return (
        f"{found.caption}. {_at_equilibrium(found)} The right panel is no figure of Yun et al., but their schedule at "
        f"one tuning factor ({found.tuning_factor:.3g}), μ=0.9, between ends: others were not run in four ways. In its "
        f"last ten epochs reshuffled 1 - cos is {listed(found.share, 2)} of that with replacement, without and with "
        "augmentation. The SDEs have no order of samples, and noise that stays as in the first phase."
    )


def _at_equilibrium(found: Found) -> str:
    """What reshuffling changes beside what it would of noise alone, and whether 1.13 holds for the norm."""
    change = {name: 100 * (values[::2] / values[1::2] - 1) for name, values in found.measured.items()}
    laws = {name: 100 * (values - 1) for name, values in found.noise_alone.items()}
    said = [f"{text} {listed(change[name], 1)} ({laws[name][0]:.0f}, {laws[name][1]:.0f})"
            for name, text in TOLD.items()]  # fmt: skip
    norm = change[OWN_NORM][0]
    off = float((seed_mean(norm) - laws[OWN_NORM][0]) / seed_error(norm))
    why = "1.13 takes an epoch's noises at frozen weights, without a basin; which of the two matters was not measured"
    verdict = f"refuted, {off:.0f} s.e. away: {why}" if abs(off) > REFUTED else "not refuted"
    replaced, size = found.measured[ENDS][1::2], found.measured[OWN_NORM][1::2]
    basin = "The basin leaves little to it: with" if replaced[0].mean() < CONFINED else "With"
    return (
        "Reshuffling changes, in % of what there is with replacement, seed by seed, at μ=0.9 without and with "
        "augmentation, at μ=0 without and with (in brackets noise alone, no augmentation, at both μ): "
        f"{'; '.join(said)}. {basin} replacement 1 - cos is {listed(replaced, 3)} of 9.2 (norm {listed(size, 3)}). "
        f"That the norm shrinks, with momentum only (1.13), is {verdict}."
    )
