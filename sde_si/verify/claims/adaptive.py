"""Adam, AdamW, Lion: Kosson et al.'s table, what is exact, and how the norm gets there."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sde_si import estimators, theory
from sde_si.run import Run
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Curve, Measurement
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Records,
    Runs,
    at_epoch,
    at_equilibrium,
    describe,
    run,
)

_NOISE = "norm equilibrium, independent isotropic noise, no mean gradient"


def _pair(name: str, records: Records, one: Run, predicted: Any, wrong: Any, truth: Any = None) -> list[Measurement]:
    """Norm and rotation beside (norm, rotation) of the claim, of the wrong variant and of the corrected theory."""
    return [
        Measurement(system=describe(one), predicted=predicted[i], wrong=wrong[i],
                    truth=None if truth is None else truth[i], **at_equilibrium(records[name], quantity))
        for i, quantity in enumerate(("weight_norm", "angle_step"))
    ]  # fmt: skip


def _exact(one: Run) -> tuple[float, float, float]:
    """Norm, rotation, 1 - cos_epoch of the exact law."""
    rows = theory.equilibrium(one)
    norm, rotation, cos = (rows[name].value for name in ("weight_norm", "angle_step", "cos_epoch"))
    assert norm is not None
    assert rotation is not None
    assert cos is not None
    return norm, rotation, 1 - cos


def _kosson(one: Run) -> tuple[float, float]:
    """Norm and rotation of the table."""
    rows = theory.equilibrium(one)
    norm, rotation = rows["weight_norm"].paper, rows["angle_step"].paper
    assert norm is not None
    assert rotation is not None
    return norm, rotation


# --- Kosson's table -------------------------------------------------------------------------------------------------

_SLOW: dict[str, Any] = {"N": 50_000, "B": 100, "lr": 0.01, "wd": 0.02, "momentum": 0.9, "epochs": 60}


def _adamw_table_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"u=2e-4": run(method="adamw", beta2=0.99, paths=24, scale=scale, seed=seed, **_SLOW)}


def _adamw_table(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    norm, rotation = _kosson(one)
    wrong = (norm * math.sqrt(2), math.sqrt(2 * one.hyperparameters.intrinsic_lr))
    return _pair(name, records, one, (norm, rotation), wrong)


def _adamw_runs(scale: float, seed: int) -> dict[str, Run]:
    common: dict[str, Any] = {
        "method": "adamw",
        "lr": 0.05,
        "momentum": 0.9,
        "dim": 2048,
        "paths": 16,
        "scale": scale,
        "seed": seed,
    }
    return {
        "u=0.02": run(N=1000, B=100, wd=0.4, beta2=0.99, epochs=500, **common),
        "b2=0.98": run(N=10_000, B=100, wd=0.02, beta2=0.98, epochs=80, **common),
    }


def _adamw_large_u(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    norm, truth = _kosson(one)[0], _exact(one)[0]
    return [Measurement(system=describe(one), predicted=norm, truth=truth, wrong=norm + 2 * (truth - norm),
                        **at_equilibrium(records[name], "weight_norm"))]  # fmt: skip


def _adamw(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        hp = one.hyperparameters
        n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
        norm, rotation, versine = _exact(one)
        out += _pair(name, records, one, (norm, rotation), (_kosson(one)[0], math.sqrt(2 * u)))
        coupled = 1 - float(theory.lag_cosines(n, u, mu)[-1])
        out.append(Measurement(system=describe(one), predicted=versine, wrong=coupled,
                               **at_equilibrium(records[name], "versine_epoch")))  # fmt: skip
    return out


def _adam_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"L2": run(method="adam", N=5000, B=100, lr=0.003, wd=0.05, momentum=0.9, beta2=0.99, epochs=100, paths=96,
                      scale=scale, seed=seed)}  # fmt: skip


def _adam_table(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    hp = one.hyperparameters
    return _pair(
        name, records, one, _kosson(one), theory.kosson_adamw(hp.lr, hp.wd, hp.momentum, one.arrays.dim)
    )  # fmt: skip


def _adam_as_adamw(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    hp = one.hyperparameters
    predicted = theory.kosson_adamw(hp.lr, hp.wd, hp.momentum, one.arrays.dim).rotation
    return [Measurement(system=describe(one), predicted=predicted, truth=_kosson(one)[1],
                        wrong=math.sqrt(2 * hp.intrinsic_lr), **at_equilibrium(records[name], "angle_step"))]  # fmt: skip


def _lion_short_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"u=2e-3": _lion_runs(scale, seed)["u=2e-3"]}


def _lion_runs(scale: float, seed: int) -> dict[str, Run]:
    """The golden systems 14.15; the norm fluctuates by O(1/d)."""
    common: dict[str, Any] = {"method": "lion", "lr": 0.01, "dim": 1024, "paths": 20, "scale": scale, "seed": seed}
    return {
        "u=2e-3": run(N=5000, B=100, wd=0.2, momentum=0.9, beta2=0.99, epochs=120, **dict(common, dim=2048)),
        "u=1e-3": run(N=10_000, B=100, wd=0.1, momentum=0.95, beta2=0.98, epochs=90, **common),
        "u=2e-4": run(N=50_000, B=100, wd=0.02, momentum=0.9, beta2=0.99, epochs=60, **common),
    }


def _lion_table(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    predicted, truth = _kosson(one), _exact(one)[:2]
    half = [(a + b) / 2 for a, b in zip(predicted, truth, strict=True)]
    return _pair(name, records, one, predicted, half, truth)


def _lion(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        hp = one.hyperparameters
        u, size = hp.intrinsic_lr, hp.lr * math.sqrt(one.arrays.dim)
        norm, rotation, versine = _exact(one)
        # signs of independent steps: no memory
        out += _pair(name, records, one, (norm, rotation), (size / math.sqrt(2 * u), math.sqrt(2 * u)))
        out.append(Measurement(system=describe(one), predicted=versine,
                               wrong=1 - (1 - u) ** hp.steps_per_epoch,
                               **at_equilibrium(records[name], "versine_epoch")))  # fmt: skip
    return out


def _sgdw_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"u=2e-4": run(method="sgdw", paths=24, scale=scale, seed=seed, **dict(_SLOW, epochs=40))}


def _sgdw_table(records: Records, runs: Runs) -> Sequence[Measurement]:
    [(name, one)] = runs.items()
    hp, trace = one.hyperparameters, one.noise_trace
    coupled = (math.sqrt(theory.sgd_moments(hp.lr, hp.wd, hp.momentum, noise_trace=trace).xx),
               theory.step_angle(hp.intrinsic_lr, hp.momentum))  # fmt: skip
    return _pair(
        name, records, one, theory.kosson_sgdw(hp.lr, hp.wd, hp.momentum, noise_trace=trace), coupled
    )  # fmt: skip


# --- how the norm gets there ----------------------------------------------------------------------------------------

_AFTER = 1.0  # decay times 1/u after the start at which the norm is read


def _rate_runs(scale: float, seed: int) -> dict[str, Run]:
    common: dict[str, Any] = {"method": "adamw", "N": 5000, "B": 100, "lr": 0.01, "wd": 0.1, "momentum": 0.9,
                              "init_norm": "0.5eq", "epochs": 20, "paths": 96, "scale": scale, "seed": seed}  # fmt: skip
    return {"0.95": run(beta2=0.95, **common), "0.999": run(beta2=0.999, **common)}


def _course(one: Run) -> tuple[np.ndarray, np.ndarray]:
    """Length at the ends of epochs: by the recursion, and relaxing at 2u."""
    hp = one.hyperparameters
    n, u, unit = hp.steps_per_epoch, hp.intrinsic_lr, hp.lr**2 * one.arrays.dim
    assert hp.beta2 is not None
    k = n * np.arange(1, hp.epochs + 1)
    start = one.start_norm**2
    exact = unit * theory.adamw_norms(int(k[-1]), u, hp.momentum, hp.beta2, start / unit)[k]
    return np.sqrt(exact), np.sqrt(theory.relaxed(k, start, _exact(one)[0] ** 2, u))


def _rate(corrected: bool) -> Callable[[Records, Runs], Sequence[Measurement]]:
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        for name, one in runs.items():
            hp, record = one.hyperparameters, records[name]
            exact, simple = _course(one)
            end, four = _exact(one)[0], 2 * hp.intrinsic_lr
            epoch = round(_AFTER / (hp.intrinsic_lr * hp.steps_per_epoch))
            quick = math.sqrt(
                float(theory.relaxed(np.array(epoch * hp.steps_per_epoch), one.start_norm**2, end**2, four))
            )
            value, error = estimators.series(record, "weight_norm")
            curve = Curve(x=hp.steps_per_epoch * np.arange(1, hp.epochs + 1), measured=value, stderr=error,
                          lines={"moments with v's memory": exact, "rate 2u": simple}, xlabel="step", ylabel="weight norm")  # fmt: skip
            system = f"{describe(one)} from half the length, epoch {epoch}"
            found, i = at_epoch(record, "weight_norm", epoch), epoch - 1
            if corrected:
                wrong = float(simple[i]) if hp.beta2 == 0.999 else quick
                out.append(Measurement(system=system, predicted=float(exact[i]), wrong=wrong, curve=curve, **found))
            elif hp.beta2 == 0.999:
                out.append(Measurement(system=system, predicted=float(simple[i]), truth=float(exact[i]), wrong=quick,
                                       curve=curve, **found))  # fmt: skip
        return out

    return measure


CLAIMS = (
    Claim(id="kosson-adamw", source="Kosson et al.; theory.md 6.7", expected=APPROXIMATE,
          statement="AdamW's length and angle of a step know nothing of the gradient's size.",
          formula="|x*| = sqrt(lr C/(2 wd)), Delta* = sqrt(2u (1 - b1)/(1 + b1))", assumes=_NOISE,
          tolerance={MONTE_CARLO: 0.004, "u b1/(1 - b1^2) = 0.001 and (1 - b2)/2 = 0.005": 0.006},
          wrong="norm without the 2; angle sqrt(2u), as if b1 were 0", runs=_adamw_table_runs, measure=_adamw_table,
          broken="u b1/(1 - b1^2) + (1 - b2)/2 <= 0.006"),
    Claim(id="kosson-adamw-large-u", source="Kosson et al.; theory.md 6.7, 9.5", expected=FAILS,
          statement="The row of AdamW holds at any weight decay.", formula="|x*| = sqrt(lr C/(2 wd))", assumes=_NOISE,
          tolerance={"Monte Carlo": 0.01}, wrong="twice the deviation", corrected="adamw",
          broken="u << 1 - b1: the weights decay while the momentum still pushes along an old gradient",
          runs=lambda scale, seed: {"u=0.02": _adamw_runs(scale, seed)["u=0.02"]}, measure=_adamw_large_u),
    Claim(id="adamw", source="theory.md 6.7, 9.5, 9.6", expected=HOLDS,
          statement="AdamW is SGDW with gradients of fixed size, but for what the second moment's fluctuations take away.",
          formula="|x*|^2 = lr^2 C (r_0 + 2 sum a^k r_k)/(1 - a^2), r_k = b1^k (1 - b1)/(1 + b1) + O(1 - b2); "
                  "Delta* and 1 - E cos from the same r_k", where={"r_k": "correlation of steps k apart, per weight"},
          assumes=f"{_NOISE}; normal gradients, first order in 1 - b2", tolerance={MONTE_CARLO: 0.004, FINITE_D: 0.001, "second order in 1 - b2": 0.001},
          wrong="Kosson's norm; angle sqrt(2u); the coupled law of the epoch", runs=_adamw_runs, measure=_adamw),
    Claim(id="kosson-adam-l2", source="Kosson et al.; theory.md 6.7", expected=APPROXIMATE,
          statement="With the decay inside the gradient, Adam's length and angle depend on the gradient's size.",
          formula="|x*|^3 = lr sqrt(C tau)/(2 wd), Delta* = sqrt((1 - b1)/(1 + b1)) lr sqrt(C)/|x*|", assumes=_NOISE,
          tolerance={MONTE_CARLO: 0.004, "first order in lr wd |x| sqrt(C/tau)/(1 - b1) and 1 - b2": 0.011},
          wrong="the row of AdamW", runs=_adam_runs, measure=_adam_table,
          broken="decay of 0.0014 a step, b1 = 0.9, b2 = 0.99"),
    Claim(id="adam-l2-as-adamw", source="Kosson et al.; theory.md 6.7", expected=FAILS,
          statement="With the decay inside the gradient, Adam turns by AdamW's angle.",
          formula="Delta* = sqrt(2u (1 - b1)/(1 + b1))", assumes=_NOISE, tolerance={"Monte Carlo": 0.02},
          wrong="sqrt(2u) explains it", broken="decay outside the gradient: inside it is divided by the gradient's size",
          corrected="kosson-adam-l2", runs=_adam_runs, measure=_adam_as_adamw),
    Claim(id="kosson-lion", source="Kosson et al.; theory.md 6.7", expected=FAILS,
          statement="Lion's length and angle with the sign linearised and a memory short against 1/u.",
          formula="Delta* = sqrt(pi u S2), |x*| = sqrt(lr C/(pi wd S2)), S2 = (1 - b1)^2 + b1^2 (1 - b2)/(1 + b2)",
          where={"S2": "variance of the average whose sign is taken, over that of a gradient"},
          assumes=_NOISE, tolerance={"Monte Carlo": 0.01}, wrong="half of the deviation",
          broken="u << 1 - b2: here the memory of 100 steps is a fifth of 1/u", corrected="lion", runs=_lion_short_runs,
          measure=_lion_table),
    Claim(id="lion", source="theory.md 6.7, 14.15", expected=HOLDS,
          statement="Lion's signs are correlated by the arcsine law, over the memory of its average, at any decay.",
          formula="|x*|^2 = (lr^2 C/(1 - a^2))(1 + (4/pi) sum a^k arcsin rho_k); Delta* and 1 - E cos from the same rho_k",
          where={"rho_k": "correlation of the averages whose signs are taken, k steps apart"}, assumes=f"{_NOISE}; normal gradients",
          tolerance={MONTE_CARLO: 0.01, FINITE_D: 0.003}, wrong="independent signs", runs=_lion_runs, measure=_lion),
    Claim(id="kosson-sgdw", source="Kosson et al.; theory.md 6.7, 9.5", expected=APPROXIMATE,
          statement="SGDW turns by AdamW's angle; its length goes as a fourth root and knows the gradient's size.",
          formula="|x*|^4 = lr tau/(2 wd (1 - mu)^2), Delta* = sqrt(2u (1 - mu)/(1 + mu))", assumes=_NOISE,
          tolerance={MONTE_CARLO: 0.004, "u mu/(1 - mu^2) = 0.001": 0.002}, wrong="coupled decay", runs=_sgdw_runs,
          measure=_sgdw_table, broken="u mu/(1 - mu^2) <= 0.002"),
    Claim(id="adamw-rate-2u", source="theory.md 6.7, 7.8", expected=FAILS,
          statement="AdamW's squared length relaxes at 2u a step, for the size of a step does not depend on it.",
          formula="|x_k|^2 = A + (|x_0|^2 - A) exp(-2 u k)", assumes=_NOISE, tolerance={"Monte Carlo": 0.01},
          wrong="4u, SGD's rate", corrected="adamw-rate",
          broken="2u << 1 - b2: here the second moment remembers the shorter weights' larger gradients",
          runs=lambda scale, seed: {"0.999": _rate_runs(scale, seed)["0.999"]}, measure=_rate(False)),
    Claim(id="adamw-rate", source="theory.md 6.7, 9.2", expected=HOLDS,
          statement="AdamW's length follows the moments of weights, momentum and second moment; late at the slower root of "
                    "z^2 - (4u + 1 - b2) z + 2u (1 - b2) = 0.",
          formula="|x_k|^2 by the recursion of E|x|^2, E<x, m>, E|m|^2 with gradients over sqrt(v); rate 2u only for 2u << 1 - b2",
          where={"m": "average gradient", "v": "average squared gradient"},
          assumes=f"{_NOISE}; fluctuations of v as at equilibrium",
          tolerance={MONTE_CARLO: 0.003, FINITE_D: 0.003}, wrong="2u at b2 = 0.999, 4u at b2 = 0.95",
          runs=_rate_runs, measure=_rate(True)),
)  # fmt: skip
