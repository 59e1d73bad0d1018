"""How the weights answer to a kick by gradient noise: twins that differ by one minibatch (theory.md 18.8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

Array = np.ndarray
State = list[Tensor]
TWINS = 4  # kicks at each checkpoint


def responses(
    step: Callable[[Tensor, State, int], None],
    x: Tensor,
    state: Sequence[Tensor],
    delays: int,
    size: int,
    *,
    twins: int = TWINS,
) -> tuple[Array, float]:
    """What is left of a kick along itself, 0, 1, ... steps after it.

    Each twin takes another minibatch at its first step and then the same ones as the others: the difference d_1 of the
    weights after that step is -lr times the difference of two minibatch gradients, noise at its own size, and the mean
    of <d_1, d_(j+1)>/|d_1|^2 is the network's mean response to it, with curvature of either sign, as it drifts.

    Parameters
    ----------
    step : callable
        ``step(x, state, i)`` takes one optimizer step with minibatch number i, in place.
    x : Tensor, shape (all,)
        Where all begin; unchanged.
    state : sequence of Tensor
        The optimizer's memory there.
    delays : int
        Steps to follow, at least 1. Minibatches 0 to delays - 1 are those of the run; delays, delays + 1, ... kick.
    size : int
        Length of the part of the vector that counts (the scale-invariant weights).
    twins : int

    Returns
    -------
    response : ndarray, shape (delays,)
        1 at delay 0; mean over the twins, each with the weight of its kick.
    size : float
        Mean of |d_1|^2/2: lr^2 times the trace of the minibatch noise.
    """
    walkers = [(x.clone(), [s.clone() for s in state]) for _ in range(twins + 1)]
    kicks: list[Tensor] = []
    out, whole = np.zeros(delays), 0.0
    for j in range(delays):
        for i, (weights, memory) in enumerate(walkers):
            step(weights, memory, delays + i - 1 if j == 0 and i else j)
        first = walkers[0][0][:size].double()
        apart = [weights[:size].double() - first for weights, _ in walkers[1:]]
        if j == 0:
            kicks, whole = apart, sum(float(kick @ kick) for kick in apart)
        out[j] = sum(float(kick @ d) for kick, d in zip(kicks, apart, strict=True)) / whole
    return out, whole / (2 * twins)
