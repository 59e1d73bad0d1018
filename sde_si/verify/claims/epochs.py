"""How far the weights turn in an epoch: Yun et al.'s law, where it fails, and what holds instead."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from sde_si import theory
from sde_si.run import Run
from sde_si.theory.predict import predict
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Measurement
from sde_si.verify.claims.common import FINITE_D, MONTE_CARLO, Records, Runs, at_epoch, describe, run, versine

_YUN: dict[str, dict[str, Any]] = {
    "0": {"wd": 0.05, "momentum": 0.0},
    "0.9": {"wd": 0.005, "momentum": 0.9},
}  # T = 0.25 in 50 steps
_ENDS = "noise drawn with replacement, no mean gradient"


def _yun_runs(scale: float, seed: int) -> dict[str, Run]:
    return {mu: run(paths=192, scale=scale, seed=seed, epochs=60, **v) for mu, v in _YUN.items()}


def _exact(one: Run) -> float:
    """1 - cos_epoch of the whole theory, finite dimension included."""
    value = theory.equilibrium(one)["cos_epoch"].value
    assert value is not None
    return 1 - value


def _first_order(mu: str, wrong: Callable[[float], float]):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        one, T = runs[mu], runs[mu].hyperparameters.tuning_factor
        return [
            Measurement(system=describe(one), predicted=T, truth=_exact(one), wrong=wrong(T), **versine(records[mu]))
        ]

    return measure


def _epoch_cosine(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for mu, one in runs.items():
        T = one.hyperparameters.tuning_factor
        wrong = T if one.hyperparameters.momentum == 0 else 1 - math.exp(-T)
        out.append(Measurement(system=describe(one), predicted=_exact(one), wrong=wrong, **versine(records[mu])))
    return out


def _sde_runs(scale: float, seed: int) -> dict[str, Run]:
    return {mu: run(paths=128, scale=scale, seed=seed, epochs=50, method="splitting", **v) for mu, v in _YUN.items()}


_COLLAPSE: dict[str, dict[str, Any]] = {
    "base": {},
    "N and wd": {"N": 25_000, "wd": 0.01},
    "B and wd": {"B": 200, "wd": 0.01},
    "lr and wd": {"lr": 0.2, "wd": 0.0025},
    "momentum and wd": {"momentum": 0.9, "wd": 0.0005},
}


def _collapse_runs(scale: float, seed: int) -> dict[str, Run]:
    base = {"N": 50_000, "B": 100, "lr": 0.1, "wd": 0.005, "epochs": 20, "paths": 96, "dim": 128}
    # Different seeds: runs that the scale symmetry maps on each other would else be one and the same.
    return {
        name: run(scale=scale, seed=seed + 1000 * i, **(base | change))
        for i, (name, change) in enumerate(_COLLAPSE.items())
    }


def _collapse(records: Records, runs: Runs) -> Sequence[Measurement]:
    predicted = _exact(runs["base"])
    T = runs["base"].hyperparameters.tuning_factor
    return [
        Measurement(system=f"{describe(runs[name])} ({name} changed)", predicted=predicted,
                    wrong=1 - math.exp(-2 * T), **versine(records[name]))
        for name in _COLLAPSE if name != "base"
    ]  # fmt: skip


def _transient_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        f"{mu} from {start}": run(paths=1024, scale=scale, seed=seed, epochs=4, init_norm=start, **v)
        for mu, v in _YUN.items()
        for start in ("0.3eq", "3eq")
    }


def _versine_course(one: Run, epoch: int) -> float:
    return 1 - float(predict(one)["cos_epoch_predicted"].values[epoch - 1])


def _transient(records: Records, runs: Runs) -> Sequence[Measurement]:
    return [
        Measurement(system=f"{describe(one)} from {name.split()[-1]}, epoch {epoch}",
                    predicted=_versine_course(one, epoch), wrong=_exact(one),
                    **at_epoch(records[name], "versine_epoch", epoch))
        for name, one in runs.items() for epoch in (1, 2)
    ]  # fmt: skip


def _not_at_once(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name in ("0 from 0.3eq", "0 from 3eq"):
        one = runs[name]
        stationary, truth = _exact(one), _versine_course(one, 1)
        out.append(Measurement(system=f"{describe(one)} from {name.split()[-1]}, epoch 1", predicted=stationary,
                               truth=truth, wrong=stationary + 2 * (truth - stationary),
                               **at_epoch(records[name], "versine_epoch", 1)))  # fmt: skip
    return out


def _steps_runs(scale: float, seed: int) -> dict[str, Run]:
    """Yun's schedule: tuning factor 10/128, lr/10 after 150 and 225 of 300 epochs (10.8)."""
    lr, n = 0.1, 390
    return {"300 epochs": run(N=n * 128, B=128, lr=lr, wd=10 / 128 / n / lr, epochs=300, dim=256, paths=48,
                              schedule="multi-step:150,225", scale=scale, seed=seed)}  # fmt: skip


def _last_phase(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        [(name, one)] = runs.items()
        course = predict(one)["angle_epoch_predicted"].values
        for epoch, factor in ((225, 0.1), (300, 0.01)):
            naive = math.acos(math.exp(-10 / 128 * factor))
            found = at_epoch(records[name], "angle_epoch", epoch)
            system = f"{describe(one)}, lr/10 after 150 and 225 epochs, epoch {epoch}"
            truth = float(course[epoch - 1])
            if corrected:
                out.append(Measurement(system=system, predicted=truth, wrong=naive, **found))
            else:
                out.append(
                    Measurement(
                        system=system,
                        predicted=naive,
                        truth=truth,
                        wrong=0.6 * naive if epoch == 300 else naive / 3,
                        **found,
                    )
                )
        return out

    return measure


def _reshuffle_runs(scale: float, seed: int) -> dict[str, Run]:
    systems = {"n=391": (391, 0.9, 2e-5), "n=44": (44, 0.9, 1.6e-4)}
    return {
        name: run(N=n * 100, B=100, lr=0.1, wd=u / 0.1, momentum=mu, epochs=40 if n > 100 else 250, dim=256, paths=48,
                  sampling="reshuffle", scale=scale, seed=seed)
        for name, (n, mu, u) in systems.items()
    }  # fmt: skip


def _reshuffled(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        for name, one in runs.items():
            hp = one.hyperparameters
            law = 1 - float(theory.lag_cosines(hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum)[-1])
            found = versine(records[name])
            if corrected:
                out.append(Measurement(system=describe(one), predicted=_exact(one), wrong=law, **found))
            else:
                out.append(Measurement(system=describe(one), predicted=law, truth=_exact(one), wrong=law / 2, **found))
        return out

    return measure


def _two_lags_runs(scale: float, seed: int) -> dict[str, Run]:
    return {"mu=0.9": run(N=40_000, B=100, wd=1e-3, momentum=0.9, epochs=20, paths=128, scale=scale, seed=seed)}


def _long_lag(records: Records, runs: Runs) -> Sequence[Measurement]:
    one = runs["mu=0.9"]
    hp = one.hyperparameters
    n, u, mu = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum
    return [Measurement(system=f"{describe(one)}, lag {n}", predicted=1 - math.exp(-n * u / (1 - mu)),
                        wrong=1 - math.exp(-n * u / (1 + mu)), **versine(records["mu=0.9"]))]  # fmt: skip


CLAIMS = (
    Claim(id="yun-18", source="Yun et al. eq. 18; theory.md 10.4, 10.5", expected=FAILS,
          statement="The cosine over an epoch is one minus the tuning factor.", formula="E cos = 1 - N lr wd/B",
          assumes=f"norm equilibrium, {_ENDS}, a small tuning factor", tolerance={"first order": 0.05},
          wrong="the deviation is -T^2", broken="one Euler step of an epoch's length: T is not small", corrected="epoch-cosine",
          runs=lambda scale, seed: {"0": _yun_runs(scale, seed)["0"]}, measure=_first_order("0", lambda T: T - T * T)),
    Claim(id="yun-27", source="Yun et al. eq. 27; theory.md 10.5, 10.9", expected=FAILS,
          statement="With momentum, too, if the tuning factor has 1/(1 - mu).", formula="E cos = 1 - N lr wd/(B (1 - mu))",
          assumes=f"norm equilibrium, {_ENDS}, a small tuning factor", tolerance={"first order": 0.05},
          wrong="exp(-T) explains it", broken="T is small, and the velocity forgets within a fraction of the epoch",
          corrected="epoch-cosine", runs=lambda scale, seed: {"0.9": _yun_runs(scale, seed)["0.9"]},
          measure=_first_order("0.9", lambda T: 1 - math.exp(-T))),
    Claim(id="epoch-cosine", source="theory.md 1.8, 9.2, 2.7", expected=HOLDS,
          statement="At equilibrium the cosine over n steps follows the two roots of the velocity's recursion.",
          formula="c_{n+1} = (1 + mu - u) c_n - mu c_{n-1}, c_0 = 1, c_1 = 1 - u/(1 + mu); (1 - u)^n at mu = 0",
          assumes=f"norm equilibrium, {_ENDS}", tolerance={MONTE_CARLO: 0.009, FINITE_D: 0.001},
          wrong="1 - T without momentum, exp(-T) with it", runs=_yun_runs, measure=_epoch_cosine),
    Claim(id="epoch-cosine-sde", source="theory.md 2.4, 9.7", expected=HOLDS,
          statement="In the SDE the cosine over an epoch is exp(-T); with momentum the damped oscillator's correlation.",
          formula="E cos = exp(-N lr wd/B); c(t) of 9.7 with momentum", assumes=f"norm equilibrium, {_ENDS}",
          tolerance={MONTE_CARLO: 0.009, "step size and finite d": 0.003}, wrong="1 - T without momentum, exp(-T) with it",
          runs=_sde_runs, measure=_epoch_cosine),
    Claim(id="collapse", source="Yun et al. section 4; theory.md S12", expected=APPROXIMATE,
          statement="Runs of equal tuning factor turn equally far per epoch once their norms are in equilibrium.",
          formula="N lr wd/(B (1 - mu)) equal => E cos equal", assumes=f"norm equilibrium, {_ENDS}, n (1 - mu) >> 1",
          tolerance={MONTE_CARLO: 0.015, "2 mu/(n (1 - mu)(1 + mu)) at n = 500": 0.019},
          wrong="the changed quantity changes the angle as if wd had stayed", runs=_collapse_runs, measure=_collapse,
          broken="n (1 - mu) >= 50: T = 0.25 in 250 to 500 steps, momentum 0 and 0.9"),
    Claim(id="collapse-at-once", source="Yun et al. section 4; theory.md 10.7 (i), S12", expected=FAILS,
          statement="Runs of equal tuning factor turn equally far from the first epoch on.",
          formula="E cos of epoch 1 = E cos at equilibrium", assumes=_ENDS, tolerance={"Monte Carlo": 0.05},
          wrong="the deviation is twice what the transient says", broken="norm equilibrium, which takes 1/(4 T) epochs",
          corrected="transient", runs=_transient_runs, measure=_not_at_once),
    Claim(id="transient", source="theory.md 1.8, 2.4, 9.2", expected=HOLDS,
          statement="On the way to equilibrium the cosine is decay times the change of length; with momentum the second "
                    "moments' recursion.",
          formula="E cos = a^n r_0 E[1/r_n]; A', C', D' of 9.2", assumes=f"{_ENDS}, self-averaging norm",
          tolerance={MONTE_CARLO: 0.025, FINITE_D: 0.005}, wrong="the value at equilibrium", runs=_transient_runs,
          measure=_transient),
    Claim(id="last-phase-equilibrium", source="Yun et al. section 5; theory.md 10.7, 10.8", expected=FAILS,
          statement="After each drop of the learning rate the angle per epoch settles at that of the new tuning factor.",
          formula="angle = arccos(exp(-T_phase)) at the end of the phase", assumes=_ENDS, tolerance={"Monte Carlo": 0.05},
          wrong="six tenths of it, and a third after the first drop",
          broken="norm equilibrium: e-folding takes 32 and 320 epochs after the drops, the phases last 75",
          corrected="last-phase", runs=_steps_runs, measure=_last_phase(False)),
    Claim(id="last-phase", source="theory.md 10.8, 9.10, 14.6", expected=HOLDS,
          statement="The angle per epoch of a step schedule follows the norm's recursion and never settles after the drops.",
          formula="E cos = exp(-T_k)(Q_e/Q_{e+1})^(1/4), discrete: 1.1", assumes=_ENDS,
          tolerance={MONTE_CARLO: 0.035, FINITE_D: 0.001}, wrong="the equilibrium of the phase", runs=_steps_runs,
          measure=_last_phase(True)),
    Claim(id="reshuffling-as-replacement", source="Yun et al. eq. 27; theory.md 1.12, 1.13", expected=FAILS,
          statement="The law of the epoch also holds when every sample is used once an epoch.", formula="E cos = c_n",
          assumes="norm equilibrium, no mean gradient", tolerance={"Monte Carlo": 0.05}, wrong="half of it is left",
          broken="noise drawn with replacement: reshuffled noise sums to zero over an epoch", corrected="reshuffling",
          runs=_reshuffle_runs, measure=_reshuffled(False)),
    Claim(id="reshuffling", source="theory.md 1.13", expected=APPROXIMATE,
          statement="Reshuffled, only the noise still in the velocity at the two epoch ends turns the weights.",
          formula="1 - E cos = (nu/f)(n/(n-1)) V_n/((1-mu)^2 (1+mu^n))",
          assumes="norm equilibrium, no mean gradient, noise that sums to zero over an epoch",
          tolerance={MONTE_CARLO: 0.025, "second order in rho/(1-mu)": 0.035}, wrong="c_n, the law with replacement",
          runs=_reshuffle_runs, measure=_reshuffled(True), broken="rho/(1 - mu) = n u/(1 - mu) <= 0.08"),
    Claim(id="long-lag", source="Yun et al. eq. 27 against Wan et al.; theory.md 9.3", expected=APPROXIMATE,
          statement="Over many steps momentum turns the weights by 1/(1 - mu) more, not by 1/(1 + mu).",
          formula="E cos = exp(-n u/(1 - mu))", assumes=f"norm equilibrium, {_ENDS}, n (1 - mu) >> 1",
          tolerance={MONTE_CARLO: 0.012, "2 mu/(n (1 - mu)(1 + mu)) at n = 400": 0.024}, wrong="1 + mu for 1 - mu",
          runs=_two_lags_runs, measure=_long_lag, broken="n (1 - mu) = 40"),
)  # fmt: skip
