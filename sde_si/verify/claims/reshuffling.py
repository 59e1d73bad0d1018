"""Every sample once an epoch: noise that sums to zero, seen at the ends of epochs and between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sde_si import theory
from sde_si.estimators import chord_versine, mean_and_error
from sde_si.run import Run
from sde_si.verify.claim import APPROXIMATE, FAILS, HOLDS, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import (
    FINITE_D,
    MONTE_CARLO,
    Array,
    Records,
    Runs,
    at_lag,
    describe,
    exact_versine,
    lag_curve,
    run,
    versine,
)

_PARTS = tuple(k / 8 for k in range(1, 13))  # of an epoch


def _lags(n: int) -> tuple[int, ...]:
    return tuple(round(part * n) for part in _PARTS)


def _reshuffle_runs(scale: float, seed: int) -> dict[str, Run]:
    systems = {"n=391": (391, 0.9, 2e-5), "n=44": (44, 0.9, 1.6e-4)}
    return {
        name: run(N=n * 100, B=100, lr=0.1, wd=u / 0.1, momentum=mu, epochs=40 if n > 100 else 250, dim=256, paths=48,
                  sampling="reshuffle", lags=_lags(n), scale=scale, seed=seed)
        for name, (n, mu, u) in systems.items()
    }  # fmt: skip


def _within_runs(scale: float, seed: int) -> dict[str, Run]:
    plain = run(N=4000, B=100, wd=0.0125, epochs=90, dim=64, paths=48, sampling="reshuffle", lags=_lags(40), scale=scale,
                seed=seed)  # fmt: skip
    return {"n=391": _reshuffle_runs(scale, seed)["n=391"], "mu=0": plain}


def _all_orders_runs(scale: float, seed: int) -> dict[str, Run]:
    """Tuning factors at which the first order is off by 6 % and more."""
    systems = {"n=200": (200, 0.9, 1.75e-4, 40), "n=44": (44, 0.9, 8e-4, 120), "mu=0": (40, 0.0, 0.0125, 80)}
    return {
        name: run(N=n * 100, B=100, wd=u / 0.1, momentum=mu, epochs=epochs, dim=128, paths=48, sampling="reshuffle",
                  lags=_lags(n), scale=scale, seed=seed)
        for name, (n, mu, u, epochs) in systems.items()
    }  # fmt: skip


def _laws(one: Run) -> tuple[Array, Array, Array]:
    """1 - cos at the run's lags from an epoch's begin: all orders, first order, and with replacement."""
    hp = one.hyperparameters
    n, u, mu, lags = hp.steps_per_epoch, hp.intrinsic_lr, hp.momentum, list(one.lags)
    exact = theory.reshuffled_versines(n, u, mu, max(lags))[lags]
    # what finite d adds between the ends of an epoch, to leading order (theory.md 1.13)
    exact[lags.index(n)] += hp.tuning_factor**2 * (n + 1) / (6 * (one.arrays.dim - 1) * (n - 1))
    first = np.array([theory.reshuffled_versine(n, u, mu, length=lag) for lag in lags])
    return exact, first, 1 - theory.lag_cosines(max(lags), u, mu)[lags]


def _curve(record, one: Run) -> Curve:
    exact, first, replaced = _laws(one)
    lines = {"reshuffled, all orders": exact, "reshuffled, first order": first, "with replacement": replaced}
    # The dip at an epoch's end is fifty times below its surroundings.
    return lag_curve(record, one.lags, lines, "y")


def _reshuffled(corrected: bool):
    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        out = []
        for name, one in runs.items():
            exact, _, replaced = (float(law[_PARTS.index(1.0)]) for law in _laws(one))
            common = {"system": describe(one), "curve": _curve(records[name], one), "truth": exact,
                      **versine(records[name])}  # fmt: skip
            if corrected:
                out.append(Measurement(predicted=exact_versine(one), wrong=replaced, **common))
            else:
                out.append(Measurement(predicted=replaced, wrong=replaced / 2, **common))
        return out

    return measure


def _within(records: Records, runs: Runs) -> Sequence[Measurement]:
    out = []
    for name, one in runs.items():
        exact, first, replaced = _laws(one)
        out += [
            Measurement(system=f"{describe(one)}, from an epoch's begin, {part:g} epochs", predicted=float(first[i]),
                        truth=float(exact[i]), wrong=float(replaced[i]),
                        curve=_curve(records[name], one) if part == 0.5 else None, **at_lag(records[name], one.lags[i]))
            for i, part in enumerate(_PARTS) if part in (0.5, 1.5)
        ]  # fmt: skip
    return out


def _all_orders(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Between epoch ends; without momentum, where little is left there, over the first three quarters."""
    out = []
    for name, one in runs.items():
        exact, first, _ = _laws(one)
        i = _PARTS.index(1.0 if one.hyperparameters.momentum else 0.75)
        out.append(Measurement(system=f"{describe(one)}, from an epoch's begin, {_PARTS[i]:g} epochs",
                               predicted=float(exact[i]), wrong=float(first[i]), curve=_curve(records[name], one),
                               **at_lag(records[name], one.lags[i])))  # fmt: skip
    return out


_GRID, _WARM, _KEPT = 8, 6, 6  # places in an epoch; epochs before and of the measurement


def _sum_zero_walk(rng: np.random.Generator, n: int, u: float, mu: float, d: int, paths: int) -> Array:
    """Plain NumPy: weights [place, path, d] at _GRID places an epoch, noise fresh and summing to zero every epoch."""
    law = theory.reshuffled(n, u, mu)
    x = rng.standard_normal((paths, d))
    x *= np.sqrt(theory.sgd_moments(1.0, u, mu, noise_trace=1.0).xx * law.norm_factor)[None] / np.linalg.norm(
        x, axis=1, keepdims=True
    )
    v, places = np.zeros_like(x), []
    for epoch in range(_WARM + _KEPT + 1):
        z = rng.standard_normal((n, paths, d))
        z = (z - z.mean(axis=0)) * np.sqrt(n / (n - 1) / (d - 1))
        for j in range(n):
            if epoch >= _WARM and j * _GRID % n == 0:
                places.append(x)
            R = np.einsum("pd,pd->p", x, x)[:, None]
            g = (z[j] - x * np.einsum("pd,pd->p", z[j], x)[:, None] / R) / np.sqrt(R)
            v = mu * v - g - u * x
            x = x + v
    return np.array(places)


def _mid_epoch(rng: np.random.Generator) -> Sequence[Measurement]:
    """Windows of one epoch's length that begin at any fraction of an epoch."""
    out, d, paths = [], 32, 192
    what = Quantity("1 - cos over one epoch's length", "mean of 1 - cos over paths and 6 epochs; error from the paths")
    for n, u, mu in ((40, 1.25e-3, 0.0), (80, 6e-5, 0.9)):
        x = _sum_zero_walk(rng, n, u, mu, d, paths)
        moved = chord_versine(x[:-_GRID], x[_GRID:])[: _KEPT * _GRID].reshape(_KEPT, _GRID, paths)
        found = [mean_and_error(moved[:, k].mean(axis=0)) for k in range(_GRID)]
        begins = [k * n // _GRID for k in range(_GRID)]
        law = np.array([theory.reshuffled_versine(n, u, mu, start=k) for k in begins])
        exact = np.array([theory.reshuffled_versines(n, u, mu, n, start=k)[-1] for k in begins])
        replaced = float(1 - theory.lag_cosines(n, u, mu)[-1])
        curve = Curve(x=np.arange(_GRID) / _GRID, measured=np.array([f.value for f in found]),
                      stderr=np.array([f.stderr for f in found]), xlabel="begin of the window [epochs]",
                      ylabel="1 - cosine over one epoch's length",
                      lines={"reshuffled, all orders": exact, "reshuffled, first order": law,
                             "with replacement": np.full(_GRID, replaced)})  # fmt: skip
        out += [
            Measurement(quantity=what, system=f"sum-zero noise in NumPy, dim {d}: n={n} lr=1 wd={u:g} mu={mu:g}, from {k / _GRID:g} of an epoch",
                        predicted=float(law[k]), truth=float(exact[k]), wrong=replaced, measured=found[k].value, stderr=found[k].stderr,
                        curve=curve if k == 2 else None)
            for k in (2, 4)
        ]  # fmt: skip
    return out


_SYMBOLS = {
    "nu": "u (1 - mu)(2 - u/(1 + mu)), squared noise of a step over |x|^4 with replacement",
    "f": "1 - (2 mu/((n-1)(1-mu)))(1 - (1-mu^n)/(n (1-mu))): by reshuffling |x|^2 is sqrt(f) times as large",
    "rho": "n u",
    "phi": "begin of the window, as a fraction of an epoch",
    "V_n": "mu^2 (1-mu^(2n))/(1-mu^2) - mu^2 (1-mu^n)^2/(n (1-mu)^2)",
    "h": "h(j) = (1-mu^j)/(1-mu) for j > 0, else 0: how far a unit push has moved the weights after j steps",
    "K": "K_j: what the noise of step j of an epoch adds between start and end of the window",
}

CLAIMS = (
    Claim(id="reshuffling-as-replacement", source="Yun et al. eq. 27; theory.md 1.12, 1.13", expected=FAILS,
          statement="The law of the epoch also holds when every sample is used once an epoch.", formula="1 - E cos = 1 - c_n",
          assumes="norm equilibrium, no mean gradient", tolerance={"Monte Carlo": 0.05}, wrong="half of it is left",
          broken="noise drawn with replacement: reshuffled noise sums to zero over an epoch", corrected="reshuffling",
          runs=_reshuffle_runs, measure=_reshuffled(False)),
    Claim(id="reshuffling", source="theory.md 1.13", expected=APPROXIMATE,
          statement="Reshuffled, only the noise still in the velocity at the two epoch ends turns the weights.",
          formula="1 - E cos = (nu/f)(n/(n-1)) V_n/((1-mu)^2 (1+mu^n))",
          where=_SYMBOLS,
          assumes="norm equilibrium, no mean gradient, noise that sums to zero over an epoch",
          tolerance={MONTE_CARLO: 0.025, "second order in rho/(1-mu)": 0.035}, wrong="c_n, the law with replacement",
          runs=_reshuffle_runs, measure=_reshuffled(True), broken="rho/(1 - mu) = n u/(1 - mu) <= 0.08"),
    Claim(id="reshuffling-all-orders", source="theory.md 1.13", expected=HOLDS,
          statement="In high dimension the products of the weights with the samples still to come do not fluctuate, and the "
                    "reshuffled rotation follows a recursion at any tuning factor.",
          formula="1 - E cos by E|x|^2, E<x, v>, E|v|^2 of theory.md 9.2 with s = <x, z>, q = <v, z>: "
                  "q' = mu q + lr (tau/(n-1) + s^2/A)/r - u s, s' = s + q'",
          where={"z": "noise of a sample still to come", "s": "product of weights and z", "q": "product of velocity and z"},
          assumes="norm equilibrium, no mean gradient, noise that sums to zero over an epoch",
          tolerance={MONTE_CARLO: 0.015, FINITE_D: 0.005}, wrong="its first order", runs=_all_orders_runs,
          measure=_all_orders),
    Claim(id="reshuffling-within-epoch", source="theory.md 1.12, 1.13", expected=APPROXIMATE,
          statement="Inside an epoch reshuffled weights turn and come back: half an epoch turns them half as far as with "
                    "replacement, and so do one and a half.",
          formula="1 - E cos = (nu/(2f))(n/(n-1)) sum over epochs of [sum K^2 - (sum K)^2/n], K_j = h(end-j) - h(start-j)",
          where=_SYMBOLS,
          assumes="norm equilibrium, no mean gradient, noise that sums to zero over an epoch",
          tolerance={MONTE_CARLO: 0.025, "second order in rho/(1-mu)": 0.035}, wrong="c_lag, the law with replacement",
          runs=_within_runs, measure=_within, broken="rho/(1 - mu) = n u/(1 - mu) <= 0.08"),
    Claim(id="reshuffling-mid-epoch", source="theory.md 1.13", expected=APPROXIMATE,
          statement="A window of an epoch's length that begins inside an epoch sees noise that does not sum to zero: from the "
                    "middle half of what replacement gives.",
          formula="1 - E cos = 2 rho phi (1 - phi) n/(n - 1) at mu = 0; with momentum the kernels of theory.md 1.13",
          where=_SYMBOLS,
          assumes="norm equilibrium, no mean gradient, noise that sums to zero over an epoch",
          tolerance={MONTE_CARLO: 0.025, "second order in rho/(1-mu)": 0.035}, wrong="c_n, the law with replacement",
          check=_mid_epoch, broken="rho/(1 - mu) = n u/(1 - mu) <= 0.08"),
)  # fmt: skip
