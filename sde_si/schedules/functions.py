"""Schedules of learning rate, momentum and batch size, as plain NumPy functions of the step.

To add a schedule, write one function below under ``@_schedule``: it gets a `Clock` and its own arguments, in epochs,
and returns a `Change`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sde_si.errors import require

Array = np.ndarray


@dataclass(frozen=True)
class Clock:
    """When the steps happen.

    Attributes
    ----------
    step : ndarray of int, shape (steps,)
        Index of each step since the start.
    epoch : ndarray of int, shape (steps,)
        Epoch that each step belongs to, from 0.
    time : ndarray of float, shape (steps,)
        Epochs since the start, with fractions.
    total_steps, epochs : int
        Length of the whole run.
    momentum : float
        The run's momentum coefficient.
    """

    step: Array
    epoch: Array
    time: Array
    total_steps: int
    epochs: int
    momentum: float


@dataclass(frozen=True)
class Change:
    """What a schedule does: factors on lr, batch size and noise variance, and a momentum in the place of the run's."""

    lr: Array | float = 1.0
    momentum: Array | None = None
    batch: Array | float = 1.0
    noise: Array | float = 1.0


SCHEDULES: dict[str, Callable[..., Change]] = {}
# Those that change the batch size. It decides how many steps an epoch has, so they see epochs in the place of steps.
GROWING: set[Callable[..., Change]] = set()


def _schedule(name: str, *, batch: bool = False) -> Callable[[Callable[..., Change]], Callable[..., Change]]:
    def register(function: Callable[..., Change]) -> Callable[..., Change]:
        SCHEDULES[name] = function
        if batch:
            GROWING.add(function)
        return function

    return register


@_schedule("constant")
def constant(clock: Clock) -> Change:
    """Nothing changes."""
    return Change()


@_schedule("step")
def step(clock: Clock, size: float, factor: float = 0.1) -> Change:
    """lr times `factor` every `size` epochs (torch StepLR)."""
    return Change(lr=factor ** (clock.epoch // int(size)))


@_schedule("multi-step")
def multi_step(clock: Clock, *milestones: float, factor: float = 0.1) -> Change:
    """lr times `factor` at each of the milestones, in epochs (torch MultiStepLR; Yun et al.: 150,225)."""
    return Change(lr=factor ** np.searchsorted(np.sort(milestones), clock.epoch, side="right"))


@_schedule("cosine")
def cosine(clock: Clock, minimum: float = 0.0) -> Change:
    """Half a cosine from lr to `minimum` times lr over all steps (torch CosineAnnealingLR)."""
    return Change(lr=minimum + (1 - minimum) * (1 + np.cos(np.pi * clock.step / clock.total_steps)) / 2)


@_schedule("linear")
def linear(clock: Clock, end: float = 0.0, start: float = 1.0) -> Change:
    """Straight line from `start` to `end` times lr over all steps (torch LinearLR)."""
    return Change(lr=start + (end - start) * clock.step / clock.total_steps)


@_schedule("warm-up")
def warm_up(clock: Clock, epochs: float = 5, start: float = 0.1) -> Change:
    """Straight line from `start` times lr to lr over the first `epochs` (Goyal et al. 2017), times the rest."""
    return Change(lr=start + (1 - start) * np.minimum(clock.time / epochs, 1))


@_schedule("sgdr")
def sgdr(clock: Clock, first: float = 10, multiply: float = 2, minimum: float = 0.0) -> Change:
    """Cosine with warm restarts, the first period `first` epochs, each next one `multiply` times longer.

    torch CosineAnnealingWarmRestarts with fractional epochs; theory.md 7.4.
    """
    if multiply == 1:
        period, elapsed = np.full_like(clock.time, first), clock.time % first
    else:
        # A restart that rounding puts a hair early would give the lowest instead of the highest lr.
        cycle = np.floor(np.log1p(clock.time / first * (multiply - 1)) / math.log(multiply) + 1e-12)
        period = first * multiply**cycle
        elapsed = np.maximum(clock.time - first * (multiply**cycle - 1) / (multiply - 1), 0)
    return Change(lr=minimum + (1 - minimum) * (1 + np.cos(np.pi * elapsed / period)) / 2)


def _triangle(clock: Clock, half: float) -> tuple[Array, Array]:
    """Cycle number (from 1) and height (0 to 1) of Smith's triangular wave of `half` epochs a flank."""
    cycle = np.floor(1 + clock.time / (2 * half))
    return cycle, np.maximum(0, 1 - np.abs(clock.time / half - 2 * cycle + 1))


@_schedule("triangular")
def triangular(clock: Clock, half: float = 4, low: float = 0.1) -> Change:
    """lr swings between `low` times lr and lr, half a cycle lasts `half` epochs (torch CyclicLR)."""
    return Change(lr=low + (1 - low) * _triangle(clock, half)[1])


@_schedule("triangular2")
def triangular2(clock: Clock, half: float = 4, low: float = 0.1) -> Change:
    """`triangular` whose height halves with every cycle (torch CyclicLR)."""
    cycle, height = _triangle(clock, half)
    return Change(lr=low + (1 - low) * height * 0.5 ** (cycle - 1))


@_schedule("exp_range")
def exp_range(clock: Clock, half: float = 4, low: float = 0.1, decay: float = 0.99994) -> Change:
    """`triangular` whose height shrinks by `decay` with every step (torch CyclicLR)."""
    return Change(lr=low + (1 - low) * _triangle(clock, half)[1] * decay**clock.step)


@_schedule("1cycle")
def one_cycle(
    clock: Clock,
    peak: float = 0.3,
    divide: float = 25,
    final_divide: float = 1e4,
    low: float = 0.85,
    high: float = 0.95,
) -> Change:
    """One cosine swing up to lr at the fraction `peak` of the run and down again (torch OneCycleLR; theory.md 7.3).

    Starts at lr/`divide`, ends at that over `final_divide`. Momentum runs from `high` to `low` and back; a run without
    momentum stays without.
    """
    top, end = peak * clock.total_steps - 1, clock.total_steps - 1
    require(0 < top < end, "schedule", f"more than {1 / peak:.3g} steps for 1cycle", clock.total_steps, "more --epochs")
    rising = clock.step <= top
    x = np.where(rising, clock.step / top, (clock.step - top) / (end - top))

    def swing(a: float, b: float) -> Array:
        return b + (a - b) * (1 + np.cos(np.pi * x)) / 2

    lr = np.where(rising, swing(1 / divide, 1), swing(1, 1 / divide / final_divide))
    momentum = np.where(rising, swing(high, low), swing(low, high)) if clock.momentum else None
    return Change(lr=lr, momentum=momentum)


@_schedule("trapezoid")
def trapezoid(clock: Clock, warm: float = 0.1, decay: float = 0.2, final: float = 0.0) -> Change:
    """Warm-up, stable, decay (WSD): straight lines over the first and the last fraction of the run."""
    x = clock.step / clock.total_steps
    up = np.minimum(x / warm, 1) if warm else 1.0
    down = 1 - (1 - final) * np.maximum(0, (x - (1 - decay)) / decay) if decay else 1.0
    return Change(lr=up * down)


@_schedule("batch-growth", batch=True)
def batch_growth(clock: Clock, every: float, factor: float = 2) -> Change:
    """Batch size times `factor` every `every` epochs, at most N (Smith et al. 2018)."""
    return Change(batch=factor ** (clock.epoch // int(every)))


@_schedule("noise")
def noise(clock: Clock, *factors: float) -> Change:
    """Variance of a synthetic loss's noise times one factor after the other, an epoch each; then as the loss has it.

    The course of a trained network's noise, for a simulation beside it. Isotropic noise only.
    """
    known = np.concatenate([factors, [1.0]])
    return Change(noise=known[np.minimum(clock.epoch, len(factors))])
