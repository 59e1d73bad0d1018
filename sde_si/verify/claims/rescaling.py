"""Yun et al.'s equations as printed, rescaled, for the direction; and what sets the temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.estimators import ratio, rms, values
from sde_si.run import Run
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Measurement, Quantity
from sde_si.verify.claims.common import (
    MONTE_CARLO,
    STEP_SIZE,
    Records,
    Runs,
    at_epoch,
    course,
    describe,
    run,
    window,
)

_N, _B, _ETA, _WD, _DIM = 5000, 100, 0.1, 0.05, 256  # tuning factor 0.25
_START = 0.6  # of the equilibrium length: with it, the transient tells the strength of the noise


def _rescaled_runs(scale: float, seed: int) -> dict[str, Run]:
    """Eq. 12 as it is, and eq. 15: time in epochs, drift times N/B, noise of variance N/B per unit.

    The latter is the SDE of lr N/B and batch N, as lr Sigma/B times (N/B)^2 dt is (N/B)^2 lr^2 Sigma/N.
    """
    common = {"N": _N, "wd": _WD, "dim": _DIM, "epochs": 8, "paths": 768, "init_norm": f"{_START}eq", "scale": scale}
    return {
        "eq. 12": run(B=_B, lr=_ETA, method="splitting", substeps=1, seed=seed, **common),
        "eq. 15": run(B=_N, lr=_ETA * _N / _B, method="em", substeps=60, seed=seed + 1000, **common),
    }


def _rescaled(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Against eq. 12 in closed form; both starts are the same length."""
    n, sigma = _N // _B, 1 / math.sqrt(_B)
    start = runs["eq. 12"].start_norm

    def versines(strength: float) -> np.ndarray:
        square = (strength * sigma) ** 2 * (_DIM - 1)
        Q = [theory.quartic_norm(_ETA * n * e, _ETA, _WD, noise_trace=square, start=start**4) for e in range(9)]
        return 1 - math.exp(-_WD * _ETA * n) * (np.array(Q[:-1]) / np.array(Q[1:])) ** 0.25

    right, lost = versines(1.0), versines(math.sqrt(_B / _N))
    out = []
    for name, one in runs.items():
        lines = {"eq. 12": right, "without sqrt(N/B)": lost}
        curve = course(records[name], "versine_epoch", lines, "1 - cosine over the epoch")
        out += [
            Measurement(system=f"{name} as {describe(one)}, start {_START} of equilibrium, epoch {epoch}",
                        predicted=float(right[epoch - 1]), wrong=float(lost[epoch - 1]),
                        curve=curve if epoch == 1 else None, **at_epoch(records[name], "versine_epoch", epoch))
            for epoch in (1, 2)
        ]  # fmt: skip
    return out


_LENGTH, _STEPS = (
    3.0,
    2000,
)  # |x|, so that powers of it tell; steps of the second epoch, over which nothing else changes


def _direction_runs(scale: float, seed: int) -> dict[str, Run]:
    """Steps so small that length, gradient and direction stay as they are; the first epoch warms up the velocity."""
    common: dict[str, Any] = {"N": _STEPS * 100, "B": 100, "lr": 1e-6, "wd": 0.0, "epochs": 2, "init_norm": _LENGTH,
                              "scale": scale, "seed": seed}  # fmt: skip
    still = {"loss": "vmf", "parameters": {"noise_scale": 0.0, "signal": 1.0}, "dim": 16, "paths": 8}
    return {
        "noise 0": run(momentum=0.0, dim=64, paths=256, **common),
        "noise 0.9": run(momentum=0.9, dim=64, paths=256, **common),
        "gradient 0.9": run(momentum=0.9, **(common | still)),
    }


_BY_NOISE = Quantity(
    "rms angle over 2000 steps", "root mean square over paths in the second epoch; error between paths", "rad"
)
_BY_GRADIENT = Quantity("angle over 2000 steps over the gradient's length at the unit vector",
                        "mean over paths in the second epoch; no noise", "rad")  # fmt: skip


def _turned(record: Any, gradient: bool) -> dict[str, Any]:
    """Root mean square angle over the second epoch; for a gradient in units of its own length at the unit vector."""
    angle = values(record, "angle_epoch")[:, 1]
    if gradient:
        each = angle / np.sqrt(values(record, "signal")[:, 1])
        return {"quantity": _BY_GRADIENT, "measured": float(each.mean()), "stderr": 0.0}
    found = rms(angle)
    return {"quantity": _BY_NOISE, "measured": found.value, "stderr": found.stderr}


def _prefactors(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        for name, one in runs.items():
            hp, gradient = one.hyperparameters, name.startswith("gradient")
            # what one step's gradient or noise is at the unit vector, summed over the epoch
            moved = hp.lr / (1 - hp.momentum) * (_STEPS if gradient else math.sqrt(_STEPS * one.noise_trace))
            right, printed = moved / _LENGTH**2, moved / _LENGTH
            common = {"system": f"{describe(one)}, |x| = {_LENGTH:g}",
                      **_turned(records[name], gradient)}  # fmt: skip
            if corrected:
                out.append(Measurement(predicted=right, wrong=printed, **common))
            else:
                out.append(Measurement(predicted=printed, truth=right, wrong=moved / _LENGTH**4, **common))
        return out

    return measure


_BASE = {"lr": 0.1, "wd": 0.01, "B": 1, "momentum": 0.0, "steps": 100}
# changes, by what T is multiplied, by what it would be if the last of them had not been made
_CHANGES: dict[str, tuple[dict[str, Any], float, float]] = {
    "base": ({}, 1.0, math.sqrt(2)),
    "lr and wd": ({"lr": 0.4, "wd": 0.0025}, 1.0, 2.0),
    "B and wd": ({"B": 4, "wd": 0.04}, 1.0, 0.5),
    "momentum and wd": ({"momentum": 0.9, "wd": 0.001}, 1.0, math.sqrt(10)),
    "momentum and lr": ({"momentum": 0.9, "lr": 0.01}, 1.0, math.sqrt(10)),
    "N and wd, same tuning factor": ({"steps": 400, "wd": 0.0025}, 0.5, 1.0),
}


def _temperature_runs(scale: float, seed: int) -> dict[str, Run]:
    out = {}
    for i, (name, (change, _, _)) in enumerate(_CHANGES.items()):
        v = _BASE | change
        out[name] = run("vmf", N=v["B"] * v["steps"], B=v["B"], lr=v["lr"], wd=v["wd"], momentum=v["momentum"], dim=16,
                        epochs=50, paths=288 if v["steps"] == 100 else 144, init_norm=_cold_norm(v),
                        parameters={"signal": 0.3}, scale=scale, seed=seed + 1000 * i)  # fmt: skip
    return out


def _cold_norm(v: dict[str, Any]) -> float:
    """Length at which decay balances noise and basin, so that only the direction has to find its law."""
    traces = np.full(15, 1 / v["B"])
    found = theory.basin(v["lr"], v["wd"], v["momentum"], curvatures=np.full(15, 0.3), traces=traces)
    return math.sqrt(found.norm_squared)


_HEAT = Quantity("temperature E|grad L|^2/E Laplacian L on the unit sphere",
                 "mean squared gradient over the mean Laplacian, -(d - 1) L for L = -<m, y>, at epoch ends over paths and "
                 "equilibrated epochs; error from the paths")  # fmt: skip


def _temperature(records: Records, runs: Runs) -> Sequence[Measurement]:
    """T = E|grad L|^2/E[Laplacian L], which needs no normaliser; for -<m, y> the Laplacian is -(d - 1) L."""
    out = []
    base = math.sqrt(_BASE["lr"] * _BASE["wd"] / (2 * 15))
    for name, one in runs.items():
        _, factor, wrong = _CHANGES[name]
        epochs = window(records[name]).epochs
        signal, loss = (values(records[name], what)[:, epochs].mean(axis=1) for what in ("signal", "loss"))
        found = ratio(signal, -(one.arrays.dim - 1) * loss)
        changed = "" if name == "base" else f" ({name} changed)"
        out.append(Measurement(quantity=_HEAT, system=f"{describe(one)}{changed}", predicted=base * factor,
                               wrong=base * wrong, measured=found.value, stderr=found.stderr))  # fmt: skip
    return out


_LAW = "angle = lr/(1 - mu) (n |grad L(y)| or sqrt(n tau))/|x|^2"

CLAIMS = (
    Claim(id="yun-15", source="Yun et al. eqs. 12, 15, 16; theory.md 10.2", expected=HOLDS,
          statement="With time in epochs the SDE keeps its law if the Wiener process of eq. 15 is one of variance N/B per unit.",
          formula="dX = -(N/B)(grad L + wd X) dt + sqrt(N/B) (lr Sigma)^(1/2) dW, so that 1 - E cos is that of eq. 12",
          assumes="noise drawn with replacement, no mean gradient", tolerance={MONTE_CARLO: 0.02, STEP_SIZE: 0.005},
          wrong="a standard Wiener process, sqrt(N/B) lost", runs=_rescaled_runs, measure=_rescaled),
    Claim(id="yun-17-25", source="Yun et al. eqs. 17, 25; theory.md 10.3", expected=FAILS,
          statement="The direction's noise, and with momentum its gradient, too, have the prefactor 1/|x|.",
          formula="angle = lr/(1 - mu) (n |grad L(y)| or sqrt(n tau))/|x|, as printed", assumes="steps so small that nothing else changes", tolerance={"Monte Carlo": 0.05},
          wrong="1/|x|^4", broken="Sigma(x)^(1/2) = Sigma(y)^(1/2)/|x|, and the direction divides by |x| once more",
          corrected="direction-prefactors", runs=_direction_runs, measure=_prefactors(False)),
    Claim(id="direction-prefactors", source="theory.md 10.3, 2.2", expected=HOLDS,
          statement="Gradient and noise turn the direction by lr/|x|^2 each, with momentum by 1/(1 - mu) more.",
          formula=_LAW, assumes="lags far above 1/(1 - mu) steps; steps so small that nothing else changes",
          tolerance={MONTE_CARLO: 0.02, "velocity at the two ends": 0.003}, wrong="1/|x| as printed", runs=_direction_runs,
          measure=_prefactors(True)),
    Claim(id="temperature", source="theory.md 8.9, 8.3", expected=APPROXIMATE,
          statement="The temperature of the direction's stationary law depends on lr wd/(B (1 - mu)) alone; equal tuning "
                    "factors at another N have another one.",
          formula="H^2 = c lr wd/(2 B (1 - mu)(d - 1)), H = E|grad L|^2/E Laplacian L",
          assumes="isotropic noise, norm at equilibrium", tolerance={MONTE_CARLO: 0.025, "finite u, the signal's share": 0.01},
          wrong="one of the two changed quantities does not matter", runs=_temperature_runs, measure=_temperature,
          broken="G/(G + tau) < 0.01 and u << (1 - mu)^2",
          where={"H": "temperature of the direction's law", "c": "variance of one sample's gradient per direction"}),
)  # fmt: skip
