"""Step-size bias: the same run with half the substep, under the same increments where the method allows it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sde_si.estimators import Estimate, Window, difference, equilibrium
from sde_si.quantities import QUANTITIES

if TYPE_CHECKING:
    from sde_si.run import Run
    from sde_si.simulate.store import Store


def step_bias(store: Store, run: Run, window: Window) -> dict[str, Estimate]:
    """Subtract the run with half the substep, for every quantity at equilibrium.

    A method driven by increments is run twice more, with this substep and half of it, both under the increments of
    the finer run, so that their difference has little noise. Other methods are compared with an independent run.
    """
    finer = 2 * run.substeps
    coupled = run.scheme.coupled and run.noise not in ("minibatch", "difference")
    shared = {"noise_from": finer} if coupled else {}
    coarse = store.obtain(run.replace(**shared)).record
    fine = store.obtain(run.replace(substeps=finer, **shared)).record
    out = {}
    for name in QUANTITIES:
        if name == "time_to_equilibrium":
            out[name] = Estimate(math.nan, math.nan)
        elif coupled:
            out[name] = difference(coarse, fine, window, name)
        else:
            a, b = equilibrium(coarse, window, name), equilibrium(fine, window, name)
            out[name] = Estimate(a.value - b.value, math.hypot(a.stderr, b.stderr))
    return out
