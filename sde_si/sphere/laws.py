"""What theory says of training at a fixed effective learning rate: thresholds and mean losses."""

from __future__ import annotations

import numpy as np

from sde_si import regimes
from sde_si.sphere.course import Course
from sde_si.sphere.setting import Setting
from sde_si.theory import bingham_second_moment, vmf_resultant

JOINT = 1.7  # eta sum(alpha) up to which several pairs mostly reach their joint orbit (theory.md 5.4)
COARSE = 0.1  # mean square of a substep's angle from which on the law of the SDE is not that of its integrator


def threshold(setting: Setting) -> tuple[float, str] | None:
    """Largest total effective LR at which a run without noise converges, and its source; None where none is known."""
    if setting.noise != "none" or setting.method != "sgd":
        return None
    arrays, name = setting.run(1.0).arrays, setting.problem.loss.name
    if name == "groups":
        alphas = np.array(setting.problem.parameters["alphas"])
        if setting.constraint == "total":
            return 1 / float(alphas.sum()), "1/sum(alpha): Kodryan et al. A.2; theory.md 5.3"
        return 1 / float(alphas.size * alphas.max()), "1/(n max alpha): theory.md 5.3 for each group"
    if name == "vmf" and setting.problem.parameters["signal"] > 0:
        return 2 / float(setting.problem.parameters["signal"]), "2/|m|: theory.md 3.9"
    if name == "bingham" and setting.problem.parameters["curvature"] != 0:
        return 1 / abs(float(setting.problem.parameters["curvature"])), "1/(l_max - l_min): theory.md 3.9"
    if name == "pca":
        spectrum = np.linalg.eigvalsh(arrays.params[2][: arrays.dim])
        return 1 / float(spectrum[-1] - spectrum[0]), "1/(l_max - l_min): theory.md 3.9"
    return None


def mean_loss(setting: Setting, effective_lr: float) -> float | None:
    """Time mean of the loss; None where theory has none."""
    name, parameters = setting.problem.loss.name, setting.problem.parameters
    if name == "groups" and setting.noise == "none" and setting.method == "sgd":
        alphas = np.array(parameters["alphas"])
        if setting.constraint == "total":
            # theory.md 5.4: the joint two-cycle; exact where it is reached
            return max(0.0, (float(alphas.sum()) - 1 / effective_lr) / 2)
        return float(np.maximum(0.0, (alphas - 1 / (alphas.size * effective_lr)) / 2).sum())
    if name in ("vmf", "bingham") and setting.method == "em" and setting.noise != "none":
        run = setting.run(effective_lr)
        turn = effective_lr**2 * run.noise_trace / run.substeps
        return gibbs(setting, effective_lr) if turn <= COARSE else None
    return None


def approximation(setting: Setting, effective_lr: float) -> str:
    """In what sense `mean_loss` holds only approximately at this effective LR; empty where it is exact."""
    if mean_loss(setting, effective_lr) is None:
        return ""
    if setting.noise != "none":
        return "approximate: the law of the SDE as the substep goes to 0"
    alphas = setting.problem.parameters["alphas"]
    joint = effective_lr * sum(alphas)
    if setting.constraint != "total" or len(alphas) == 1 or joint <= 1:
        return ""
    if joint > JOINT:
        return f"approximate: several pairs leave their joint orbit above eta sum(alpha) = {JOINT:g} (theory.md 5.4)"
    return "exact where the joint orbit is reached, not from every start (theory.md 5.4)"


def gibbs(setting: Setting, effective_lr: float) -> float:
    """Mean loss of the stationary law at temperature eta sigma^2/2, as the step goes to 0 (theory.md 8.3)."""
    parameters, dim = setting.problem.parameters, setting.run(1.0).arrays.dim
    variance = parameters["noise_scale"] / setting.B
    if variance == 0:
        lowest = lowest_loss(setting)
        assert lowest is not None
        return lowest
    inverse = 2 / (effective_lr * variance)
    if setting.problem.loss.name == "vmf":
        strength = float(parameters["signal"])
        return -strength * vmf_resultant(strength * inverse, dim)
    curvature = float(parameters["curvature"])
    return curvature * bingham_second_moment(curvature * inverse, dim)


def random_loss(setting: Setting) -> float | None:
    """Mean loss of random directions, where it is known; else the classifier takes that of the starts."""
    name, arrays = setting.problem.loss.name, setting.run(1.0).arrays
    if name == "groups":
        return float(np.sum(setting.problem.parameters["alphas"])) / 2
    if name == "vmf":
        return 0.0
    if name == "bingham":
        return float(setting.problem.parameters["curvature"]) / arrays.dim
    if name in ("pca", "regression"):
        scale, constant = arrays.params[0][0, 0], arrays.params[0][0, 1]
        return float(0.5 * scale * np.trace(arrays.params[2][: arrays.dim]) / arrays.dim + constant)
    return None


def lowest_loss(setting: Setting) -> float | None:
    """Lowest loss possible, where it is known."""
    name, arrays = setting.problem.loss.name, setting.run(1.0).arrays
    if name in ("groups", "regression"):
        return 0.0  # of a regression a bound, reached where the teacher fits
    if name == "vmf":
        return -float(setting.problem.parameters["signal"])
    if name == "bingham":
        return min(0.0, float(setting.problem.parameters["curvature"]))
    return -float(np.linalg.eigvalsh(arrays.params[2][: arrays.dim])[-1]) if name == "pca" else None


def exceeds(setting: Setting, individual: np.ndarray) -> np.ndarray | None:
    """Whether some group's effective LR is above its own threshold 1/alpha_i; `individual` is (..., group)."""
    if setting.problem.loss.name != "groups":
        return None
    return np.asarray((individual * np.array(setting.problem.parameters["alphas"]) > 1).any(axis=-1))


def regime(setting: Setting, course: Course) -> regimes.Regime:
    """The regime of a course, in the light of what is known of its loss."""
    return regimes.classify(
        course.loss, course.gradient_norm, course.angle, iterations=course.iterations,
        random_loss=random_loss(setting), lowest_loss=lowest_loss(setting),
    )  # fmt: skip
