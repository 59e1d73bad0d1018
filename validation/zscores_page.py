"""``docs/zscores.md`` from the record of `validation.zscores`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sde_si import theory
from sde_si.run import Run
from sde_si.verify import CLAIMS, Claim
from sde_si.verify.claim import ERRORS, FAILS
from sde_si.verify.claims.common import describe
from validation import false_alarms

PAGE = Path(__file__).resolve().parent.parent / "docs" / "zscores.md"
CLEAR = 5.0  # standard errors by which the mean over all seeds must be off to be called systematic

NOTHING = 1e-12  # probabilities that need no digits

# Why a claim's deviations are not centred on zero. To add one, say which part of its tolerance names it.
SHIFTED = {
    "long-lag": "exp(-T) against c_n of 9.2, which keeps 1/(n (1 - mu)); against c_n the mean is zero",
    "collapse": "with momentum the same 1/(n (1 - mu)); against c_n of each run the mean is zero",
    "effective-lr-per-epoch": "first order in u: u/4, 0.013 to 0.025 %",
    "step-angle": "arccos(1 - u/(1 + mu)) against the rms angle of 2.7 in d = 256; against 2.7 the mean is zero",
    "sde-step-angle": "self-averaging against 2.7 in d = 256; against 2.7 the mean is zero",
    "sgdm-sde-step-angle": "the same data as sde-step-angle",
    "reshuffling": "1.13 is first order in n u/(1 - mu), here 0.07 and 0.08 (at 0.08 off by 3 %, in d = 64 3.7 %)",
    "reshuffling-as-replacement": "the same data as reshuffling",
    "balance": "on regression with momentum the norm still drifts with the slow directions of the loss; 4.7 needs a "
    "stationary one. Most of it is (1 - mu)/(1 + mu) of the change of |x|^2 over the window; the data, and with them "
    "the drift, differ from seed to seed, hence the large spread",
    "reshuffling-all-orders": "the recursion is for d to infinity: without momentum +0.3 % in d = 128",
    "confinement": "18.2 is for rotations small against 1: +0.4 to +0.5 % where the direction has turned farthest",
    "free-rotation-in-a-basin": "the same data as confinement",
    "confinement-noise-norm": "the same data as confinement",
    "sgd-weak-order": "a slope over finite steps: higher orders in the step",
    "em-weak-order": "a slope over finite steps: higher orders in the step",
    "sgdm-sde-long-lags": "at lag 100 the named 1/((1 + mu)(n - 1/(1 - mu)))",
    "temperature": "finite u and the signal's share of the gradient, +0.5 %",
    "lion": "finite d: -0.05 % of the norm in d = 1024",
    "em-strong-order": "a slope over finite steps: higher orders in the step",
    "kosson-adamw": "the table is first order in u and 1 - b2; against the law of adamw the mean is zero to 0.03 %",
    "adamw": "second order in 1 - b2: +0.01 % of the rotation, +0.03 % of the norm",
    "kosson-adam-l2": "the table is first order in the decay of a step and in 1 - b2; no better law is known",
    "adam-l2-as-adamw": "the same data as kosson-adam-l2, whose value is the corrected one here",
    "kosson-sgdw": "first order in u: u mu/(1 - mu^2), 0.1 %; against 9.5 the mean is zero",
    "adamw-rate": "finite d, and a fit over deviations that are not infinitesimal",
    "li-2025-early": "a simple statement against paired paths, whose standard errors are tiny: the named u k",
    "li-2025-late": "a simple statement against paired paths: what the relaxation has left at the window's begin",
    "li-2025-crossover": "a simple statement against paired paths: the direction lags, momentum shares the gradient",
    "sphere-vmf": "what is left of the step size after extrapolation",
    "sphere-ito": "the step size's bias, of first order in h, and more of it where the noise varies less",
    "svag": "4.3 is first order in u/l, and takes the norm for constant: u/(8l) and V/4, 0.1 % at l = 1, d = 4",
}


def _versine(run: Run) -> float | None:
    value = theory.equilibrium(run)["cos_epoch"].value
    return None if value is None else 1 - value


# Claims of a formula that is itself approximate, and the theory without that approximation.
REFINED = {
    "long-lag": _versine,
    "collapse": _versine,
    "step-angle": lambda run: theory.equilibrium(run)["angle_step"].value,
    "sde-step-angle": lambda run: theory.equilibrium(run)["angle_step"].value,
}


@dataclass(frozen=True)
class Row:
    """One measurement of a claim over all seeds."""

    claim: Claim
    system: str
    z: np.ndarray
    refined: np.ndarray | None
    deviation: float  # mean, relative to the prediction
    precision: float  # standard error over the tolerance
    samples: int  # independent ones behind the standard error
    alarm: float

    @property
    def systematic(self) -> bool:
        """Whether the mean over the seeds is off."""
        return abs(self.z.mean()) * math.sqrt(self.z.size) > CLEAR


def _refined(claim: Claim) -> dict[str, float]:
    """Better predictions of a claim's measurements, by the beginning of their systems' names."""
    if claim.id not in REFINED or claim.runs is None:
        return {}
    values = {describe(run): REFINED[claim.id](run) for run in claim.runs(1.0, 0).values()}
    return {name: value for name, value in values.items() if value is not None}


def table(record: dict[str, dict[str, Any]]) -> list[Row]:
    """Every statistical measurement of the record, in the registry's order."""
    out = []
    for claim in CLAIMS.values():
        seeds = [record[claim.id][seed] for seed in sorted(record.get(claim.id, {}), key=int)]
        better, samples = _refined(claim), false_alarms.paths(claim) if seeds else {}
        for measurements in zip(*(found["measurements"] for found in seeds), strict=True):
            ones = [one for one in measurements if false_alarms.is_statistical(one)]
            if len(ones) < len(seeds):
                continue
            z = np.array([(one["measured"] - false_alarms.reference(one)) / one["stderr"] for one in ones])
            names = sorted((name for name in better if ones[0]["system"].startswith(name)), key=len)
            value = better[names[-1]] if names else None
            refined = None if value is None else np.array([(o["measured"] - value) / o["stderr"] for o in ones])
            scale, count = abs(ones[0]["predicted"]) or 1.0, false_alarms.samples_of(samples, ones[0]["system"])
            errors = np.array([one["stderr"] for one in ones])
            deviation = float(np.mean([one["measured"] - false_alarms.reference(one) for one in ones])) / scale
            out.append(Row(claim, ones[0]["system"], z, refined, deviation,
                           float(np.sqrt(np.mean(errors**2))) / scale / claim.allowed, count,
                           false_alarms.probability(claim, ones, count)))  # fmt: skip
    return out


def pooled(rows: list[Row]) -> np.ndarray:
    """The z of all claims whose theory has no named error of its own, each measurement once, shape (row, seed)."""
    centred = [row for row in rows if row.claim.expected != FAILS]
    return np.array([row.z if row.refined is None else row.refined for row in centred
                     if row.claim.id not in SHIFTED or row.refined is not None])  # fmt: skip


def distance(z: np.ndarray) -> tuple[float, float]:
    """Kolmogorov-Smirnov distance of z (row, seed) from the standard normal law, and its p-value.

    Rows are correlated: claims share simulations, and simulations of one seed share random numbers. The p-value is that
    of normal numbers with the measured correlations, drawn as random combinations of the seeds.
    """
    from scipy import special, stats

    def statistic(sample: np.ndarray) -> float:
        return float(stats.ks_1samp(sample.ravel(), special.ndtr, method="asymp").statistic)

    found = statistic(z)
    unit = z / np.sqrt(np.mean(z**2, axis=1, keepdims=True))
    weights = np.random.default_rng(0).standard_normal((2000, z.shape[1], z.shape[1])) / math.sqrt(z.shape[1])
    drawn = [statistic(unit @ one) for one in weights]
    return found, float(np.mean(np.array(drawn) >= found))


def unexplained(rows: list[Row]) -> list[str]:
    """Claims that deviate systematically, or once by more than five standard errors, without a reason in `SHIFTED`."""
    off = [row for row in rows if row.systematic or np.abs(row.z).max() > ERRORS]
    return sorted({row.claim.id for row in off} - set(SHIFTED))


def _distribution(z: np.ndarray) -> list[str]:
    from scipy import stats

    edges = [-math.inf, -3, -2, -1, 0, 1, 2, 3, math.inf]
    counts, expected = np.histogram(z, edges)[0], np.diff(stats.norm.cdf(edges)) * z.size
    lines = ["| z | measured | standard normal |", "|---|---:|---:|"]
    for low, high, count, mean in zip(edges[:-1], edges[1:], counts, expected, strict=True):
        name = (
            f"below {high:g}" if low == -math.inf else f"above {low:g}" if high == math.inf else f"{low:g} to {high:g}"
        )
        lines.append(f"| {name} | {count} | {mean:.1f} |")
    lines += ["", "| quantile | measured | standard normal |", "|---:|---:|---:|"]
    for q in (0.005, 0.025, 0.25, 0.5, 0.75, 0.975, 0.995):
        lines.append(f"| {100 * q:g} % | {np.quantile(z, q):+.2f} | {stats.norm.ppf(q):+.2f} |")
    return lines


def _small(probability: float) -> str:
    return f"{probability:.0e}" if probability > NOTHING else f"< {NOTHING:.0e}"


def _age(stale: Sequence[str]) -> str:
    """Which rows are not of the present code."""
    if not stale:
        return "All rows are of the present code."
    names = ", ".join(f"`{name}`" for name in stale)
    return (
        f"Not of the present code: {names}. Something on which they rest (a simulation, the claim's file, theory, "
        "estimators) was edited since; their rows show what was measured before."
    )


def page(record: dict[str, dict[str, Any]], stale: Sequence[str] = ()) -> str:
    """The whole page; `stale` names claims whose rows are not of the present code."""
    from scipy import stats

    rows = table(record)
    matrix = pooled(rows)
    z, (ks, p) = matrix.ravel(), distance(matrix)
    total, seeds = sum(row.alarm for row in rows), matrix.shape[1]
    by_seed = [one.std(ddof=1) / math.sqrt(seeds) for one in (matrix.mean(axis=0), (matrix**2).mean(axis=0))]
    bare = sum(false_alarms.bare(row.samples) for row in rows)
    worst = max(rows, key=lambda row: row.alarm)
    lines = []
    for row in rows:
        better = f"{row.refined.mean():+.2f}" if row.refined is not None else ""
        lines.append(f"| {row.claim.id} | {row.system} | {row.z.mean():+.2f} | {row.z.std(ddof=1):.2f} | "
                     f"{row.z[np.abs(row.z).argmax()]:+.2f} | {better} | {100 * row.deviation:+.3f} | "
                     f"{100 * row.claim.allowed:.3g} | {row.precision:.2f} | {_small(row.alarm)} |")  # fmt: skip
    shifts = {row.claim.id: row for row in sorted(rows, key=lambda r: abs(r.z.mean())) if row.systematic}
    reasons = [f"- `{name}` (mean z {row.z.mean():+.1f}, {100 * row.deviation:+.2g} % of a tolerance of "
               f"{100 * row.claim.allowed:.2g} %): {SHIFTED.get(name, 'NOT EXPLAINED')}."
               for name, row in sorted(shifts.items())]  # fmt: skip
    large = {row.claim.id: max(float(np.abs(one.z).max()) for one in rows if one.claim is row.claim) for row in rows}
    large = [f"`{name}` {value:.1f}" for name, value in large.items() if value > ERRORS]
    open_ = unexplained(rows)
    newline = "\n"
    return f"""# z-scores of the quick set

Made by `python -m validation.zscores`: every statistical measurement of `sde-si verify` with seeds 0 to {seeds - 1}.
z is measured minus predicted in standard errors; for a claim that fails, minus what the corrected theory says. No seed
is left out, and none is drawn again. After edits that were not meant to change a number, seed 0 was measured again; a
claim all of whose numbers were the same to 1e-9 kept its other seeds. {_age(stale)}

## Are they standard normal?

{len(rows)} measurements of {len({row.claim.id for row in rows})} claims with {seeds} seeds each. Below are the
{z.size} z of claims whose theory has no named error of its own, each measurement once (a claim that fails shares the
data of its corrected form), and of approximate formulas against the theory without the approximation.

Mean {z.mean():+.3f} ± {by_seed[0]:.3f}, mean square {np.mean(z**2):.3f} ± {by_seed[1]:.3f} (errors from the spread
between seeds), Kolmogorov-Smirnov distance {ks:.4f} (p = {p:.2g}), largest |z| {np.abs(z).max():.2f} (the normal law's
median for so many: {stats.norm.isf((1 - 0.5 ** (1 / z.size)) / 2):.2f}). Claims share simulations, and simulations of
one seed share random numbers: the p-value is that of normal numbers with the measured correlations.

{newline.join(_distribution(z))}

## Systematic deviations

A claim's deviation is systematic if its mean over the seeds is more than {CLEAR:g} standard errors from zero. Each is
below its tolerance, and a part of that tolerance names it:

{newline.join(reasons)}

Largest |z| of the claims with single values beyond five standard errors: {", ".join(large)}.
{"Not explained: " + ", ".join(open_) if open_ else "All of them are listed above."}

## How often does the quick set ring falsely?

A measurement rings if it is off by more than its tolerance and five standard errors, or if its standard error exceeds
a third of the tolerance (five and a third; of a claim that fails: no clear deviation, or not the predicted one). With
each claim's measured precision and mean deviation, Student's law for means and chi squared for standard errors, both
with (paths - 1) degrees of freedom, all {len(rows)} measurements together ring in at most {total:.1e} of runs
(limit {false_alarms.LIMIT:.0e}); the largest part is `{worst.claim.id}` with {worst.alarm:.1e}. Held to five standard
errors alone, whatever the tolerance, and were the theory exact, they would ring in {bare:.1e}: most tolerances are
wider than five of the claim's standard errors.

## Every measurement

Deviation and tolerance in per cent of the prediction; "exact" is the mean z against the theory without the claim's
approximation; s.e. in units of the tolerance (must stay below 1/3 unless the claim fails); last,
the probability of a false alarm.

| claim | system | mean z | sd | worst z | exact | deviation | tolerance | s.e. | false alarm |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|
{newline.join(lines)}
"""
