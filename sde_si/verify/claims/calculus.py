"""Ito against Stratonovich: the paper's SDE is meant in Ito's sense, and an integrator must know it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from sde_si import estimators, theory
from sde_si.verify.claim import FAILS, HOLDS, Claim, Curve, Measurement, Quantity
from sde_si.verify.claims.common import Array

_LR, _WD, _TRACE, _START, _TIME, _STEPS, _DIM, _PATHS = 0.1, 0.05, 15.0, 2.0, 6.0, 240, 16, 2000


def heun(rng: np.random.Generator, *, term: bool) -> tuple[Array, Array, Array]:
    """Stratonovich-Heun on dX = -wd X dt + sqrt(lr) S(X) dW with S = sigma P(y)/|x|, no mean gradient.

    Parameters
    ----------
    term : bool
        Add (lr tau/2) X/|X|^4, which turns the Ito equation into its Stratonovich form (theory.md 3.2).

    Returns
    -------
    times, norms, cosines : ndarray
        Ten times (10,); |x| and the cosine with the start at them, (10, path).
    """
    h, sigma = _TIME / _STEPS, math.sqrt(_TRACE / (_DIM - 1))
    x = rng.standard_normal((_PATHS, _DIM))
    x *= _START / np.linalg.norm(x, axis=1, keepdims=True)
    start, times, norms, cosines = x / _START, [], [], []

    def move(x: Array, dw: Array) -> Array:
        R = np.sum(x * x, axis=1, keepdims=True)
        noise = math.sqrt(_LR) * sigma * (dw - x * (np.sum(x * dw, axis=1, keepdims=True) / R)) / np.sqrt(R)
        drift = -_WD * x + (_LR * _TRACE / 2 * x / R**2 if term else 0.0)
        return h * drift + noise

    for k in range(1, _STEPS + 1):
        dw = math.sqrt(h) * rng.standard_normal(x.shape)
        first = move(x, dw)
        x = x + (first + move(x + first, dw)) / 2
        if k % (_STEPS // 10) == 0:
            times.append(k * h)
            norms.append(np.linalg.norm(x, axis=1))
            cosines.append(np.sum(x * start, axis=1) / norms[-1])
    return np.array(times), np.array(norms), np.array(cosines)


def _check(*, term: bool):
    def check(rng: np.random.Generator) -> Sequence[Measurement]:
        times, norms, cosines = heun(rng, term=term)
        ito = [
            theory.transient(t, _LR, _WD, sigma=math.sqrt(_TRACE / (_DIM - 1)), dim=_DIM, start=_START) for t in times
        ]
        naive = [theory.stratonovich(t, _LR, _WD, noise_trace=_TRACE, start=_START) for t in times]
        system = (
            f"isotropic, dim {_DIM}, Heun {'with' if term else 'without'} the term, {_STEPS} steps of {_TIME / _STEPS:g}: "
            f"lr={_LR:g} wd={_WD:g} mu=0 tau={_TRACE:g}, |x| = {_START:g} at the start, t={_TIME:g}"
        )
        cases = (
            ("|x|", norms, [one.quartic**0.25 for one in ito], [math.sqrt(one.norm_squared) for one in naive]),
            ("1 - cos", 1 - cosines, [1 - one.cos for one in ito], [1 - one.cos for one in naive]),
        )
        out = []
        for name, samples, right, wrong in cases:
            found = [estimators.mean_and_error(row) for row in samples]
            # The length has no spread but that of the step; what is left of it is no sampling error.
            values, errors = [one.value for one in found], [one.stderr * (name != "|x|") for one in found]
            lines = {"Ito": right, "Stratonovich": wrong}
            curve = Curve(x=times, measured=values, stderr=errors, lines=lines, xlabel="SDE time t = lr k", ylabel=name)
            what = Quantity(f"{name} at time t", f"mean over {_PATHS} paths; error between them")
            common = {"quantity": what, "system": system, "measured": values[-1], "stderr": errors[-1], "curve": curve,
                      "predicted": right[-1]}  # fmt: skip
            if term:
                out.append(Measurement(wrong=wrong[-1], **common))
            else:
                # no decay at all; a direction off by twice as much
                other = _START if name == "|x|" else 2 * wrong[-1] - right[-1]
                out.append(Measurement(truth=wrong[-1], wrong=other, **common))
        return out

    return check


_ISOTROPIC = "isotropic noise, no mean gradient, constant trace"

CLAIMS = (
    Claim(id="stratonovich", source="Yun et al. eq. 12; theory.md 3.2", expected=FAILS,
          statement="Integrators of Stratonovich's sense (Heun, midpoint) may take the symbols of eq. 12 as they stand.",
          formula="|x|^4 = exp(-4 wd t) r_0^4 + (lr tau/(2 wd))(1 - exp(-4 wd t)), 1 - E cos = 1 - exp(-wd t) r_0/|x|", assumes=_ISOTROPIC, tolerance={"Monte Carlo": 0.02},
          wrong="the norm stays at its start; the direction is off by twice as much",
          broken="Ito calculus: in Stratonovich's sense the noise does not lengthen the weights, |x| = r_0 exp(-wd t)",
          corrected="stratonovich-term", check=_check(term=False)),
    Claim(id="stratonovich-term", source="theory.md 3.2", expected=HOLDS,
          statement="With the drift (lr tau/2) x/|x|^4 they solve the Ito equation.",
          formula="dX = (-grad L - wd X + (lr tau/2) X/|X|^4) dt + sqrt(lr) S o dW has |x| and 1 - E cos of Ito's equation", assumes=_ISOTROPIC,
          tolerance={"Monte Carlo, 3 s.e.": 0.05, "step size": 0.002}, wrong="without it", check=_check(term=True)),
)  # fmt: skip
