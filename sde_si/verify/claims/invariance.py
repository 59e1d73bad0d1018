"""Li et al. 2025: trajectories of AdamW are the same for equal learning rate early, for equal lr wd late."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.losses import Arrays
from sde_si.losses.analytic import VMF
from sde_si.run import Run
from sde_si.verify.claim import APPROXIMATE, Claim, Curve, Measurement
from sde_si.verify.claims.common import MONTE_CARLO, Records, Runs, describe, run

_FOLD, _U, _N = 4.0, 2e-4, 100  # C's lr and B's wd over A's; lr wd of B and C; steps an epoch


def _field_arrays(values: Mapping[str, Any], dim: int | None, N: int, rng: np.random.Generator) -> Arrays:
    """The von Mises-Fisher field along the diagonal: Adam divides by coordinates, and along one of them noise dies out."""
    assert VMF.arrays is not None
    arrays = VMF.arrays(values, dim, N, rng)
    scalars, mean, rest = arrays.params
    return dataclasses.replace(arrays, params=(scalars, np.full_like(mean, mean[0, 0] / math.sqrt(mean.size)), rest))


_FIELD = dataclasses.replace(VMF, name="diagonal field", arrays=_field_arrays)


def _li_runs(scale: float, seed: int) -> dict[str, Run]:
    """B shares lr with A and lr wd with C; all start at C's equilibrium length, and are driven by the same noise."""
    dim, lr = 64, 1e-3
    wd = _U / (_FOLD * lr)
    start = math.sqrt(_FOLD * lr * dim / (2 * wd))
    systems = {"A": (lr, wd), "B": (lr, _FOLD * wd), "C": (_FOLD * lr, wd)}
    return {
        name: run(_FIELD, N=_N, B=1, lr=lr, wd=wd, momentum=0.9, beta2=0.95, epochs=300, dim=dim, paths=96, method="adamw",
                  init_norm=start, parameters={"signal": 4.0}, scale=scale, seed=seed)
        for name, (lr, wd) in systems.items()
    }  # fmt: skip


def _share(excess: dict[str, np.ndarray]) -> np.ndarray:
    """Where the curve of B lies between that of equal lr (0) and that of equal lr wd (1)."""
    return (excess["B"] - excess["A"]) / (excess["C"] - excess["A"])


def _li_share(runs: Runs, rate: float = 2.0) -> np.ndarray:
    """The share at the ends of epochs if the loss's excess goes as lr/|x|, and |x|^2 relaxes at `rate` times u."""
    out = {}
    for name, one in runs.items():
        hp = one.hyperparameters
        k = hp.steps_per_epoch * np.arange(1, hp.epochs + 1)
        end = hp.lr * one.arrays.dim / (2 * hp.wd)
        out[name] = hp.lr / np.sqrt(theory.relaxed(k * rate / 2, one.start_norm**2, end, hp.intrinsic_lr))
    return _share(out)


def _losses(records: Records, paths: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Mean loss at the ends of epochs."""
    each = {name: record["loss"].transpose("path", "epoch").values for name, record in records.items()}
    return {name: (v if paths is None else v[paths]).mean(axis=0) for name, v in each.items()}


def _jackknife(records: Records, reduce: Callable[[dict[str, np.ndarray]], Any], folds: int = 24) -> tuple[Any, Any]:
    """A function of the mean losses, and its standard error by leaving out paths; works on arrays, too."""
    paths = min(r.sizes["path"] for r in records.values())
    parts = np.array_split(np.arange(paths), min(folds, paths))
    left = np.array([reduce(_losses(records, np.setdiff1d(np.arange(paths), part))) for part in parts])
    spread = np.sum((left - left.mean(axis=0)) ** 2, axis=0)
    return reduce(_losses(records)), np.sqrt((len(parts) - 1) / len(parts) * spread)


def smooth(share: np.ndarray) -> np.ndarray:
    """Running mean over 11 epochs; the ends as they are."""
    out = share.copy()
    out[5:-5] = np.convolve(share, np.full(11, 1 / 11), mode="valid")
    return out


def _crossing(share: np.ndarray) -> float:
    """Decay times 1/(2u) after which the share passes one half: a straight line through 0.35 to 0.65."""
    times = 2 * _U * _N * np.arange(1, share.size + 1)
    # from the last time below to the last time that it is not yet above: single epochs are noisy
    first, last = (int(np.flatnonzero(smooth(share) < level)[-1]) for level in (0.35, 0.65))
    slope, offset = np.polyfit(times[first:last], share[first:last], 1)
    return float((0.5 - offset) / slope)


def _li_curve(records: Records, runs: Runs) -> Curve:
    value, error = _jackknife(records, _share)
    times = 2 * _U * _N * np.arange(1, value.size + 1)
    every = slice(4, None, 5)
    lines = {"norm's relaxation, 2u": _li_share(runs)[every], "4u": _li_share(runs, 4.0)[every]}
    return Curve(x=times[every], measured=value[every], stderr=error[every], lines=lines,
                 xlabel="steps x 2 lr wd", ylabel="loss between that of equal lr (0) and of equal lr wd (1)")  # fmt: skip


def _li_system(runs: Runs) -> str:
    return f"{describe(runs['B'])}, beside lr x {_FOLD:g}, wd / {_FOLD:g} (C) and wd / {_FOLD:g} (A)"


def _li_early(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Mean over the first 0.12/(2u) steps."""
    value, error = _jackknife(records, lambda losses: _share(losses)[:3].mean())
    return [Measurement(system=f"{_li_system(runs)}, first 300 steps", predicted=0.0, measured=float(value),
                        stderr=float(error), wrong=1.0, curve=_li_curve(records, runs))]  # fmt: skip


def _li_late(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Mean over the last 5000 steps, from 10/(2u) on."""
    value, error = _jackknife(records, lambda losses: _share(losses)[-50:].mean())
    return [Measurement(system=f"{_li_system(runs)}, last 5000 steps", predicted=1.0, measured=float(value),
                        stderr=float(error), wrong=0.0, curve=_li_curve(records, runs))]  # fmt: skip


def _li_crossover(records: Records, runs: Runs) -> Sequence[Measurement]:
    value, error = _jackknife(records, lambda losses: _crossing(_share(losses)))
    return [Measurement(system=_li_system(runs), predicted=_crossing(_li_share(runs)), measured=float(value),
                        stderr=float(error), wrong=_crossing(_li_share(runs, 4.0)), curve=_li_curve(records, runs))]  # fmt: skip


CLAIMS = (
    Claim(id="li-2025-early", source="Li et al. 2025; theory.md 7.8", expected=APPROXIMATE,
          statement="Early, loss curves of AdamW collapse on lr, whatever the weight decay.",
          formula="(L_B - L_A)/(L_C - L_A) = 0 for equal lr in A and B", assumes="the same length at the start",
          tolerance={MONTE_CARLO: 0.03, "u k": 0.06}, wrong="collapse on lr wd", runs=_li_runs, measure=_li_early,
          broken="k <= 0.12/(2 lr wd)"),
    Claim(id="li-2025-late", source="Li et al. 2025; theory.md 7.8", expected=APPROXIMATE,
          statement="Late, they collapse on lr wd, whatever the learning rate.",
          formula="(L_B - L_A)/(L_C - L_A) = 1 for equal lr wd in B and C", assumes="norm equilibrium, constant schedule",
          tolerance={MONTE_CARLO: 0.03, "A still relaxing, finite u": 0.03}, wrong="collapse on lr", runs=_li_runs,
          measure=_li_late, broken="k >= 10/(2 lr wd), at four times the learning rate"),
    Claim(id="li-2025-crossover", source="Li et al. 2025; theory.md 7.8", expected=APPROXIMATE,
          statement="In between the length decides: the loss's excess goes as lr/|x|, and |x|^2 relaxes at 2 lr wd.",
          formula="half way at 2u k = 2.4 for four times the decay: |x|^2 = A + (|x_0|^2 - A) exp(-2uk)",
          assumes="the direction follows the length at once; small excess of loss; 2u << 1 - b2",
          tolerance={MONTE_CARLO: 0.03, "direction lags behind, mean gradient in the momentum": 0.05},
          wrong="SGD's rate 4u", runs=_li_runs, measure=_li_crossover,
          broken="small excess of loss, memory and relaxation of the direction short against 1/u"),
)  # fmt: skip
