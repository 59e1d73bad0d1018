"""Learning rates that change: the recursion that follows any schedule, in both forms of momentum."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.methods import METHODS
from sde_si.run import Run
from sde_si.theory.moments import MAP, march
from sde_si.verify.claim import EXACT, HOLDS, Claim, Measurement, Quantity
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Array,
    Records,
    Runs,
    at_epoch,
    course,
    describe,
    run,
    versine_course,
)
from sde_si.verify.claims.systems import WITH_REPLACEMENT

_DROP = 20  # epochs before lr is divided by ten


def _form_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        method: run(wd=5e-3, momentum=0.9, epochs=_DROP + 6, schedule=f"multi-step:{_DROP}", paths=192, method=method,
                    scale=scale, seed=seed + 1000 * i)
        for i, method in enumerate(("sgd", "sgd-torch"))
    }  # fmt: skip


def _forms(records: Records, runs: Runs) -> Sequence[Measurement]:
    """The epoch after the drop, through which the old velocity runs out, and the fifth, whose norm remembers it."""
    courses = {name: versine_course(one) for name, one in runs.items()}
    out = []
    for name, other in (("sgd", "sgd-torch"), ("sgd-torch", "sgd")):
        lines = {f"{name}'s own recursion": courses[name], f"that of {other}": courses[other]}
        curve = course(records[name], "versine_epoch", lines, "1 - cosine over the epoch", "y")
        out += [
            Measurement(system=f"{describe(runs[name])}, lr/10 after {_DROP} epochs, epoch {epoch}",
                        predicted=float(courses[name][epoch - 1]), wrong=float(courses[other][epoch - 1]),
                        curve=curve if epoch == _DROP + 1 else None,
                        **at_epoch(records[name], "versine_epoch", epoch))
            for epoch in (_DROP + 1, _DROP + 5)
        ]  # fmt: skip
    return out


_SCHEDULES: dict[str, dict[str, Any]] = {
    "cosine": {"method": "sgd", "momentum": 0.0},
    "cosine, torch": {"schedule": "cosine", "method": "sgd-torch", "momentum": 0.9},
    "step:10,0.2": {"method": "sgd", "momentum": 0.9},
    "1cycle": {"method": "sgd-torch", "momentum": 0.9},
}
_AT = (14, 26, 36)  # epochs of 40
_RISING = (5, 26, 36)  # those of 1cycle, which is slow about its peak in epoch 12


def _schedule_runs(scale: float, seed: int) -> dict[str, Run]:
    return {
        name: run(N=4000, B=100, paths=160, scale=scale, seed=seed + 1000 * i,
                  **({"schedule": name, "wd": 0.02 * (1 - v["momentum"])} | v))
        for i, (name, v) in enumerate(_SCHEDULES.items())
    }  # fmt: skip


def _quasi_static(one: Run) -> Array:
    """1 - cos of each epoch if it were at the equilibrium of its own middle."""
    hp, out = one.hyperparameters, []
    for e in range(hp.epochs):
        lr, momentum = (float(values[values.size // 2]) for values in one.timetable.lr_and_momentum(e))
        out.append(1 - theory.lag_cosines(hp.steps_per_epoch, lr * hp.wd, momentum)[-1])
    return np.array(out)


def _schedules(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        at = _RISING if name == "1cycle" else _AT
        exact, static = versine_course(one), _quasi_static(one)
        lines = {"recursion of the second moments": exact, "equilibrium of each epoch": static}
        curve = course(records[name], "versine_epoch", lines, "1 - cosine over the epoch", "y")
        out += [
            Measurement(system=f"{describe(one)}, {one.hyperparameters.schedule}, epoch {epoch}", predicted=float(exact[epoch - 1]),
                        wrong=float(static[epoch - 1]), curve=curve if epoch == at[0] else None,
                        **at_epoch(records[name], "versine_epoch", epoch))
            for epoch in at
        ]  # fmt: skip
    return out


# theory.md 14.14: lr 0.1 for ten steps, then 0.01; wd 0.1, tau 4, |x_0|^2 = 2; |x_30|^2 and E cos(10 -> 30)
_GOLDEN = {("sgd", 0.9): (9.1842930446, 0.8430514607), ("sgd-torch", 0.9): (3.4259759490, 0.9843303269),
           ("sgd", 0.0): (1.7597907887, 0.9987563150)}  # fmt: skip


def _velocity_form(lr: Array, momentum: Array, wd: float, tau: float, start: float, since: int) -> tuple[float, float]:
    """9.10 as written: |x|^2 at the end and E cos since step `since`; `momentum` is m of each step."""
    A, C, D, P, W, R = start, 0.0, 0.0, math.nan, math.nan, math.nan
    for k, (eta, m) in enumerate(zip(lr, momentum, strict=True)):
        if k == since:
            P, W, R = A, C, A
        u, b, n = eta * wd, 1 - eta * wd, eta * eta * tau / A
        A, C, D = (b * b * A + 2 * b * m * C + m * m * D + n, m * (b - u) * C - b * u * A + m * m * D + n,
                   m * m * D + u * u * A - 2 * m * u * C + n)  # fmt: skip
        P, W = b * P + m * W, m * W - u * P
    return A, P / math.sqrt(R * A)


def _marched(method: str, lr: Array, momentum: float, wd: float, tau: float, start: float, since: int):
    """The same by the package's recursion, with the buffer's moments in torch's form."""
    scheme = METHODS[method].scheme(momentum > 0)
    assert scheme is not None
    assert scheme.linear is not None
    pairs = [scheme.linear(float(eta), wd, momentum, 1.0) for eta in lr]
    T, K = (np.array([pair[i] for pair in pairs], dtype=float) for i in (0, 1))
    Z, outputs = np.array([[start, 0.0], [0.0, 0.0]]), np.empty((lr.size, 3))
    trace, reference = np.full(lr.size, tau), np.zeros((0, 3))
    for part in (slice(0, since), slice(since, lr.size)):
        march(Z, T, K, np.arange(lr.size)[part], trace[part], 1, MAP, reference, outputs[part])
        reference = np.array([[Z[0, 0], Z[0, 1], Z[0, 0]]])
    return float(outputs[-1, 0]), float(outputs[-1, 2])


_BY_RECURSION = "by the package's recursion of second moments; no statistics"
_RECURRED = (
    Quantity("squared length |x|^2 at the end", _BY_RECURSION),
    Quantity("cos with the weights of an earlier step", _BY_RECURSION),
)


def _recursion(rng: np.random.Generator) -> Sequence[Measurement]:
    """Printed values, and the two ways of writing torch's form on a random schedule."""
    out = []
    drop = np.where(np.arange(30) < 10, 0.1, 0.01)
    for (method, mu), printed in _GOLDEN.items():
        found = _marched(method, drop, mu, 0.1, 4.0, 2.0, 10)
        other = _GOLDEN["sgd-torch" if method == "sgd" else "sgd", 0.9]
        out += [
            Measurement(quantity=_RECURRED[i], system=f"golden values 14.14, {method}: mu={mu:g} lr=0.1, from step 10 on 0.01, "
                        f"wd=0.1 tau=4 |x_0|^2=2: {what}", predicted=printed[i], measured=found[i], wrong=other[i])
            for i, what in enumerate(("step 30", "steps 10 to 30"))
        ]  # fmt: skip
    lr, mu = 0.05 * np.exp(rng.standard_normal(200).cumsum() / 10), 0.9
    rescaled = mu * lr / np.concatenate([lr[:1], lr[:-1]])
    arguments = (0.01, 4.0, 2.0, 120)
    predicted, wrong = (_velocity_form(lr, m, *arguments) for m in (rescaled, np.full(lr.size, mu)))
    found = _marched("sgd-torch", lr, mu, *arguments)
    out += [
        Measurement(quantity=_RECURRED[i], system=f"random lr of 200 steps about 0.05, sgd-torch: mu={mu:g} wd=0.01 tau=4 "
                    f"|x_0|^2=2: {what}", predicted=predicted[i], measured=found[i], wrong=wrong[i])
        for i, what in enumerate(("step 200", "steps 120 to 200"))
    ]  # fmt: skip
    return out


CLAIMS = (
    Claim(id="schedule-recursion", source="theory.md 9.10, 14.14", expected=EXACT, tolerance={"printed digits": 1e-9},
          statement="Torch's form of momentum is the paper's with the velocity times the ratio of the learning rates: buffer "
                    "and velocity recursions agree at every step of any schedule.",
          formula="moments A, C, D of weights and velocity, theory.md 9.10, with m = mu lr_k/lr_{k-1} = those with the buffer",
          assumes="no mean gradient, self-averaging norm, lr > 0", wrong="the other form, velocity not rescaled",
          check=_recursion, where={"C": "E<x, v>"}),
    Claim(id="schedule-forms", source="Yun et al. eq. 3 against torch; theory.md 0.8, 9.10", expected=HOLDS,
          statement="When lr drops, the paper's form of momentum goes on with the old velocity and torch's does not: the two "
                    "turn differently for many epochs.",
          formula="1 - E cos by theory.md 9.10 with m = mu (paper) and m = mu lr_k/lr_{k-1} (torch)", assumes=f"{WITH_REPLACEMENT}, self-averaging norm",
          tolerance={MONTE_CARLO: 0.025, FINITE_D: 0.002}, wrong="the other form", runs=_form_runs, measure=_forms),
    Claim(id="schedules", source="theory.md 9.10", expected=HOLDS,
          statement="The recursion of the second moments follows cosine, step and one-cycle schedules, momentum cycled, too.",
          formula="1 - E cos by theory.md 9.10; at mu = 0, E cos = prod a_i sqrt(R_j/R_k) from step j to k",
          assumes=f"{WITH_REPLACEMENT}, self-averaging norm", tolerance={MONTE_CARLO: 0.025, FINITE_D: 0.005},
          wrong="every epoch at its own equilibrium", runs=_schedule_runs, measure=_schedules),
)  # fmt: skip
