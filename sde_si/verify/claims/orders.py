"""Orders of convergence: SGD and the integrators against the SDE, and whether the limit is the right one.

Errors are slopes of straight lines through ln |error| against ln(step), each point from its own paths. Where the
SDE's value is not known in closed form, runs of different step are driven by the same noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sde_si import estimators, theory
from sde_si.estimators import Estimate, mean_and_error, rms
from sde_si.run import Run
from sde_si.verify.claim import HOLDS, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import MONTE_CARLO, Array, Records, Runs, describe, run

if TYPE_CHECKING:
    import xarray as xr

HIGHER = "higher orders in the step"
# Pull, noise and decay all matter, and the terms beyond the leading one are a few per cent at these steps.
_FLOW: dict[str, Any] = {"loss": "vmf", "N": 10, "B": 1, "lr": 0.1, "wd": 0.25, "dim": 3, "epochs": 1, "init_norm": 1.0,
                         "parameters": {"signal": 1.0, "noise_scale": 0.5}}  # fmt: skip
_TIME = 1.0  # lr * N of `_FLOW`


def ladder(
    levels: Sequence[int], *, paths: Sequence[int], scale: float, seed: int, fine: int = 0, **options: Any
) -> dict[str, Run]:
    """Runs of `levels` substeps, each with paths of its own, and beside each one with `fine` times as many.

    Those of a pair are driven by the same increments.
    """
    out = {}
    for i, (level, count) in enumerate(zip(levels, paths, strict=True)):
        common: dict[str, Any] = {**_FLOW, **options, "paths": count, "seed": seed + 1000 * i, "scale": scale}
        coupled: dict[str, Any] = {"noise_from": level * fine} if fine else {}
        out[f"{level}"] = run(substeps=level, **common, **coupled)
        if fine:
            out[f"{level} fine"] = run(substeps=level * fine, **common)
    return out


def last(record: xr.Dataset, name: str) -> Array:
    """A variable of every path at the last epoch's end."""
    return estimators.values(record, name)[:, -1] if "epoch" in record[name].dims else record[name].values


def quartic_error(record: xr.Dataset, one: Run) -> Array:
    """|x|^4 of every path minus the SDE's, which has no spread (theory.md 2.3)."""
    hp = one.hyperparameters
    exact = theory.quartic_norm(
        hp.lr * hp.steps_per_epoch * hp.epochs, hp.lr, hp.wd, noise_trace=one.noise_trace, start=one.start_norm**4
    )
    return last(record, "weight_norm") ** 4 - exact


ORDER = Quantity("order: slope of ln |error| against ln step",
                 "weighted straight line through the errors at four steps, each from its own paths")  # fmt: skip


def slope(
    system: str,
    points: Mapping[float, Estimate],
    *,
    order: float,
    wrong: float,
    xlabel: str,
    ylabel: str,
) -> Measurement:
    """The measured order and its curve, from errors and their standard errors by step."""
    x = np.array(list(points))
    y, stderr = np.array([[one.value, one.stderr] for one in points.values()]).T
    found = estimators.log_slope(x, y, stderr)
    size = float(np.exp(np.average(np.log(np.abs(y)), weights=(y / stderr) ** 2)))
    middle = float(np.exp(np.average(np.log(x), weights=(y / stderr) ** 2)))
    lines = {f"slope {s:g}": size * (x / middle) ** s for s in (order, wrong)}
    return Measurement(
        quantity=ORDER, system=system, predicted=order, measured=found.value, stderr=found.stderr, wrong=wrong,
        curve=Curve(x=x, measured=np.abs(y), stderr=stderr, lines=lines, xlabel=xlabel, ylabel=ylabel, log="xy"),
    )  # fmt: skip


_STEP = "substep, optimizer steps"


def _substep_orders(
    order: float, wrong: float, reduce: Callable[[Array], Estimate], *, norm: bool = True
) -> Callable[[Records, Runs], Sequence[Measurement]]:
    """Orders in the substep of direction (by coupled pairs) and norm (against the closed form)."""

    def measure(records: Records, runs: Runs) -> Sequence[Measurement]:
        levels = [name for name in runs if not name.endswith("fine")]
        one, out = runs[levels[0]], []
        if f"{levels[0]} fine" in runs:
            points = {
                1 / int(level): reduce(last(records[level], "loss") - last(records[f"{level} fine"], "loss"))
                for level in levels
            }
            out.append(slope(f"{describe(one)}: direction, <m, y>", points, order=order, wrong=wrong, xlabel=_STEP,
                             ylabel="error of <m, y>"))  # fmt: skip
        if norm:
            points = {1 / int(level): reduce(quartic_error(records[level], runs[level])) for level in levels}
            out.append(slope(f"{describe(one)}: |x|^4", points, order=order, wrong=wrong, xlabel=_STEP,
                             ylabel="error of |x|^4"))  # fmt: skip
        return out

    return measure


def _em_weak_runs(scale: float, seed: int) -> dict[str, Run]:
    paths = (16_000, 18_000, 20_000, 24_000)
    return ladder((2, 4, 8, 16), paths=paths, scale=scale, seed=seed, fine=2, method="em")


def _em_weak_momentum_runs(scale: float, seed: int) -> dict[str, Run]:
    return ladder((8, 16, 32, 64), paths=(5_000,) * 4, scale=scale, seed=seed, fine=2, method="em", momentum=0.5)


def _svag_runs(scale: float, seed: int) -> dict[str, Run]:
    return ladder((4, 8, 16, 32), paths=(8_000,) * 4, scale=scale, seed=seed, method="svag")


def _em_strong_runs(scale: float, seed: int) -> dict[str, Run]:
    return ladder((8, 16, 32, 64), paths=(5_000,) * 4, scale=scale, seed=seed, fine=2, method="em", init_norm="1eq",
                  wd=0.5, parameters={"signal": 0.1})  # fmt: skip


def _em_strong_momentum_runs(scale: float, seed: int) -> dict[str, Run]:
    return ladder((8, 16, 32, 64), paths=(4_000,) * 4, scale=scale, seed=seed, fine=2, method="em", init_norm="1eq",
                  momentum=0.5, wd=0.25, parameters={"signal": 0.1})  # fmt: skip


# Each lr has an SDE of its own, whose noise falls with lr: small ones, so that the constant of O(lr) is one.
_RATES = (0.02, 0.01, 0.005, 0.0025)
_FINE = 8


def _sgd_runs(scale: float, seed: int) -> dict[str, Run]:
    """Each lr to the same time, SGD and a fine integration of its SDE on the same noise."""
    out = {}
    for i, lr in enumerate(_RATES):
        common: dict[str, Any] = {**_FLOW, "lr": lr, "N": round(_TIME / lr), "paths": 4_000, "seed": seed + 1000 * i, "scale": scale,
                  "parameters": {"signal": 1.0, "noise_scale": 0.25}}  # fmt: skip
        out[f"{lr:g}"] = run(method="sgd", noise_from=_FINE, **common)
        out[f"{lr:g} fine"] = run(method="em", substeps=_FINE, **common)
    return out


def _sgd_orders(records: Records, runs: Runs) -> Sequence[Measurement]:
    names = [f"{lr:g}" for lr in _RATES]
    direction = {float(n): mean_and_error(last(records[n], "loss") - last(records[f"{n} fine"], "loss")) for n in names}
    norm = {float(n): mean_and_error(quartic_error(records[n], runs[n])) for n in names}
    axis = {"order": 1.0, "wrong": 0.5, "xlabel": "learning rate"}
    where = f"{describe(runs[names[-1]])} to {names[0]} at lr k = {_TIME:g}, beside em with {_FINE} substeps"
    return [
        slope(f"{where}: direction, <m, y>", direction, ylabel="error of E <m, y>", **axis),
        slope(f"{where}: |x|^4", norm, ylabel="error of E |x|^4", **axis),
    ]


def _limit_runs(scale: float, seed: int) -> dict[str, Run]:
    common: dict[str, Any] = {"N": 10, "B": 1, "lr": 0.1, "wd": 0.5, "dim": 4, "epochs": 1, "init_norm": 1.0,
                              "paths": 24_000, "seed": seed, "scale": scale, "method": "em"}  # fmt: skip
    return {"coarse": run(substeps=8, noise_from=16, **common), "fine": run(substeps=16, **common)}


def _limit(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Extrapolated to no step at all, path by path."""
    one = runs["fine"]
    hp, d = one.hyperparameters, one.arrays.dim
    sigma, t = one.noise_deviation, hp.lr * hp.steps_per_epoch
    exact = theory.transient(t, hp.lr, hp.wd, sigma=sigma, dim=d, start=one.start_norm)
    naive = theory.stratonovich(t, hp.lr, hp.wd, noise_trace=sigma**2 * (d - 1), start=one.start_norm)
    square = 1 / d + (1 - 1 / d) * naive.cos ** (2 * d / (d - 1))
    c, x = ({name: last(records[name], q) for name in runs} for q in ("cos_epoch", "weight_norm"))
    cases = (
        ("1 - cos", 1 - exact.cos, 1 - naive.cos, {n: 1 - v for n, v in c.items()}),
        ("cos^2", exact.cos_squared, square, {n: v**2 for n, v in c.items()}),
        ("|x|^4", exact.quartic, naive.norm_squared**2, {n: v**4 for n, v in x.items()}),
    )
    out = []
    for name, predicted, wrong, found in cases:
        value = mean_and_error(2 * found["fine"] - found["coarse"])
        what = Quantity(
            f"{name} of the SDE after {hp.steps_per_epoch} steps",
            "twice the finer run minus the coarser one, path by path, on the same increments; mean over paths",
        )
        out.append(Measurement(quantity=what, system=f"{describe(one)}, and 8, extrapolated", predicted=predicted,
                               measured=value.value, stderr=value.stderr, wrong=wrong))  # fmt: skip
    return out


_ORDER = {"f": "a smooth function of the weights, here <m, y> and |x|^4", "p": "the order"}
_WEAK = {MONTE_CARLO: 0.07, HIGHER: 0.025}
_STRONG = {MONTE_CARLO: 0.05, HIGHER: 0.045}

CLAIMS = (
    Claim(id="sgd-weak-order", source="Yun et al. eq. 12; Li, Tai and E 2017; theory.md 0.5, 3.6", expected=HOLDS,
          statement="The SDE is an order-1 weak approximation of SGD: expectations at a fixed time differ by O(lr).",
          formula="|E f(x_k) - E f(X_{k lr})| = O(lr^p) at k lr = t, p = 1", where=_ORDER, assumes="no momentum, smooth f, the batch is fixed",
          tolerance=_WEAK, wrong="order 1/2", runs=_sgd_runs, measure=_sgd_orders),
    Claim(id="em-weak-order", source="theory.md 3.7, 3.5", expected=HOLDS,
          statement="Euler-Maruyama has weak order 1, and its norm goes to the SDE's; so does SGD at fixed lr/B.",
          formula="E f(X_h) - E f(X) = O(h^p), p = 1", where=_ORDER, assumes="constant noise strength lr/B, smooth f", tolerance=_WEAK,
          wrong="order 1/2", runs=_em_weak_runs, measure=_substep_orders(1.0, 0.5, mean_and_error)),
    Claim(id="em-weak-order-momentum", source="Yun et al. eqs. 19, 20; theory.md 3.7, 9.1", expected=HOLDS,
          statement="With momentum, too, Euler-Maruyama has weak order 1.", formula="E f(X_h) - E f(X) = O(h^p), p = 1", where=_ORDER,
          assumes="momentum above 0 and fixed, smooth f", tolerance=_WEAK, wrong="order 1/2",
          runs=_em_weak_momentum_runs, measure=_substep_orders(1.0, 0.5, mean_and_error, norm=False)),
    Claim(id="svag-weak-order", source="Li, Malladi and Arora 2021; theory.md 4.1", expected=HOLDS,
          statement="SVAG is an order-1 weak approximation of the SDE in 1/l at a fixed learning rate.",
          formula="E |x_{lk}|^4 - E |X_{k lr}|^4 = O(h^p), h = 1/l, p = 1", where=_ORDER, assumes="no momentum", tolerance=_WEAK, wrong="order 1/2",
          runs=_svag_runs, measure=_substep_orders(1.0, 0.5, mean_and_error)),
    Claim(id="em-strong-order", source="theory.md 3.7", expected=HOLDS,
          statement="Path by path Euler-Maruyama converges at order 1/2: the noise depends on where the weights are.",
          formula="(E |X_h - X|^2)^(1/2) = O(h^p), p = 1/2", where=_ORDER, assumes="no momentum, d >= 3: noise that does not commute",
          tolerance=_STRONG, wrong="order 1, as for additive noise", runs=_em_strong_runs,
          measure=_substep_orders(0.5, 1.0, rms)),
    Claim(id="em-strong-order-momentum", source="theory.md 9.1, 3.7", expected=HOLDS,
          statement="With momentum it converges at order 1: the noise enters the velocity and depends on the weights alone, "
                    "which are smooth, so that nothing of Milstein's correction is left.",
          formula="(E |X_h - X|^2)^(1/2) = O(h^p), p = 1", where=_ORDER, assumes="momentum above 0 and fixed", tolerance=_STRONG,
          wrong="order 1/2", runs=_em_strong_momentum_runs, measure=_substep_orders(1.0, 0.5, rms, norm=False)),
    Claim(id="em-limit", source="Yun et al. eq. 12; theory.md 2.3-2.5, 3.1", expected=HOLDS,
          statement="Extrapolated to no step, Euler-Maruyama has the norm and the first two harmonics of the Ito equation.",
          formula="1 - E cos = 1 - exp(-wd t) r_0/r_t; E cos^2 - 1/d = (1 - 1/d) exp(-d s); r_t^4 = exp(-4 wd t) r_0^4 + "
                  "(lr tau/(2 wd))(1 - exp(-4 wd t))",
          assumes="isotropic noise, no mean gradient", tolerance={MONTE_CARLO: 0.02, "second order in the step": 0.005},
          wrong="the equation read in Stratonovich's sense", runs=_limit_runs, measure=_limit),
)  # fmt: skip
