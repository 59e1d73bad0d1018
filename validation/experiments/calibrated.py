"""What theory makes of a training's own gradients: norm and angles through any schedule (theory.md 9.10).

The recursion of second moments of a linear optimizer under tangential noise, with the measured mean squared gradient of
every epoch in the place of a constant noise trace, and the measured length after the first epoch, in which gradients
change too much for one mean. The norm and the angle per step need nothing else (theory.md 1.1, 9.2); the angle per
epoch also takes all of the gradient for noise that is drawn with replacement and not confined: its distance from the
measurement is what drift, confinement and reshuffling do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si.schedules import Timetable
from validation.experiments.setups import hyperparameters

if TYPE_CHECKING:
    from validation.train.optimizers import Linear

Array = np.ndarray
NAMES = ("weight_norm", "angle_step", "angle_epoch")


def course(
    linear: Linear, lr: list[Array], wd: float, momentum: list[Array], gradient: Array, start: Array,
    first: Array | None = None, *, parts: int = 1, rescale: float | None = None,
) -> dict[str, Array]:  # fmt: skip
    """Norm, angle per step and per epoch.

    Parameters
    ----------
    linear : callable
        The optimizer's map (`validation.train.optimizers.Linear`).
    lr, momentum : list of ndarray
        Of every step, epoch by epoch.
    wd : float
    gradient : ndarray, shape (epochs, ...)
        Mean squared gradient of a (sub)step at the unit vector.
    start : ndarray, shape (...)
        Length of the weights at the start.
    first : ndarray, shape (...), optional
        After the first epoch, if it is to be taken as measured.
    parts : int
        Substeps of a step, each with its share of lr (SVAG).
    rescale : float, optional
        Power of a drop of lr by which the memory is scaled when the weights are rescaled (theory.md 6.5).

    Returns
    -------
    dict of ndarray, shape (epochs, ...)
    """
    A = start.astype(float) ** 2
    C, D = np.zeros_like(A), np.zeros_like(A)
    out: dict[str, list[Array]] = {name: [] for name in NAMES}
    for epoch, (rates, momenta) in enumerate(zip(lr, momentum, strict=True)):
        if rescale is not None and epoch and rates[0] > 0 and lr[epoch - 1][-1] > 0:
            drop = lr[epoch - 1][-1] / rates[0]
            A, C, D = A * drop**-0.5, C * drop ** (rescale - 0.25), D * drop ** (2 * rescale)
        begin, P, W, squares = A, A, C, np.zeros_like(A)
        for rate, mu in zip(rates, momenta, strict=True):
            T, e = linear(rate / parts, wd, mu)
            before, p, w = A, A, C
            for _ in range(parts):
                n = gradient[epoch] / A
                A, C, D = (
                    T[0, 0] ** 2 * A + 2 * T[0, 0] * T[0, 1] * C + T[0, 1] ** 2 * D + e[0] ** 2 * n,
                    T[0, 0] * T[1, 0] * A + (T[0, 0] * T[1, 1] + T[0, 1] * T[1, 0]) * C + T[0, 1] * T[1, 1] * D
                    + e[0] * e[1] * n,
                    T[1, 0] ** 2 * A + 2 * T[1, 0] * T[1, 1] * C + T[1, 1] ** 2 * D + e[1] ** 2 * n,
                )  # fmt: skip
                p, w = T[0, 0] * p + T[0, 1] * w, T[1, 0] * p + T[1, 1] * w
                P, W = T[0, 0] * P + T[0, 1] * W, T[1, 0] * P + T[1, 1] * W
            squares = squares + _angle(p, before, A) ** 2
        out["weight_norm"].append(np.sqrt(A))
        out["angle_step"].append(np.sqrt(squares / len(rates)))
        out["angle_epoch"].append(_angle(P, begin, A))
        if epoch == 0 and first is not None:  # under x -> c x a memory of gradients goes to memory/c (theory.md 1.5)
            A, D = first.astype(float) ** 2, D * A / first.astype(float) ** 2
    return {name: np.stack(values) for name, values in out.items()}


def _angle(inner: Array, one: Array, other: Array) -> Array:
    """Angle in radians of vectors with this inner product and these squared lengths, exact for small ones."""
    norm = np.sqrt(one * other)
    return 2 * np.arctan2(np.sqrt(np.maximum(norm - inner, 0)), np.sqrt(np.maximum(norm + inner, 0)))


def calibrated(settings: dict[str, Any], record: dict[str, Array]) -> dict[str, Array] | None:
    """The course of a cell from what its runs measured; None where the optimizer has no linear theory.

    Parameters
    ----------
    settings : dict
        Of the cell.
    record : dict of ndarray
        ``gradient``, ``signal``, ``noise_trace``, ``weight_norm`` (epochs or more, ...); ``weight_norm_initial`` (...).
    """
    from validation.train.optimizers import OPTIMIZERS

    entry = OPTIMIZERS[settings.get("optimizer", "sgd")]
    if entry.linear is None or "effective_lr" in settings:
        return None
    timetable = Timetable(hyperparameters(settings))
    epochs, parts = timetable.hyperparameters.epochs, settings.get("svag", 1)
    lr, momentum = zip(*(timetable.lr_and_momentum(e) for e in range(epochs)), strict=True)
    # SVAG's substeps have l times the noise beside the same signal (theory.md 4.1).
    gradient = record["gradient"] if parts == 1 else record["signal"] + parts * record["noise_trace"]
    rescale = entry.memory_power if settings.get("rescale") else None
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return course(
            entry.linear, list(lr), timetable.hyperparameters.wd, list(momentum), gradient,
            record["weight_norm_initial"], record["weight_norm"][0], parts=parts, rescale=rescale,
        )  # fmt: skip
