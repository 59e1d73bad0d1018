"""How the weights answer to gradient noise, and the asymmetry of their motion in time (theory.md 18.8, 18.9)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
State = list[Tensor]
TWINS = 4  # kicks at each checkpoint
WAYS = 4  # ways from each checkpoint
LOSS_BATCHES = 32  # minibatches that stand for the mean loss at both ends of a way


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
        Kicks.

    Returns
    -------
    response : ndarray, shape (delays,)
        1 at delay 0; mean over the twins, each with the weight of its kick. All nan if nothing was kicked (lr 0).
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
        out[j] = sum(float(kick @ d) for kick, d in zip(kicks, apart, strict=True)) / (whole or np.nan)
    return out, whole / (2 * twins)


def asymmetry(
    step: Callable[[Tensor, State, int], None],
    gradient_and_loss: Callable[[Tensor, int], tuple[Tensor, Tensor | float]],
    x: Tensor,
    state: Sequence[Tensor],
    lags: Sequence[int],
    size: int,
    *,
    ways: int = WAYS,
    batches: int = LOSS_BATCHES,
) -> Array:
    """What the gradients at both ends of a displacement say beyond the losses there: 0 in a quadratic basin.

    <d, g(x) + g(x+d)> - 2 (L(x+d) - L(x)) for the displacement d of the training over each lag, g the gradient of the
    mean loss L: twice the error of the trapezoidal rule along d. Its mean is 0 if the motion is symmetric under time
    reversal. L and g are those of the same few minibatches at both ends: the rule's error is that of each by itself, so
    nearly all their noise cancels.

    Parameters
    ----------
    step : callable
        ``step(x, state, i)`` takes one optimizer step with minibatch number i, in place.
    gradient_and_loss : callable
        ``gradient_and_loss(x, i)``: of minibatch number i.
    x : Tensor, shape (all,)
        Where all ways begin; unchanged.
    state : sequence of Tensor
        The optimizer's memory there.
    lags : sequence of int
        Rising, from 1 on. Minibatches 0 to ways * lags[-1] - 1 are those of the steps, `batches` more stand for the
        loss.
    size : int
        Length of the part of the vector that counts (the scale-invariant weights).
    ways : int
        Trainings that are followed, each with minibatches of its own.
    batches : int
        Minibatches that stand for the mean loss.

    Returns
    -------
    ndarray, shape (lags,)
        In units of the loss; mean over the ways.
    """
    first = ways * lags[-1]

    def mean(at: Tensor) -> tuple[Tensor, float]:
        gradient, loss = torch.zeros(size, dtype=torch.float64, device=x.device), 0.0
        for i in range(first, first + batches):
            one, value = gradient_and_loss(at, i)
            gradient += one[:size].double()
            loss += float(value)
        return gradient / batches, loss / batches

    start, out = mean(x), np.zeros(len(lags))
    for way in range(ways):
        walker, memory = x.clone(), [s.clone() for s in state]
        for j in range(lags[-1]):
            step(walker, memory, way * lags[-1] + j)
            if j + 1 in lags:
                gradient, loss = mean(walker)
                d = walker[:size].double() - x[:size].double()
                out[lags.index(j + 1)] += float(d @ (start[0] + gradient)) - 2 * (loss - start[1])
    return out / ways
