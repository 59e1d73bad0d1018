"""What theory says of one run's equilibrium."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_si.hyperparameters import HyperParameters
from sde_si.quantities import QUANTITIES
from sde_si.run import Run
from sde_si.theory import nonlinear
from sde_si.theory.discrete import angle_of, finite_dimension, reshuffled, rms_angle
from sde_si.theory.linear import stationary
from sde_si.theory.models import vmf_resultant
from sde_si.theory.moments import Closure
from sde_si.theory.sde import sde_lag_cosine


@dataclass(frozen=True)
class Prediction:
    """One predicted equilibrium value.

    Attributes
    ----------
    value : float or None
        Exact prediction; None where there is no closed form, and `note` says why.
    paper : float or None
        The papers' first-order formula.
    source, assumes, note : str
        Where it comes from; what it takes for granted; what else to know.
    shift : float or None
        Relative size of the finite-d correction in `value` (theory.md 2.7).
    """

    value: float | None = None
    paper: float | None = None
    source: str = ""
    assumes: str = ""
    note: str = ""
    shift: float | None = None


def first_order(
    hp: HyperParameters, *, decoupled: bool = False, noise_trace: float = math.nan
) -> dict[str, float | None]:
    """The papers' formulas: Yun et al. eqs. 18, 27 for the epoch, Wan et al. for norm, step and time.

    Parameters
    ----------
    hp : HyperParameters
        At equilibrium: the schedule is not looked at.
    decoupled : bool
        Weight decay outside the momentum (theory.md 9.5).
    noise_trace : float
        Trace of the minibatch noise at the unit vector; nan: neither norm nor effective learning rate.

    Returns
    -------
    dict of float or None
        Keys as in `QUANTITIES`; angles in radians, time in epochs.
    """
    u, mu = hp.intrinsic_lr, hp.momentum
    values: dict[str, float | None] = dict.fromkeys(QUANTITIES)
    factor = hp.decoupled_tuning_factor if decoupled else hp.tuning_factor
    values["cos_epoch"] = 1 - factor
    values["angle_epoch"] = angle_of(factor) if factor <= 2 else None
    values["angle_step"] = math.sqrt(2 * u / (1 + mu) * ((1 - mu) if decoupled else 1))
    if u > 0:
        values["time_to_equilibrium"] = 1 / (4 * factor)
        if math.isfinite(noise_trace) and noise_trace > 0:
            square = math.sqrt(hp.lr * noise_trace / (2 * hp.wd * (1 - mu) ** (2 if decoupled else 1)))
            values["weight_norm"], values["effective_lr"] = math.sqrt(square), hp.lr / square
    return values


def paper_values(run: Run) -> dict[str, float | None]:
    """`first_order` of a run after the last change of its schedule; Kosson et al.'s without a linear theory."""
    hp, arrays = run.settled, run.arrays
    if run.scheme.linear is None:
        return dict.fromkeys(QUANTITIES) | nonlinear.paper_values(run)
    trace = arrays.noise_trace / hp.B if arrays.groups == 1 else math.nan
    return first_order(hp, decoupled=run.method.decoupled, noise_trace=trace)


def equilibrium(run: Run) -> dict[str, Prediction]:
    """Every quantity's equilibrium after the last change of the schedule.

    Returns
    -------
    dict of Prediction
        Keys as in `QUANTITIES`; lengths in the loss's unit, angles in radians, time in epochs.
    """
    if run.timetable.last_change >= run.hyperparameters.epochs and run.hyperparameters.schedule != "constant":
        return dict.fromkeys(QUANTITIES, Prediction(note="the schedule never settles: no equilibrium"))
    exact = nonlinear.exact_rows(run) if run.scheme.linear is None else _exact(run)
    return {
        name: Prediction(**{"paper": value, **exact.get(name, {"note": "no closed form"})})
        for name, value in paper_values(run).items()
    }


def relaxation_rate(run: Run) -> float:
    """Share of a small deviation of |x|^2 from equilibrium that an epoch takes away, to first order.

    Four times the tuning factor (theory.md 2.3, 9.4); for adaptive methods `sde_si.theory.nonlinear`, nan if unknown.
    """
    if run.scheme.linear is None:
        return nonlinear.relaxation_rate(run)
    return 4 * run.tuning_factor


def equilibrium_norm(run: Run) -> float | None:
    """Predicted equilibrium length of the weights: exact, else to first order from the noise alone, else None."""
    row = equilibrium(run)["weight_norm"]
    return row.paper if row.value is None else row.value


def _exact(run: Run) -> dict[str, dict[str, Any]]:
    hp, arrays = run.settled, run.arrays
    if hp.intrinsic_lr == 0:
        note = "without weight decay the norm grows for ever: no equilibrium (theory.md 1.4)"
        return {name: {"note": note} for name in QUANTITIES}
    if arrays.noise_variance == 0 and run.problem.loss.flat:
        return {name: {"note": "no noise and no gradient: nothing turns the weights"} for name in QUANTITIES}
    if run.problem.loss.flat:
        return _reshuffled(run) if run.reshuffled else _noise_only(run)
    return _with_signal(run)


def _rows(norm_squared: float, lr: float, versine_step: float, cos_epoch: float, time: float | None) -> dict[str, Any]:
    return {
        "weight_norm": {"value": math.sqrt(norm_squared)},
        "effective_lr": {"value": lr / norm_squared},
        "angle_step": {"value": rms_angle(versine_step)},
        "angle_epoch": {"value": angle_of(1 - cos_epoch)},
        "cos_epoch": {"value": cos_epoch},
        "time_to_equilibrium": {"value": time},
    }


def _finite_dimension(run: Run, steps: int, substeps: int) -> Any:
    """`finite_dimension` of the run's map with that many substeps, seen as SGDM of displacements a substep."""
    hp, h = run.settled, 1 / substeps
    plain = hp.momentum == 0
    u = hp.intrinsic_lr * h if plain else hp.intrinsic_lr * h * h
    momentum = 0.0 if plain else hp.momentum + (1 - hp.momentum) * (1 - h)
    kurtosis = run.law.kurtosis if run.law else 2.0
    return finite_dimension(
        steps * substeps, u, momentum, run.arrays.dim, kurtosis=kurtosis, decoupled=run.method.decoupled
    )


def _noise_only(run: Run) -> dict[str, dict[str, Any]]:
    """L = 0, isotropic noise drawn with replacement."""
    hp, closure = run.settled, Closure(run)
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    square = float(closure.equilibrium()[0, 0])
    time = closure.relaxation_epochs()
    if closure.limit:
        versine, cos = 1 - float(sde_lag_cosine(1, u, mu)), float(sde_lag_cosine(n, u, mu))
        if mu == 0:
            rows = _rows(square, hp.lr, versine, cos, time)
            return _annotate(rows, "theory.md 2.3, 2.4, 3.8", "isotropic noise, no mean gradient", "")
        substeps, source = 8, "theory.md 9.7, 2.7"
        finite = _finite_dimension(run, n, substeps)
        infinite = _lag_cosines(run, substeps, n)
        step, infinite_step = _finite_dimension(run, 1, substeps).cos, _lag_cosines(run, substeps, 1)
        versine, cos = versine + infinite_step - step, cos + finite.cos - infinite
    else:
        substeps, source = run.substeps, run.method.prediction
        finite = _finite_dimension(run, n, substeps)
        versine, cos = 1 - _finite_dimension(run, 1, substeps).cos, finite.cos
        infinite, infinite_step = _lag_cosines(run, substeps, n), _lag_cosines(run, substeps, 1)
        step = 1 - versine
    rows = _annotate(
        _rows(square * (1 + finite.variance / 2), hp.lr, versine, cos, time),
        source,
        "isotropic noise with replacement, no mean gradient, first order in 1/d",
        "",
    )
    shifts = {
        "weight_norm": finite.variance / 4,
        "effective_lr": -finite.variance / 2,
        "angle_step": (infinite_step - step) / (1 - infinite_step) / 2,
        "cos_epoch": (finite.cos - infinite) / infinite,
        "angle_epoch": (infinite - finite.cos) / (1 - infinite) / 2,
    }
    for name, shift in shifts.items():
        rows[name]["shift"] = shift
    if run.method.sde:
        limit = Closure(run, limit=True)
        values = {
            "weight_norm": math.sqrt(float(limit.equilibrium()[0, 0])),
            "cos_epoch": float(sde_lag_cosine(n, u, mu)),
        }
        for name, value in values.items() if not closure.limit else ():
            rows[name]["note"] = f"SDE limit {value:.6g}"
    if closure.limit or run.method.sde:
        rows["angle_step"]["note"] = "differs from the optimizer's by theory (9.7)"
    return rows


def _lag_cosines(run: Run, substeps: int, steps: int) -> float:
    """Cosine `steps` optimizer steps apart as d -> infinity, by the linear map with that many substeps."""
    hp = run.settled
    method = run.method
    if method.name == "splitting":
        from sde_si.methods import METHODS

        method = METHODS["em"]
    scheme = method.scheme(hp.momentum > 0)
    assert scheme is not None
    assert scheme.linear is not None
    T, K = scheme.linear(hp.lr, hp.wd, hp.momentum, 1 / substeps)
    unit = stationary(T, K)
    power = np.linalg.matrix_power(T, steps * substeps)
    return float(power[0] @ unit[:, 0] / unit[0, 0])


def _annotate(rows: dict[str, Any], source: str, assumes: str, note: str) -> dict[str, Any]:
    for row in rows.values():
        row |= {"source": source, "assumes": assumes, "note": note}
    rows["time_to_equilibrium"] |= {
        "source": "theory.md 2.3, 9.4",
        "assumes": "small deviations",
        "note": "epochs in which a small deviation of the norm falls by e",
    }
    return rows


def _reshuffled(run: Run) -> dict[str, dict[str, Any]]:
    """L = 0, noise that sums to zero over every epoch (theory.md 1.13)."""
    hp = run.settled
    law = reshuffled(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum, run.arrays.dim)
    square = float(Closure(run).equilibrium()[0, 0]) * law.norm_factor
    versine = 1 - _lag_cosines(run, 1, 1)
    rows = _rows(square, hp.lr, versine, law.cos_epoch, Closure(run).relaxation_epochs())
    return _annotate(rows, "theory.md 1.13", "reshuffled noise, no mean gradient, first order in rho/(1-mu)", "")


def _with_signal(run: Run) -> dict[str, dict[str, Any]]:
    """What holds in spite of a mean gradient."""
    hp, arrays = run.settled, run.arrays
    drift = "no closed form: the gradient drifts or confines the direction (theory.md 1.9, 18)"
    rows: dict[str, dict[str, Any]] = {name: {"note": drift} for name in QUANTITIES}
    if run.reshuffled:
        rows["cos_epoch"]["note"] = rows["angle_epoch"]["note"] = (
            "reshuffled noise in a network rotates less (theory.md 1.12)"
        )
    if run.substeps == 1:
        rows["angle_step"] = {
            "value": rms_angle(1 - _lag_cosines(run, 1, 1)),
            "source": "theory.md 1.3, 9.2",
            "assumes": "stationary norm; holds for any scale-invariant loss, to first order in u",
        }
    constant = math.isfinite(arrays.noise_variance) and arrays.noise_variance > 0 and arrays.groups == 1
    if not constant or hp.momentum:
        return rows
    closure = Closure(run)
    if closure.limit:
        square, source, assumes = float(closure.equilibrium()[0, 0]), "theory.md 2.3", "constant noise trace; any loss"
    elif run.problem.loss.name == "vmf":
        square = _vmf_norm_squared(run, closure)
        source = "theory.md 4.3, 8.3"
        assumes = "E G of the von Mises-Fisher law at the temperature of the equilibrium; small u"
    else:
        return rows
    rows["weight_norm"] = {"value": math.sqrt(square), "source": source, "assumes": assumes}
    rows["effective_lr"] = {"value": hp.lr / square, "source": source, "assumes": assumes}
    if closure.limit:
        rows["time_to_equilibrium"] = {
            "value": closure.relaxation_epochs(),
            "source": "theory.md 2.3",
            "assumes": assumes,
        }
    return rows


def _vmf_norm_squared(run: Run, closure: Closure) -> float:
    """Norm and signal of the von Mises-Fisher law decide each other: the fixed point, by bisection."""
    from scipy.optimize import brentq

    hp, arrays = run.settled, run.arrays
    strength = run.problem.parameters["signal"]
    if strength == 0:
        return float(closure.equilibrium()[0, 0])

    def excess(square: float) -> float:
        kappa = 2 * strength * square * hp.B / (hp.lr * arrays.noise_variance)
        mean = vmf_resultant(kappa, arrays.dim)
        signal = strength**2 * (arrays.dim - 1) / kappa * mean
        return float(closure.equilibrium(signal)[0, 0]) - square

    low = float(closure.equilibrium()[0, 0])
    high = float(closure.equilibrium(strength**2)[0, 0])
    return float(brentq(excess, low * (1 - 1e-12), high * (1 + 1e-12)))  # pyright: ignore[reportArgumentType]
