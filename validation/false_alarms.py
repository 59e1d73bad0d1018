"""How often the quick set would ring although every claim is right: from the rules and the precision of each claim.

A measurement rings if it is off by more than its tolerance and five standard errors, or if its standard error came out
above a third of the tolerance; of a claim that fails, if its deviation is not clear or not the predicted one. Errors of
means over n independent paths follow Student's law with n - 1 degrees of freedom, their squares chi squared.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from sde_si.verify import Claim
from sde_si.verify.claim import CERTAIN, ERRORS, EXPLAINED, FAILS
from sde_si.verify.claims.common import describe

LIMIT = 1e-4  # of a whole run of the quick set
ROUNDING = 1e-9  # relative standard errors below it are rounding, not statistics
# Independent samples behind a claim's standard errors, where they are not the paths of its smallest run: folds of paths
# left out in turn (`sde_si.estimators.relaxation`, claims on trajectory invariance); runs beside it without noise.
SAMPLES = {"linear-rate": 32, "li-2025-early": 24, "li-2025-late": 24, "li-2025-crossover": 24,
           "direction-prefactors": 256}  # fmt: skip


def paths(claim: Claim) -> dict[str, int]:
    """Independent samples behind a claim's standard errors, by the beginning of a system's name; "" for the others."""
    assert claim.runs is not None
    if claim.id in SAMPLES:
        return {"": SAMPLES[claim.id]}
    runs = claim.runs(1.0, 0).values()
    named: dict[str, int] = {}
    for run in runs:
        named[describe(run)] = min(run.paths, named.get(describe(run), run.paths))
    return named | {"": min(run.paths for run in runs)}


def samples_of(known: dict[str, int], system: str) -> int:
    """Those of one measurement: of the longest name with which its system begins."""
    return known[max((name for name in known if system.startswith(name)), key=len)]


def reference(one: dict[str, Any]) -> float:
    """What theory says of a measurement: of a claim that fails, the corrected theory."""
    return one["predicted"] if one["truth"] is None else one["truth"]


def is_statistical(one: dict[str, Any]) -> bool:
    """Whether a measurement has a standard error that is more than rounding."""
    measured, stderr = one["measured"], one["stderr"]
    return measured is not None and stderr is not None and stderr > ROUNDING * max(abs(measured), abs(reference(one)))


def bare(samples: int) -> float:
    """Probability that a mean over so many samples is off by more than five of its own standard errors."""
    from scipy import stats

    return float(2 * stats.t(samples - 1).sf(ERRORS))


def probability(claim: Claim, seeds: Sequence[dict[str, Any]], samples: int, *, shifted: bool = True) -> float:
    """Probability that a right claim's measurement rings in one run.

    Parameters
    ----------
    claim : Claim
    seeds : sequence of dict
        The same measurement with many seeds: its standard error is their root mean square, and its systematic
        deviation, which the named parts of the tolerance allow for, their mean.
    samples : int
        Independent samples behind the standard error.
    shifted : bool
        Whether the deviation counts; without it the theory is taken to be exact.
    """
    from scipy import stats

    law, dof = stats.t(samples - 1), samples - 1
    stderr = math.sqrt(sum(one["stderr"] ** 2 for one in seeds) / len(seeds))
    off = sum(one["measured"] - reference(one) for one in seeds) / len(seeds) / stderr if shifted else 0.0
    predicted, right = (
        sum(value(one) for one in seeds) / len(seeds) for value in (lambda m: m["predicted"], reference)
    )
    band = claim.allowed * (abs(predicted) or 1.0) / stderr

    def outside(limit: float, centre: float) -> float:
        return float(law.sf(limit - centre) + law.cdf(-limit - centre))

    if claim.expected == FAILS:
        expected = (right - predicted) / stderr
        return outside(EXPLAINED * abs(expected), off) + 1 - outside(max(CERTAIN, band), expected + off)
    # Too wide an error, or too large a deviation.
    margin = claim.margin(predicted, stderr) / stderr
    return float(stats.chi2.sf(dof * (band / 3) ** 2, dof)) + outside(margin, off)
