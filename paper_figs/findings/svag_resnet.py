"""Norm, angle and loss of SGD and SVAG on a network over l, and the norm at the limit of noise alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from paper_figs import networks, style
from paper_figs.seeds import listed, seed_error, seed_mean

if TYPE_CHECKING:
    import xarray as xr

Array = np.ndarray
NORM, ANGLE, LOSS = QUANTITIES = ("weight_norm", "angle_epoch", "train_loss")
LATE = (*QUANTITIES, "angle_step", "angle_epoch_predicted", "angle_step_predicted", "noise_trace", "signal")
CERTAIN = 2.0  # standard errors from which two numbers differ
CLOSE = 0.05  # |norm over its limit - 1| up to which it has come there
CONFINED = 0.7  # 1 - cos over that of uncorrelated steps below which the basin shows


@dataclass(frozen=True)
class Found:
    """What the figure shows; angles in radians.

    Attributes
    ----------
    substeps : ndarray, shape (l,)
        l, by which SVAG divides a step; 1 is SGD.
    measured : dict of str to ndarray, shape (l, seed, epoch)
        The loss less that of SGD, for seeds differ more than l does.
    exact, sde : dict of str to ndarray, shape (l, epoch) and (epoch,)
        Not of the loss. nan in SVAG's first epoch, of which only moments at its end are known; noise of the largest l.
    late : dict of str to ndarray, shape (l, seed)
        Means over the second half of the epochs of everything in `LATE`.
    law : ndarray, shape (l + 1, seed)
        Norm by theory 4.3, (lr (τ + G/l)/(2 wd))^(1/4), with each l's own τ and G; the last row is l = infinity.
    limit : float
        Mean norm of the SDE in the second half; nan without one.
    """

    substeps: Array
    measured: dict[str, Array]
    exact: dict[str, Array]
    sde: dict[str, Array]
    late: dict[str, Array]
    law: Array
    limit: float


def find(record: xr.Dataset) -> Found:
    """All courses, and their second half."""
    substeps, cells = record["svag"].values.astype(float), range(record.sizes["cell"])
    half = slice(record.sizes["epoch"] // 2, None)
    courses = {name: np.array([networks.of_cell(record, i, name) for i in cells]) for name in LATE}
    late = {name: values[:, :, half].mean(axis=2) for name, values in courses.items()}
    exact = {name: np.array([getattr(networks.exact(record, i), name) for i in cells]) for name in (NORM, ANGLE)}
    for values in exact.values():
        values[substeps > 1, 0] = np.nan
    sde = {name: simulated for name in exact if (simulated := networks.sde(record, cells[-1], name)) is not None}
    hp, noise = networks.hyperparameters(record, 0), late["noise_trace"]
    squares = np.vstack([noise + late["signal"] / substeps[:, None], noise[-1:]])
    return Found(
        substeps=substeps,
        measured={name: courses[name] - (courses[name][0] if name == LOSS else 0.0) for name in QUANTITIES},
        exact=exact,
        sde=sde,
        late=late,
        law=(hp.lr * squares / (2 * hp.wd)) ** 0.25,
        limit=float(sde[NORM][half].mean()) if NORM in sde else np.nan,
    )


def shown_losses(found: Found) -> tuple[tuple[float, float], str]:
    """Limits that show the second half of the losses well, and which epochs lie outside of them."""
    mean = found.measured[LOSS].mean(axis=1)
    scale = 3 * np.abs(mean[-1, mean.shape[1] // 2 :]).max()
    outside = np.flatnonzero(((mean < -scale) | (mean > scale / 2)).any(axis=0)) + 1
    said = f"not shown in full: epoch {', '.join(map(str, outside))}" if outside.size else ""
    return (-scale, scale / 2), said


def seen(found: Found) -> str:
    """How norm, angle and loss of the second half go with l, where the limit is, and what the laws leave out."""
    return f"{_norm(found)} {_others(found)} {_steps(found)} {_limit(found)}"


def _norm(found: Found) -> str:
    """The norm beside theory 4.3, and how its distance to the limit falls."""
    late, law = found.late, found.law
    norm, counts = late[NORM], ", ".join(f"{one:g}" for one in found.substeps)
    away = found.substeps[:, None] * (norm - law[-1])  # times l: all alike if the distance falls like 1/l
    fall, error = float(seed_mean(away[0] - away[-1])), CERTAIN * float(seed_error(away[0] - away[-1]))
    how = "faster than" if fall > error else "more slowly than" if fall < -error else "within two errors like"
    noise, signal = (" to ".join(listed(late[name][[k]], 2) for k in (0, -1)) for name in ("noise_trace", "signal"))
    return (
        f"The norm at l = {counts} is {listed(norm, 2)}, over theory 4.3 with each l's own τ and G "
        f"{listed(norm / law[:-1], 3)}. The limit by 4.3 (τ of the largest l, no G) is {listed(law[-1:], 2)}, the "
        f"SDE's {found.limit:.2f}. l times the distance to it is {listed(away, 2)}: it falls {how} 1/l (τ goes from "
        f"{noise}, G from {signal})."
    )


def _others(found: Found) -> str:
    """What l changes in angle and loss, and whether it does so like 1/l."""
    share, moves = (1 - 1 / found.substeps[1:]) / (1 - 1 / found.substeps[-1]), []
    for name, unit, digits in ((ANGLE, style.DEGREES, 2), (LOSS, 1.0, 4)):
        moved = unit * (found.late[name][1:] - found.late[name][0])
        rest = (moved - share[:, None] * moved[-1])[:-1]
        other = (np.abs(seed_mean(rest)) > CERTAIN * seed_error(rest)).any()
        text = f"{listed(unit * found.late[name][:1], 2)} by {listed(moved, digits)}"
        moves.append(f"{networks.SHOWN[name][0]} {text} ({'not like 1/l' if other else 'like 1/l in two errors'})")
    changes = f"Against SGD, seed by seed, other l change {'; '.join(moves)}"
    return f"{changes}; why the loss changes is not known from this record."


def _steps(found: Found) -> str:
    """The angle beside that of uncorrelated steps, and what the predictions do not have."""
    late, free = found.late, found.late["angle_epoch_predicted"]
    turned, steps = (1 - np.cos(late[ANGLE])) / (1 - np.cos(free)), late["angle_step"] / late["angle_step_predicted"]
    held = ": steps undo each other, for the basin pulls back (theory 18.2); neither exact course nor SDE has one"
    return (
        f"Uncorrelated steps of SGD would turn {listed(style.DEGREES * free[:1], 2)} deg an epoch: 1 - cos is "
        f"{listed(turned[:1], 3)} of theirs, the angle per step {listed(steps[:1], 3)} (largest l, over its substeps: "
        f"{listed(turned[-1:], 3)}, {listed(steps[-1:], 3)}){held if seed_mean(turned).max() < CONFINED else ''}. "
        "The SDE is noise alone, that of late epochs: it has no loss. Of SVAG's first epoch only moments at its end "
        "are known, so no exact course."
    )


def _limit(found: Found) -> str:
    """Which l has come to the limit."""
    noise, signal = found.late["noise_trace"][:1], found.late["signal"][:1]
    near = found.late[NORM][[0, -1]] / found.law[-1]
    there = np.abs(seed_mean(near) - 1) <= CLOSE
    said = "SVAG has not come to the limit at the largest l"
    if there[1]:
        said = ("SGD is as close as SVAG: noise dominates" if there[0] else
                "As in the paper SVAG comes to the limit; SGD is not close, for noise does not dominate")  # fmt: skip
    return (
        f"SGD and the largest l have {listed(near, 3)} of the limit; (1 + G/τ)^(1/4) of SGD is "
        f"{listed((1 + signal / noise) ** 0.25, 3)}. {said} "
        f"(τ/G {listed(noise / signal, 1)})."
    )
