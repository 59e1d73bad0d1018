"""Schedules of learning rate, momentum and batch size, as plain NumPy functions of the step.

A schedule is written ``NAME:ARGS``, with arguments separated by commas, by position or as ``key=value``, and
several joined by ``+``: their factors multiply. Times are in epochs. ``warm-up:5+multi-step:150,225`` warms up
for five epochs and divides by ten after epochs 150 and 225.

To add a schedule, write one function below under ``@_schedule``: it gets a `Clock` and its own arguments and
returns a `Change`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require
from sde_si.hyperparameters import HyperParameters

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
    """What a schedule does: factors on lr and batch size, and a momentum that replaces the run's own."""

    lr: Array | float = 1.0
    momentum: Array | None = None
    batch: Array | float = 1.0


SCHEDULES: dict[str, Callable[..., Change]] = {}


def _schedule(name: str) -> Callable[[Callable[..., Change]], Callable[..., Change]]:
    def register(function: Callable[..., Change]) -> Callable[..., Change]:
        SCHEDULES[name] = function
        return function

    return register


@_schedule("constant")
def constant(clock: Clock) -> Change:
    """Nothing changes."""
    return Change()


@_schedule("step")
def step(clock: Clock, size: float, factor: float = 0.1) -> Change:
    """Lr times `factor` every `size` epochs (torch StepLR)."""
    return Change(lr=factor ** (clock.epoch // int(size)))


@_schedule("multi-step")
def multi_step(clock: Clock, *milestones: float, factor: float = 0.1) -> Change:
    """Lr times `factor` at each of the milestones, in epochs (torch MultiStepLR; Yun et al.: 150,225)."""
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
    """Lr swings between `low` times lr and lr, half a cycle lasts `half` epochs (torch CyclicLR)."""
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


@_schedule("batch-growth")
def batch_growth(clock: Clock, every: float, factor: float = 2) -> Change:
    """Batch size times `factor` every `every` epochs, at most N (Smith et al. 2018)."""
    return Change(batch=factor ** (clock.epoch // int(every)))


def usage(name: str) -> str:
    """How a schedule is written, with its defaults."""
    parameters = list(inspect.signature(SCHEDULES[name]).parameters.values())[1:]
    shown = [str(p).partition(":")[0] + ("" if p.default is p.empty else f"={p.default:g}") for p in parameters]
    return f"{name}:{','.join(shown)}" if shown else name


def parse(text: str) -> list[tuple[Callable[..., Change], tuple[float, ...], dict[str, float]]]:
    """The schedule functions that `text` names, with their arguments.

    Raises
    ------
    BadInput
        For an unknown name or arguments that the schedule does not take.
    """
    parts = []
    for part in text.split("+"):
        name, _, arguments = part.partition(":")
        known = ", ".join(SCHEDULES)
        require(name in SCHEDULES, "schedule", f"one of {known}", repr(name), "constant or multi-step:150,225")
        function = SCHEDULES[name]
        args, kwargs = [], {}
        try:
            for item in filter(None, arguments.split(",")):
                key, equals, value = item.rpartition("=")
                if equals:
                    kwargs[key.strip()] = float(value)
                else:
                    args.append(float(value))
            bound = inspect.signature(function).bind(None, *args, **kwargs)
        except (ValueError, TypeError) as error:
            raise BadInput("schedule", f"the arguments of {usage(name)}", repr(part), "constant") from error
        bound.apply_defaults()
        _check_arguments(usage(name), part, bound.arguments)
        parts.append((function, tuple(args), kwargs))
    return parts


# argument -> (least, most); the rest is anything from 0 on
_BOUNDS = {
    "size": (1, math.inf),
    "every": (1, math.inf),
    "multiply": (1, math.inf),
    "epochs": (1e-9, math.inf),
    "first": (1e-9, math.inf),
    "half": (1e-9, math.inf),
    "divide": (1e-9, math.inf),
    "final_divide": (1e-9, math.inf),
    "factor": (1e-9, math.inf),
    "peak": (1e-9, 1 - 1e-9),
    "low": (0, 1 - 1e-9),
    "high": (0, 1 - 1e-9),
    "warm": (0, 1),
    "decay": (0, 1),
}


def _check_arguments(how: str, part: str, arguments: dict[str, Any]) -> None:
    for key, value in arguments.items():
        least, most = _BOUNDS.get(key, (0, math.inf))
        for number in value if isinstance(value, tuple) else (value,):
            ok = number is None or (math.isfinite(number) and least <= number <= most)
            require(ok, "schedule", f"sensible arguments of {how}", f"{key} = {number} in {part!r}", "constant")
    milestones = arguments.get("milestones", (0,))
    require(len(milestones) > 0, "schedule", f"milestones, as in {how}", repr(part), "multi-step:150,225")


class Timetable:
    """Learning rate, momentum and batch size of every step of a run.

    Parameters
    ----------
    hyperparameters : HyperParameters
        With a `schedule`.

    Attributes
    ----------
    batch, steps : ndarray of int, shape (epochs,)
        Batch size and number of steps of each epoch.
    start : ndarray of int, shape (epochs + 1,)
        Index of the first step of each epoch; the last entry is the total.
    last_change : int
        Epochs after which nothing changes any more (0 for a constant schedule).

    Raises
    ------
    BadInput
        If the schedule's text is wrong, or it drives ``lr * wd`` to 1 or above.
    """

    def __init__(self, hyperparameters: HyperParameters) -> None:
        hp = self.hyperparameters = hyperparameters
        self._parts = parse(hp.schedule)
        epochs = np.arange(hp.epochs)
        # The batch size decides how many steps an epoch has, so it can depend on the epoch alone.
        per_epoch = Clock(epochs, epochs, epochs.astype(float), hp.epochs, hp.epochs, hp.momentum)
        batch = hp.B * np.ones(hp.epochs)
        if any(function is batch_growth for function, _, _ in self._parts):
            for change in self._changes(per_epoch):
                batch = batch * change.batch
        self.batch = np.minimum(np.round(batch), hp.N).astype(np.int64)
        self.steps = hp.N // self.batch
        self.start = np.concatenate([[0], np.cumsum(self.steps)])
        self.last_change = self._last_change()

    def _changes(self, clock: Clock) -> list[Change]:
        return [function(clock, *args, **kwargs) for function, args, kwargs in self._parts]

    def clock(self, epoch: int) -> Clock:
        """The steps of one epoch (from 0)."""
        inside = np.arange(self.steps[epoch])
        time = epoch + inside / self.steps[epoch]
        total = int(self.start[-1])
        hp = self.hyperparameters
        return Clock(self.start[epoch] + inside, np.full_like(inside, epoch), time, total, hp.epochs, hp.momentum)

    def lr_and_momentum(self, epoch: int) -> tuple[Array, Array]:
        """Learning rate and momentum of each step of one epoch (from 0), each of shape (steps,)."""
        hp, n = self.hyperparameters, self.steps[epoch]
        lr, momentum = np.full(n, float(hp.lr)), np.full(n, float(hp.momentum))
        for change in self._changes(self.clock(epoch)):
            lr = lr * change.lr
            momentum = momentum if change.momentum is None else change.momentum
        return lr, momentum

    def _last_change(self) -> int:
        hp = self.hyperparameters
        last, before = 0, None
        for epoch in range(hp.epochs) if hp.schedule != "constant" else ():
            lr, momentum = self.lr_and_momentum(epoch)
            require(lr.max() * hp.wd < 1, "schedule", "lr * wd < 1 at every step", f"{lr.max() * hp.wd:g}", "constant")
            now = (lr[0], momentum[0], self.batch[epoch])
            if before is not None and now != before:
                last = epoch
            if np.ptp(lr) > 0 or np.ptp(momentum) > 0:
                last = epoch + 1
            before = (lr[-1], momentum[-1], self.batch[epoch])
        return last
