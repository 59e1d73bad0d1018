"""Training on the sphere at a fixed effective learning rate: Kodryan et al.'s pairs without noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from sde_si.machine import usable_cores
from sde_si.problem import Problem
from sde_si.sphere.setting import Setting
from sde_si.sphere.threshold import bisect, line
from sde_si.sphere.toy import Pairs, random_squares
from sde_si.verify.claim import EXACT, HOLDS, Claim, Measurement, Quantity
from sde_si.verify.claims.systems import PROJECTED, THREE, first_alphas, pairs_name

ROUNDING = {"rounding": 1e-12}


def _harmonic(rng: np.random.Generator) -> Sequence[Measurement]:
    """The iterate farthest from the identity, of 20 starts and 1000 iterates each."""
    out = []
    what = Quantity("sum of eta/eta_i over the groups", "iterate farthest from 1, of 20 starts and 1000 iterates each")
    for a in (0.5, 1.3, 30.0):
        eta = a / THREE.sum()
        pairs = Pairs(random_squares(3, 20, rng), eta, THREE)
        worst = mean = 0.0
        for _ in range(1000):
            individual = eta / pairs.shares
            sums = eta * (1 / individual).sum(axis=0)
            worst = max(worst, float(np.abs(sums - 1).max()))
            mean = float((individual.mean(axis=0) / (3 * eta)).max())
            pairs.advance(1)
        out.append(
            Measurement(quantity=what, system=pairs_name(THREE, a), predicted=1.0, measured=1 + worst, wrong=mean)
        )
    return out


def _growth(rng: np.random.Generator) -> Sequence[Measurement]:
    """Mean growth of the group that differs most from the mean of the groups, over that mean."""
    out = []
    what = Quantity(
        "mean growth of a group over the groups' mean",
        "<ln(1 + s_i^2)> over 1e5 iterations, the group and start farthest off",
    )
    for a in (1.2, 2.0, 10.0, 100.0):
        pairs = Pairs(random_squares(3, 16, rng), a / THREE.sum(), THREE)
        pairs.advance(1000)
        pairs.forget()
        pairs.advance(100_000)
        ratio = pairs.mean_growth / pairs.mean_growth.mean(axis=0)
        far = ratio.flat[np.abs(ratio - 1).argmax()]
        out.append(
            Measurement(quantity=what, system=pairs_name(THREE, a), predicted=1.0, measured=float(far), wrong=16 / 7)
        )
    return out


_SHARE = Quantity("share of starts that do as the claim says",
                  "of 200 random starts at each effective LR, those whose loss is below (above) 1e-6 sum(alpha) at the end")  # fmt: skip


def _share_of_starts(n: int, a: float, rng: np.random.Generator, *, falls: bool) -> float:
    """Share of random starts whose loss has fallen (has not) after 40,000 iterations at eta = a/sum(alpha)."""
    alphas = first_alphas(n)
    pairs = Pairs(random_squares(n, 200, rng), a / alphas.sum(), alphas)
    pairs.advance(40_000)
    low = pairs.loss < 1e-6 * alphas.sum()
    return float((low if falls else ~low).mean())


def _border(a: Sequence[float], other: float, *, falls: bool) -> float:
    """The share by a wrong border `other`, in units of 1/sum(alpha)."""
    return float(np.mean([(v < other) == falls for v in a]))


def _starts(at: Sequence[float], wrong: Callable[[int], float], *, falls: bool):
    """`wrong`: another border for n groups of curvatures 1 to n, in units of 1/sum(alpha)."""

    def check(rng: np.random.Generator) -> Sequence[Measurement]:
        out = []
        for n in (1, 2, 3, 5, 10):
            found = float(np.mean([_share_of_starts(n, a, rng, falls=falls) for a in at]))
            system = f"{pairs_name(first_alphas(n))}, eta = {', '.join(f'{a:g}' for a in at)} over sum(alpha)"
            out.append(Measurement(quantity=_SHARE, system=system, predicted=1.0, measured=found,
                                   wrong=_border(at, wrong(n), falls=falls)))  # fmt: skip
        return out

    return check


def _equal_shares(n: int) -> float:
    """The stiffest group's border at an equal share, 1/(n max alpha); for one pair 1/L for 2/L, L the curvature."""
    return (n + 1) / (2 * n) if n > 1 else 0.5


def _stiffest(n: int) -> float:
    """The stiffest group's border as if it were alone, 1/max alpha; for one pair 2/alpha, its curvature halved."""
    return (n + 1) / 2 if n > 1 else 2.0


def _exceeds(rng: np.random.Generator) -> Sequence[Measurement]:
    """Share of the iterates at which some group's effective LR is above its threshold; wrong: the stiffest group's."""
    out = []
    what = Quantity("share of iterates with some group above its threshold", "over 50 starts and 800 iterates")
    for n in (2, 3, 5):
        alphas = first_alphas(n)
        for a in (1.001, 1.01, 1.05):  # far above, all of them are at every iterate
            eta = a / alphas.sum()
            pairs = Pairs(random_squares(n, 50, rng), eta, alphas, threads=1)
            some = stiffest = 0.0
            for _ in range(800):
                above = alphas[:, None] * eta / pairs.shares > 1
                some, stiffest = some + above.any(axis=0).mean(), stiffest + above[-1].mean()
                pairs.advance(1)
            out.append(
                Measurement(
                    quantity=what,
                    system=pairs_name(alphas, a),
                    predicted=1.0,
                    measured=float(some) / 800,
                    wrong=float(stiffest) / 800,
                )
            )
    return out


_CRITICAL = {
    False: Quantity("critical effective LR eta_c", "middle of the last bracket of a bisection: loss falling below, stationary above", "1/step"),
    True: Quantity("critical effective LR eta_c", "zero of a straight line through the mean loss against 1/eta; error from the line", "1/step"),
}  # fmt: skip


_THRESHOLDS = {True: ((1.0, 3.0), (1.0, 2.0, 4.0), (1.0, 2.0, 3.0, 4.0, 5.0)), False: ((1.0, 3.0), (1.0, 2.0, 4.0))}


def _threshold(exact: bool):
    def found(alphas: tuple[float, ...], seed: int, guess: float) -> Measurement:
        setting = Setting(problem=Problem("groups", alphas=alphas), seed=seed, starts=16 if exact else 8, threads=1)
        # the line needs no more than to begin above the threshold
        bracket = bisect(setting, guess, tolerance=5e-4 if exact else 1e-4)
        value, error = bracket.value, 0.0  # half a bracket is a bound, not a standard error: it stands in the tolerance
        if exact:
            zero = line(setting, bracket.value)
            value, error = zero.value, zero.stderr
        return Measurement(
            quantity=_CRITICAL[exact], system=pairs_name(np.array(alphas)), predicted=1 / sum(alphas), measured=value,
            stderr=error, wrong=1 / (len(alphas) * max(alphas)),
        )  # fmt: skip

    def check(rng: np.random.Generator) -> Sequence[Measurement]:
        systems = _THRESHOLDS[exact]
        seeds = [int(rng.integers(2**31)) for _ in systems]
        guesses = [float(rng.uniform(0.05, 0.8)) for _ in systems]
        # one system a thread: long runs of few starts do not fill the cores
        with ThreadPoolExecutor(usable_cores()) as pool:
            return list(pool.map(found, systems, seeds, guesses))

    return check


CLAIMS = (
    Claim(id="sphere-harmonic-sum", source="Kodryan et al. A.2; theory.md 5.2", expected=EXACT, tolerance=ROUNDING,
          statement="The inverse effective LRs of the groups add up to that of all weights, at every iterate.",
          formula="sum_i 1/eta_i = 1/eta", assumes=PROJECTED, wrong="their mean is n eta", check=_harmonic),
    Claim(id="sphere-equal-growth", source="theory.md 5.2", expected=HOLDS, check=_growth,
          statement="The groups equalise: the time mean of ln(1 + s_i^2) is the same for all, s_i their effective step.",
          formula="<ln(1 + s_i^2)> = <ln(1 + s_j^2)>", where={"s_i": "effective step of group i: eta_i times its gradient at the unit vector"}, assumes=f"{PROJECTED}; above the threshold",
          tolerance={"ends of the telescoping sum in 1e5 iterations": 2e-3}, wrong="groups at equal shares: growth as alpha_i^2"),
    Claim(id="sphere-convergence", source="Kodryan et al. 3.2; theory.md 5.3", expected=HOLDS,
          check=_starts((0.3, 0.8, 0.95), _equal_shares, falls=True),
          statement="Below the total threshold every start converges.", formula="eta < 1/sum(alpha) => F -> 0",
          assumes=f"{PROJECTED}; 40,000 iterations, 200 random starts", tolerance={"no start is left out": 1e-9},
          wrong="the border is 1/(n max alpha), each group at an equal share; for one pair half of it"),
    Claim(id="sphere-no-convergence", source="Kodryan et al. A.2; theory.md 5.3", expected=HOLDS,
          check=_starts((1.01, 1.4, 20.0), _stiffest, falls=False),
          statement="Above the total threshold no start converges.", formula="eta > 1/sum(alpha) => F stays above 0",
          assumes=f"{PROJECTED}; 40,000 iterations, 200 random starts", tolerance={"no start is left out": 1e-9},
          wrong="the border is 1/max alpha, the stiffest group's alone; for one pair twice its border"),
    Claim(id="sphere-some-group-exceeds", source="Kodryan et al. A.2, remark 2; theory.md 5.3", expected=EXACT,
          statement="Above the total threshold some group is above its own at every iterate.",
          formula="max_i alpha_i eta_i > 1", assumes=PROJECTED, tolerance=ROUNDING, wrong="it is the stiffest one",
          check=_exceeds),
    Claim(id="sphere-threshold-bisection", source="Kodryan et al. 3.2; theory.md 5.3", expected=HOLDS,
          statement="The border between falling and stationary loss lies at 1/sum(alpha).", formula="eta_c = 1/sum(alpha)",
          assumes=PROJECTED, tolerance={"half of the last bracket": 5e-5, "starts that still swing": 5e-5},
          wrong="1/(n max alpha), each group at an equal share", check=_threshold(False)),
    Claim(id="sphere-threshold-line", source="Kodryan et al. A.2; theory.md 5.4", expected=HOLDS,
          statement="The mean loss above the threshold, a straight line in 1/eta, vanishes at 1/eta = sum(alpha).",
          formula="F* = (sum(alpha) - 1/eta)/2", assumes=PROJECTED, tolerance={"approach to the orbit": 1e-6},
          wrong="1/(n max alpha), each group at an equal share", check=_threshold(True)),
)  # fmt: skip
