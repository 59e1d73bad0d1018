"""Li et al. 2025: trajectories of AdamW are the same for equal learning rate early, for equal lr wd late."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sde_si import estimators, theory
from sde_si.losses import Arrays
from sde_si.losses.analytic import VMF
from sde_si.run import Run
from sde_si.verify.claim import APPROXIMATE, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import MONTE_CARLO, Records, Runs, describe, run

_FOLD, _U, _N = 4.0, 2e-4, 100  # C's lr and B's wd over A's; lr wd of B and C; steps an epoch
_FOLDS = 24  # of paths, left out in turn


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
        name: run(_FIELD, N=_N, B=1, lr=lr, wd=wd, momentum=0.9, beta2=0.95, epochs=300, dim=dim, paths=64, method="adamw",
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


def _losses(records: Records, paths: np.ndarray) -> dict[str, np.ndarray]:
    """Mean loss at the ends of epochs."""
    return {name: estimators.values(record, "loss")[paths].mean(axis=0) for name, record in records.items()}


def _measured(records: Records, reduce: Callable[[np.ndarray], Any]) -> tuple[Any, Any]:
    """A function of the measured share, and its standard error."""
    paths = min(r.sizes["path"] for r in records.values())
    return estimators.jackknife(lambda kept: reduce(_share(_losses(records, kept))), paths, _FOLDS)


def _times(epochs: int) -> np.ndarray:
    """2 u k at the ends of epochs."""
    return 2 * _U * _N * np.arange(1, epochs + 1)


def _li_curve(records: Records, runs: Runs) -> Curve:
    value, error = _measured(records, lambda share: share)
    every = slice(4, None, 5)
    lines = {"norm's relaxation, 2u": _li_share(runs)[every], "4u": _li_share(runs, 4.0)[every]}
    return Curve(x=_times(value.size)[every], measured=value[every], stderr=error[every], lines=lines,
                 xlabel="steps x 2 lr wd", ylabel="loss, 0: of equal lr, 1: of equal lr wd")  # fmt: skip


def _li_system(runs: Runs) -> str:
    return f"{describe(runs['B'])}, beside lr x {_FOLD:g}, wd / {_FOLD:g} (C) and wd / {_FOLD:g} (A)"


def _mean_share(records: Records, runs: Runs, windows: Mapping[str, slice], says: float, other: float, *, late: bool):
    """Mean share over windows beside what the collapse says, and, late, the law's own mean there."""
    law, curve = _li_share(runs), _li_curve(records, runs)
    out = []
    for why, epochs in windows.items():
        value, error = _measured(records, lambda share, at=epochs: share[at].mean())
        at = _times(law.size)[epochs]
        out.append(Measurement(quantity=_BETWEEN, system=f"{_li_system(runs)}; 2u k from {at[0]:.3g} to {at[-1]:.3g}: {why}",
                               predicted=says, truth=float(law[epochs].mean()) if late else None, measured=float(value),
                               stderr=float(error), wrong=other, curve=None if out else curve))  # fmt: skip
    return out


_BETWEEN = Quantity("(L_B - L_A)/(L_C - L_A), mean over the window",
                    "mean losses at the ends of the window's epochs; error by leaving out paths, which share their noise")  # fmt: skip


def _li_early(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Windows that end before steps of length lr sqrt(d) could have turned B by a right angle, and earlier.

    Later the direction of C has settled and that of A and B has not: L_C - L_A passes through zero, and the share with
    it through infinity.
    """
    one = runs["B"]
    steps = math.pi / 2 * one.start_norm / (one.hyperparameters.lr * math.sqrt(one.arrays.dim))
    last = int(steps // one.hyperparameters.steps_per_epoch)
    windows = {
        f"turned by at most {part * 90:.0f} deg": slice(0, max(1, round(part * last))) for part in (1 / 3, 2 / 3, 1)
    }
    return _mean_share(records, runs, windows, 0.0, 1.0, late=False)


def _li_late(records: Records, runs: Runs) -> Sequence[Measurement]:
    """Windows that begin where it has come so close to one."""
    law = _li_share(runs)
    windows = {f"from where the law of the crossover is at {1 - end:g}": slice(int(np.flatnonzero(law >= 1 - end)[0]), None)
               for end in (0.03, 0.01)}  # fmt: skip
    return _mean_share(records, runs, windows, 1.0, 0.0, late=True)


def _crossing(share: np.ndarray, epochs: slice) -> float:
    """Decay times 1/(2u) after which a straight line through the share over some epochs passes one half."""
    slope, offset = np.polyfit(_times(share.size)[epochs], share[epochs], 1)
    return float((0.5 - offset) / slope)


def _li_crossover(records: Records, runs: Runs) -> Sequence[Measurement]:
    """The line goes through the epochs at which the law is within so much of one half."""
    law, quick = _li_share(runs), _li_share(runs, 4.0)
    what = Quantity("2u k at which the share passes 1/2",
                    "straight line through the share over the epochs named; error by leaving out paths; where L_C and L_A "
                    "cross, near 2u k = 0.5, the share has no value: the points drawn there scatter")  # fmt: skip
    curve, out = _li_curve(records, runs), []
    for half in (0.1, 0.15, 0.25):
        inside, fast = (np.flatnonzero(np.abs(one - 0.5) <= half) for one in (law, quick))
        epochs = slice(int(inside[0]), int(inside[-1]) + 1)
        value, error = _measured(records, lambda share, at=epochs: _crossing(share, at))
        out.append(Measurement(quantity=what, system=f"{_li_system(runs)}; line where the law is within {half:g} of 1/2",
                               predicted=_crossing(law, epochs), measured=float(value), stderr=float(error),
                               wrong=_crossing(quick, slice(int(fast[0]), int(fast[-1]) + 1)),
                               curve=None if out else curve))  # fmt: skip
    return out


_WHERE = {
    "L_A": "mean loss of the run with B's lr and C's wd", "L_B": "mean loss of the run with A's lr and C's lr wd",
    "L_C": "mean loss of the run with four times the lr", "u": "lr wd of B and C", "k": "number of a step",
    "A": "run of lr and wd", "B": "run of lr and 4 wd", "C": "run of 4 lr and wd",
}  # fmt: skip

CLAIMS = (
    Claim(id="li-2025-early", source="Li et al. 2025; theory.md 7.8", expected=APPROXIMATE,
          statement="Early, loss curves of AdamW collapse on lr, whatever the weight decay.",
          formula="(L_B - L_A)/(L_C - L_A) = 0 for equal lr in A and B", where=_WHERE, assumes="the same start",
          tolerance={MONTE_CARLO: 0.03, "u k": 0.06},
          wrong="collapse on lr wd", runs=_li_runs, measure=_li_early,
          broken="lr sqrt(d) k/|x_0| <= pi/2: steps of that length have not yet turned the weights by a right angle; later "
                 "the run with four times the lr has settled, L_C - L_A changes sign (at 2u k = 0.5) and the ratio means "
                 "nothing until the others have settled, too (2u k = 0.8)"),
    Claim(id="li-2025-late", source="Li et al. 2025; theory.md 7.8", expected=APPROXIMATE,
          statement="Late, they collapse on lr wd, whatever the learning rate.",
          formula="(L_B - L_A)/(L_C - L_A) = 1 for equal lr wd in B and C", where=_WHERE,
          assumes="norm equilibrium, constant schedule",
          tolerance={MONTE_CARLO: 0.03, "what the relaxation has left at the window's begin": 0.03}, wrong="collapse on lr",
          runs=_li_runs, measure=_li_late, broken="from where the length has relaxed so far that the share is at 0.97"),
    Claim(id="li-2025-crossover", source="Li et al. 2025; theory.md 7.8", expected=APPROXIMATE,
          statement="In between the length decides: the loss's excess goes as lr/|x|, and |x|^2 relaxes at 2 lr wd.",
          formula="half way at 2u k = 2.4 for four times the decay: |x_k|^2 = A + (|x_0|^2 - A) exp(-2 u k)",
          where=_WHERE | {"A": "squared length at equilibrium, lr d/(2 wd)"},
          assumes="the direction follows the length at once; small excess of loss; 2u << 1 - b2",
          tolerance={MONTE_CARLO: 0.03, "direction lags behind, mean gradient in the momentum": 0.05},
          wrong="SGD's rate 4u", runs=_li_runs, measure=_li_crossover,
          broken="small excess of loss, memory and relaxation of the direction short against 1/u"),
)  # fmt: skip
