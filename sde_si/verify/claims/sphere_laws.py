"""Stationary laws on the sphere at a fixed effective learning rate, with noise; and on the free norm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.estimators import Estimate, mean_and_error, values, versine
from sde_si.jit import jitted
from sde_si.losses.base import Loss, Parameter
from sde_si.run import Run
from sde_si.verify.claim import HOLDS, Claim, Measurement, Quantity
from sde_si.verify.claims.common import MONTE_CARLO, STEP_SIZE, Records, Runs, describe, extrapolated, run

DIMS = (2, 3, 6, 16)
PATHS = {2: 768, 3: 768, 6: 512, 16: 256}  # the mean loss of many dimensions fluctuates less
TURN = 0.4  # mean square of the angle of one step, of which an integrator makes `substeps`
HALVES = (4, 8)  # substeps: step size and half of it
BURN = 20  # epochs of ten steps: forty relaxation times of the free diffusion
OUTSIDE = "isotropic noise; step size extrapolated from two, h and h/2"


def _on_sphere(loss: str | Loss, *, effective_lr: float, seed: int, **options: Any) -> Run:
    """A run of Euler-Maruyama with a tangent step and retraction, all weights held at length 1."""
    parameters = {"loss": loss, "N": 10, "B": 1, "wd": 0.0, "init_norm": 1.0, "method": "em", "epochs": 220}
    chosen = parameters | options
    return run(lr=effective_lr, seed=seed, **chosen).replace(constraint="total")


def _law_runs(loss: str, strengths: dict[int, float], key: str):
    """Temperature 1/2 and mean square TURN a step: eta c = 1, eta (d - 1) = TURN."""

    def runs(scale: float, seed: int) -> dict[str, Run]:
        out = {}
        for dim, strength in strengths.items():
            eta = TURN / (dim - 1)
            for substeps in HALVES:
                # the coarser run is driven by the summed increments of the finer: their difference has little noise
                out[f"{dim} {substeps}"] = _on_sphere(
                    loss, effective_lr=eta, dim=dim, paths=PATHS[dim], scale=scale, seed=seed + dim, substeps=substeps,
                    parameters={key: strength, "noise_scale": 1 / eta}, noise_from=HALVES[-1],
                )  # fmt: skip
        return out

    return runs


_LOSS = Quantity("mean loss", f"over paths and epoch ends after {BURN}, twice the run of {HALVES[1]} substeps minus that of {HALVES[0]}, "
                 "path by path; error between paths")  # fmt: skip


def _settled(v: np.ndarray) -> np.ndarray:
    """Mean of each path after the start."""
    return v[:, BURN:].mean(axis=1)


def _limit(records: Records, name: str) -> Estimate:
    """Mean loss as the step goes to 0."""
    return extrapolated(records, f"{name} {HALVES[0]}", f"{name} {HALVES[1]}", "loss", _settled)


def _both(one: Run) -> str:
    return f"{describe(one)}, and {HALVES[1]}, extrapolated, on the sphere"


def _vmf(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for dim in DIMS:
        one, found = runs[f"{dim} {HALVES[0]}"], _limit(records, f"{dim}")
        strength = one.problem.parameters["signal"]
        laws = [-strength * theory.vmf_resultant(strength / t, dim) for t in (0.5, 1.0)]
        out.append(Measurement(quantity=_LOSS, system=_both(one), predicted=laws[0], wrong=laws[1], measured=found.value,
                               stderr=found.stderr))  # fmt: skip
    return out


def _bingham(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for dim in DIMS:
        one, found = runs[f"{dim} {HALVES[0]}"], _limit(records, f"{dim}")
        a = one.problem.parameters["curvature"]
        laws = [a * theory.bingham_second_moment(a / t, dim) for t in (0.5, 1.0)]
        out.append(Measurement(quantity=_LOSS, system=_both(one), predicted=laws[0], wrong=laws[1], measured=found.value,
                               stderr=found.stderr))  # fmt: skip
    return out


def _colder(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Sign of the shift at a finite step: 1 for too cold (a lower loss); unknown within ten standard errors of 0."""
    out = []
    what = Quantity(
        "sign of E loss(0) - E loss(h)",
        "of the shift of the mean loss from the step size to none, if it is more than ten standard errors",
    )
    for dim in DIMS:
        found = _limit(records, f"{dim}")
        means = [_settled(values(records[f"{dim} {k}"], "loss")) for k in HALVES]
        coarse, shift = mean_and_error(means[0]), mean_and_error(2 * (means[0] - means[1]))
        certain = abs(shift.value) > 10 * shift.stderr
        sign = -math.copysign(1.0, shift.value) if certain else math.nan
        system = f"{describe(runs[f'{dim} {HALVES[0]}'])}: shift {100 * (coarse.value / found.value - 1):+.2g} %"
        out.append(Measurement(quantity=what, system=system, predicted=1.0, measured=sign, wrong=-1.0))
    return out


_SQUARE = 0.1  # mean square of a tangent step


def _retraction_runs(scale: float, seed: int) -> dict[str, Run]:
    """No loss; epochs of one step, so that every step's cosine counts for itself."""
    return {
        f"{dim}": _on_sphere("isotropic", N=1, effective_lr=math.sqrt(_SQUARE / (dim - 1)), dim=dim, substeps=1,
                             paths=4 * PATHS[dim], epochs=200, scale=scale, seed=seed + dim)
        for dim in DIMS
    }  # fmt: skip


def one_step_cosine(square: float, dim: int) -> float:
    """Mean cosine of a Gaussian tangent step of mean square `square` and retraction: E (1 + w)^(-1/2).

    With w = square chi^2_{d-1}/(d - 1); Laplace's transform of chi^2 leaves one integral. Its expansion is
    1 - v^2/2 + (3/8) v^4 (d + 1)/(d - 1) - ... (theory.md 3.4).
    """
    from scipy.integrate import quad

    free = dim - 1
    # (1 + w)^(-1/2) = int exp(-t^2 (1 + w)) dt 2/sqrt(pi), and E exp(-t^2 w) = (1 + 2 t^2 square/free)^(-free/2)
    value, _ = quad(lambda t: math.exp(-t * t) * (1 + 2 * t * t * square / free) ** (-free / 2), 0, math.inf)
    return 2 / math.sqrt(math.pi) * value


def _retraction(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    what = Quantity(
        "1 + ln(E cos)/(v^2/2): what the diffusion lacks",
        "mean cosine of one step over paths and steps, v^2 its mean square before the retraction; error between paths",
    )
    for dim in DIMS:
        turned = mean_and_error(versine(values(records[f"{dim}"], "angle_epoch")).mean(axis=1))
        lacking = 1 + math.log1p(-turned.value) / (_SQUARE / 2)
        error = turned.stderr / (1 - turned.value) / (_SQUARE / 2)
        predicted = 1 + math.log(one_step_cosine(_SQUARE, dim)) / (_SQUARE / 2)
        first = _SQUARE / 2 * (dim + 2) / (dim - 1)
        system = f"{describe(runs[f'{dim}'])} on the sphere: to first order {first:.4g}"
        out.append(Measurement(quantity=what, system=system, predicted=predicted, measured=lacking, stderr=error,
                               wrong=-first))  # fmt: skip
    return out


@jitted
def circle_gradient(x, params, out, value):
    """No mean gradient; the "loss" is the cosine, so that a record holds its mean."""
    for p in range(x.shape[0]):
        value[p] = x[p, 0] / np.sqrt(x[p, 0] * x[p, 0] + x[p, 1] * x[p, 1])
        out[p, 0] = 0.0
        out[p, 1] = 0.0


@jitted
def circle_noise(x, xi, amplitude, params, offsets, out):
    """Along the circle, of size s = 1 + b cos(phi): one increment a path."""
    b = params[0][0, 0]
    for p in range(x.shape[0]):
        r = np.sqrt(x[p, 0] * x[p, 0] + x[p, 1] * x[p, 1])
        s = amplitude * (1 + b * x[p, 0] / r) * xi[p, 0] / r
        out[p, 0] -= s * x[p, 1] / r
        out[p, 1] += s * x[p, 0] / r


CIRCLE = Loss(
    name="circle", summary="noise 1 + b cos(phi) along the circle, nothing else", source="theory.md 8.5",
    gradient=circle_gradient, noise=circle_noise,
    parameters={"modulation": Parameter(0.6, "b", least=0.0)},
)  # fmt: skip


_MODULATIONS = (0.4, 0.6)


def _circle_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        f"{b:g} {k}": _on_sphere(CIRCLE, effective_lr=0.5, dim=2, substeps=k, paths=1024, epochs=320, N=10, scale=scale,
                                 seed=seed + i, parameters={"modulation": b}, noise_from=HALVES[-1])
        for i, b in enumerate(_MODULATIONS) for k in HALVES
    }  # fmt: skip


def _circle(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Stationary density 1/s^2 (Ito); Stratonovich's would be 1/s, with mean cosine (sqrt(1 - b^2) - 1)/b."""
    out = []
    what = Quantity("E cos(phi)", _LOSS.how)
    for b in _MODULATIONS:
        found, one = _limit(records, f"{b:g}"), runs[f"{b:g} {HALVES[0]}"]
        out.append(Measurement(quantity=what, system=f"{_both(one)}, s = 1 + {b:g} cos(phi)", predicted=-b, measured=found.value,
                               stderr=found.stderr, wrong=(math.sqrt(1 - b * b) - 1) / b))  # fmt: skip
    return out


def _free_runs(scale: float, seed: int) -> dict[str, Run]:
    """SGD with u = 0.002 on the free norm, twice, and projected SGD at gamma* = sqrt(2u/tau)."""
    u, dim, kappa = 0.002, 3, 4.5
    gamma = math.sqrt(2 * u / (dim - 1))
    chosen = {"N": 500, "B": 1, "dim": dim, "epochs": 120, "paths": 288, "scale": scale,
              "parameters": {"signal": kappa * gamma / 2}}  # fmt: skip
    out = {
        f"lr={lr:g}": run("vmf", lr=lr, wd=u / lr, method="sgd", init_norm="1eq", seed=seed + i, **chosen)
        for i, lr in enumerate((0.1, 0.4))
    }
    sphere = _on_sphere("vmf", effective_lr=gamma, method="sgd", seed=seed + 2, **chosen)
    return out | {"sphere": sphere}


def _free(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Mean loss on the free norm beside that on the sphere: their ratio, and each beside the law."""
    what = Quantity("mean loss", f"over paths and epoch ends after {BURN}; error between paths")
    ratio = Quantity("mean loss over that on the sphere", f"both {what.how}")
    sphere = mean_and_error(_settled(values(records["sphere"], "loss")))
    one = runs["sphere"]
    strength, gamma, dim = one.problem.parameters["signal"], one.hyperparameters.lr, one.arrays.dim
    law, wrong = (
        -strength * theory.vmf_resultant(2 * strength / (g * 1.0), dim) for g in (gamma, gamma / math.sqrt(2))
    )
    out = [Measurement(quantity=what, system=f"{describe(one)} on the sphere, lr = gamma*", predicted=law, measured=sphere.value,
                       stderr=sphere.stderr, wrong=wrong)]  # fmt: skip
    for name, free in runs.items():
        if name == "sphere":
            continue
        found = mean_and_error(_settled(values(records[name], "loss")))
        error = math.hypot(found.stderr / found.value, sphere.stderr / sphere.value)
        over = found.value / sphere.value
        out.append(Measurement(quantity=ratio, system=describe(free), predicted=1.0, measured=over, stderr=error * over,
                               wrong=wrong / law))  # fmt: skip
    return out


_VMF = _law_runs("vmf", {dim: dim / 2 for dim in DIMS}, "signal")
_BINGHAM = _law_runs("bingham", {2: -1.0, 3: -1.5, 6: -3.0, 16: -8.0}, "curvature")
CLAIMS = (
    Claim(id="sphere-vmf", source="theory.md 8.3, 14.3", expected=HOLDS, runs=_VMF, measure=_vmf,
          statement="At a fixed effective LR the direction in a linear field has von Mises and Fisher's law at "
                    "temperature gamma sigma^2/2.",
          formula="E L = -|m| I_{d/2}(kappa)/I_{d/2-1}(kappa), kappa = 2|m|/(gamma sigma^2)",
          where={"I_j": "modified Bessel function"}, assumes=OUTSIDE,
          tolerance={MONTE_CARLO: 0.006, STEP_SIZE + ", second order": 0.004}, wrong="twice the temperature"),
    Claim(id="sphere-bingham", source="theory.md 8.3, 14.4", expected=HOLDS, runs=_BINGHAM, measure=_bingham,
          statement="In a quadratic field it has Bingham's law at the same temperature.",
          formula="E L = E <y, M y>, p ~ exp(-2 <y, M y>/(gamma sigma^2))",
          where={"M": "matrix of the quadratic field, a on its first axis alone", "p": "density of the direction"}, assumes=OUTSIDE,
          tolerance={MONTE_CARLO: 0.006, STEP_SIZE + ", second order": 0.004}, wrong="twice the temperature"),
    Claim(id="sphere-retraction-cold", source="theory.md 3.4", expected=HOLDS, runs=_VMF, measure=_colder,
          statement="At a finite step the retraction comes out too cold in a linear field.",
          formula="E L(h) < E L(0)", where={"L(h)": "loss in the stationary law of substep h"}, assumes="isotropic noise, tangent step and retraction",
          tolerance={"a sign": 1e-9}, wrong="too hot"),
    Claim(id="sphere-retraction-bias", source="theory.md 3.4", expected=HOLDS, runs=_retraction_runs, measure=_retraction,
          statement="A tangent step and retraction diffuse too little by a known fraction.",
          formula="1 + ln(E cos)/(v^2/2) = (v^2/2)(d + 2)/(d - 1) + ..., by quadrature of E cos",
          where={"v": "root mean square of the tangent step"}, assumes="no loss, Gaussian noise",
          tolerance={MONTE_CARLO: 0.06, "quadrature": 0.001}, wrong="too much by it"),
    Claim(id="sphere-ito", source="theory.md 8.5", expected=HOLDS, runs=_circle_runs, measure=_circle,
          statement="Noise that depends on the direction is Ito's: on the circle the density is 1/s^2.",
          formula="E cos(phi) = -b for s = 1 + b cos(phi)",
          where={"phi": "angle of the direction", "s": "size of the noise", "b": "how much it varies"}, assumes="one noise along the circle; " + OUTSIDE.split("; ")[1],
          tolerance={MONTE_CARLO: 0.015, STEP_SIZE + ", second order": 0.01},
          wrong="Stratonovich's 1/s"),
    Claim(id="sphere-free-norm", source="theory.md 8.4", expected=HOLDS, runs=_free_runs, measure=_free,
          statement="SGD with weak decay on the free norm reaches the law of the sphere at gamma* = sqrt(2u/tau), whatever "
                    "lr and wd give u.",
          formula="E L of the sphere at gamma* = sqrt(2u/tau), H = gamma* sigma^2/2 = (sigma/2) sqrt(2u/(d - 1))",
          where={"H": "temperature of the direction's law"}, assumes="isotropic noise, small u, signal far below the noise",
          tolerance={MONTE_CARLO: 0.006, "finite u and signal": 0.006}, wrong="sqrt(u/tau)"),
)  # fmt: skip
