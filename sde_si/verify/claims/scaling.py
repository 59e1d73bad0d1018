"""Where a mean gradient sets SGD and its SDE apart, and where linear scaling of batch and lr breaks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.run import Run
from sde_si.verify.claim import FAILS, HOLDS, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    at_equilibrium,
    describe,
    run,
    sde_square,
)
from sde_si.verify.claims.systems import ROTATING, rotating, sgd_norm, signal_of

_OVER_SDE = Quantity("E|x|^2 of SGD over that of the SDE",
                     "mean of |x|^2 at epoch ends over paths and equilibrated epochs, over the SDE's closed form")  # fmt: skip
_OVER_ONE = Quantity("E|x|^2 over that of k = 1", "both from the means of |x|^2 over paths and equilibrated epochs")
_FACTOR = Quantity("k at which the measured norm is reached", "from the measured ratio of E|x|^2 by the formula")
_STRENGTHS = (0.1, 0.5, 2.0)
_BASIN = "vmf"


def _ratio_runs(scale: float, seed: int) -> dict[str, Run]:
    out = {
        f"{strength:g}": rotating(
            strength, N=40, lr=0.05, wd=0.05, dim=32, epochs=60, paths=48, scale=scale, seed=seed + i
        )
        for i, strength in enumerate(_STRENGTHS)
    }
    return out | {_BASIN: run("vmf", N=200, B=1, lr=0.1, wd=0.05, dim=4, epochs=60, paths=256, init_norm=1.3, seed=seed,
                              parameters={"signal": 10.0}, scale=scale)}  # fmt: skip


def _squared_norm(record: Any) -> tuple[float, float]:
    found = at_equilibrium(record, "weight_norm")
    return found["measured"] ** 2, 2 * found["measured"] * found["stderr"]


def _strength(records: Records, name: str, one: Run) -> tuple[float, float]:
    """G/tau and its standard error: given, or, in a basin, as measured."""
    if name != _BASIN:
        return signal_of(one) / one.noise_trace, 0.0
    found = at_equilibrium(records[name], "signal")
    return found["measured"] / one.noise_trace, found["stderr"] / one.noise_trace


def _ratio(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        names = [name for name in runs if corrected or name in ("0.5", "2")]
        x, y, errors = [], [], []
        for name in names:
            square = sde_square(runs[name])
            value, stderr = _squared_norm(records[name])
            strength, error = _strength(records, name, runs[name])
            x.append(strength)
            y.append(value / square)
            # where G itself is measured, the prediction has an error, too
            errors.append(math.hypot(stderr / square, error / (2 * theory.norm_ratio(strength))))
        order = np.argsort(x)
        curve = Curve(x=np.array(x)[order], measured=np.array(y)[order], stderr=np.array(errors)[order], log="x",
                      lines={"sqrt(1 + G/tau)": np.array([theory.norm_ratio(g) for g in np.array(x)[order]]), "the SDE": np.ones(len(x))},
                      xlabel="signal over noise, G/tau", ylabel="E |x|^2 of SGD over the SDE's")  # fmt: skip
        out = []
        for name, strength, value, stderr in zip(names, x, y, errors, strict=True):
            # sqrt(1 + G/tau) but for O(u)
            truth = sgd_norm(runs[name], signal=strength * runs[name].noise_trace) ** 2 / sde_square(runs[name])
            common = {"quantity": _OVER_SDE, "system": f"{describe(runs[name])}, G = {strength:.3g} tau", "measured": value,
                      "stderr": stderr, "curve": None if out else curve}  # fmt: skip
            if corrected:
                out.append(Measurement(predicted=truth, wrong=1.0, **common))
            else:
                out.append(Measurement(predicted=1.0, truth=truth, wrong=1 + strength, **common))
        return out

    return measure


_SCALES, _WEAK_SIGNAL = (1, 4, 16, 64), 0.05


def _scaling_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        f"k={k}": rotating(_WEAK_SIGNAL, N=640, B=k, lr=0.005 * k, wd=0.05, dim=32, epochs=40, paths=48, scale=scale,
                           seed=seed + k)
        for k in _SCALES
    }  # fmt: skip


def _scaling_curve(records: Records, runs: Runs) -> tuple[dict[int, tuple[float, float]], Curve]:
    """Ratio of E |x|^2 to that of k = 1, with its error, by k."""
    base, base_error = _squared_norm(records["k=1"])
    ratios = {}
    for k in _SCALES[1:]:
        value, stderr = _squared_norm(records[f"k={k}"])
        ratios[k] = value / base, math.hypot(stderr / base, value / base * base_error / base)
    k = np.array(_SCALES[1:])
    y, errors = np.array(list(ratios.values())).T
    return ratios, Curve(
        x=k, measured=y, stderr=errors, xlabel="k, factor on batch and lr", ylabel="E |x|^2 over that of k = 1", log="x",
        lines={"sqrt((tau + k G)/(tau + G))": np.sqrt((1 + k * _WEAK_SIGNAL) / (1 + _WEAK_SIGNAL)),
               "linear scaling": np.ones(k.size)},
    )  # fmt: skip


def _costs(runs: Runs, k: int) -> float:
    """E |x|^2 of SGD scaled by k over that of k = 1, exact in u."""
    lengths = [sgd_norm(runs[name], signal=signal_of(runs[name])) ** 2 for name in (f"k={k}", "k=1")]
    return lengths[0] / lengths[1]


def _scaling_breaks(records: Records, runs: Runs) -> Sequence[Measurement]:
    ratios, curve = _scaling_curve(records, runs)
    out = []
    for k in (16, 64):
        value, stderr = ratios[k]
        out.append(Measurement(quantity=_OVER_ONE, system=f"{describe(runs[f'k={k}'])}, k = {k}, G = 0.05 tau at k = 1",
                               predicted=1.0, truth=_costs(runs, k), measured=value, stderr=stderr, wrong=math.sqrt(k),
                               curve=None if out else curve))  # fmt: skip
    return out


def _scaling_bound(records: Records, runs: Runs) -> Sequence[Measurement]:
    ratios, curve = _scaling_curve(records, runs)
    out = []
    for k in (16, 64):
        value, stderr = ratios[k]
        slope = 2 * value * (1 + 1 / _WEAK_SIGNAL)
        out.append(Measurement(quantity=_FACTOR, system=f"{describe(runs[f'k={k}'])}, k = {k}, G = 0.05 tau at k = 1",
                               predicted=theory.largest_scaling(_costs(runs, k), 1 / _WEAK_SIGNAL),
                               measured=theory.largest_scaling(value, 1 / _WEAK_SIGNAL), stderr=slope * stderr, wrong=k + 1 / _WEAK_SIGNAL,
                               curve=None if out else curve))  # fmt: skip
    return out


_TIMES = {
    "k": "factor on batch size and learning rate",
    "tau": "noise trace at k = 1",
    "R(k)": "E|x|^2 with both k times",
}

CLAIMS = (
    Claim(id="sde-norm-with-signal", source="Yun et al. eqs. 11, 12; theory.md 4.3, 4.4", expected=FAILS,
          statement="The SDE has the optimizer's length of the weights.", formula="R of SGD/R of the SDE = 1, R of the SDE = sqrt(lr tau/(2 wd))",
          assumes=ROTATING, tolerance={"Monte Carlo": 0.02}, wrong="1 + G/tau without the root",
          broken="noise domination: the mean gradient lengthens SGD's weights, not the SDE's",
          corrected="necessary-condition", runs=_ratio_runs, measure=_ratio(False)),
    Claim(id="necessary-condition", source="Li, Malladi and Arora 2021; theory.md 4.4", expected=HOLDS,
          statement="SGD and its SDE agree in E |x|^2 within a factor C only where tau/G >= 1/(C^2 - 1).",
          formula="R of SGD/R of the SDE = sqrt(1 + G/tau)", assumes="norm equilibrium, small u; in a basin the measured G",
          tolerance={MONTE_CARLO: 0.006, "norm fluctuates": 0.012}, wrong="they are equal", runs=_ratio_runs,
          measure=_ratio(True)),
    Claim(id="linear-scaling", source="Goyal et al. 2017; theory.md 4.5, 7.1", expected=FAILS,
          statement="k times the batch and k times lr leave the equilibrium as it is.", formula="E |x|^2(k) = E |x|^2(1)", where=_TIMES,
          assumes=ROTATING, tolerance={"Monte Carlo": 0.02}, wrong="as if there were no noise: sqrt(k)",
          broken="k G << tau: the signal is not averaged away with the noise", corrected="linear-scaling-limit",
          runs=_scaling_runs, measure=_scaling_breaks),
    Claim(id="linear-scaling-limit", source="Li, Malladi and Arora 2021; theory.md 4.5", expected=HOLDS,
          statement="Linear scaling by k costs a factor C in E |x|^2 at k = C^2 + (C^2 - 1) tau/G.",
          formula="(R(k)/R(1))^2 = (tau + k G)/(tau + G), solved for k", where=_TIMES, assumes=ROTATING,
          tolerance={MONTE_CARLO: 0.035, FINITE_D: 0.02}, wrong="the looser bound k = C^2 (1 + tau/G)",
          runs=_scaling_runs, measure=_scaling_bound),
)  # fmt: skip
