"""From a schedule's text to the learning rate, momentum and batch size of every step."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from sde_si.errors import BadInput, require, require_known
from sde_si.hyperparameters import HyperParameters
from sde_si.schedules.functions import GROWING, SCHEDULES, Change, Clock

Array = np.ndarray
_signature = functools.cache(inspect.signature)


def usage(name: str) -> str:
    """How a schedule is written, with its defaults."""
    parameters = list(_signature(SCHEDULES[name]).parameters.values())[1:]
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
        require_known("schedule", name, SCHEDULES, advice="constant or multi-step:150,225")
        function = SCHEDULES[name]
        args, kwargs = [], {}
        try:
            for item in filter(None, arguments.split(",")):
                key, equals, value = item.rpartition("=")
                if equals:
                    kwargs[key.strip()] = float(value)
                else:
                    args.append(float(value))
            bound = _signature(function).bind(None, *args, **kwargs)
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
    own_noise : bool
        Whether the noise variance is the loss's own throughout.

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
        for function, args, kwargs in self._parts:
            if function in GROWING:
                batch = batch * function(per_epoch, *args, **kwargs).batch
        self.batch = np.minimum(np.round(batch), hp.N).astype(np.int64)
        self.steps = hp.N // self.batch
        self.start = np.concatenate([[0], np.cumsum(self.steps)])
        self.last_change, self.own_noise = self._look_through()

    def clock(self, epoch: int, part: slice = slice(None)) -> Clock:
        """The steps of one epoch (from 0), or of part of it."""
        inside = np.arange(*part.indices(int(self.steps[epoch])))
        time = epoch + inside / self.steps[epoch]
        total = int(self.start[-1])
        hp = self.hyperparameters
        return Clock(self.start[epoch] + inside, np.full_like(inside, epoch), time, total, hp.epochs, hp.momentum)

    def _values(self, epoch: int, part: slice = slice(None)) -> tuple[Array, Array, Array]:
        """Learning rate, momentum and factor on the noise variance of each step of one epoch, or of part of it."""
        hp, clock = self.hyperparameters, self.clock(epoch, part)
        size = clock.step.size
        lr, momentum, noise = np.full(size, float(hp.lr)), np.full(size, float(hp.momentum)), np.ones(size)
        for function, args, kwargs in self._parts:
            change = function(clock, *args, **kwargs)
            lr, noise = lr * change.lr, noise * change.noise
            momentum = momentum if change.momentum is None else change.momentum
        return lr, momentum, noise

    def lr_and_momentum(self, epoch: int, part: slice = slice(None)) -> tuple[Array, Array]:
        """Learning rate and momentum of each step of one epoch (from 0), or of part of it, each of shape (steps,)."""
        lr, momentum, _ = self._values(epoch, part)
        return lr, momentum

    def noise(self, epoch: int, part: slice = slice(None)) -> Array:
        """Factor on the noise variance of each step of one epoch (from 0), or of part of it, shape (steps,)."""
        return self._values(epoch, part)[2]

    @property
    def settled(self) -> HyperParameters:
        """The hyperparameters after the last change of the schedule; the first ones if it never settles."""
        hp, last = self.hyperparameters, self.hyperparameters.epochs - 1
        # A constant schedule needs no look at its steps, of which an epoch may have many millions.
        if self.last_change > last or hp.schedule == "constant":
            return hp
        lr, momentum = self.lr_and_momentum(last)
        return hp.replace(lr=float(lr[-1]), momentum=float(momentum[-1]), B=int(self.batch[last]), schedule="constant")

    def _look_through(self) -> tuple[int, bool]:
        """`last_change` and `own_noise`, and whether every step can be done."""
        hp = self.hyperparameters
        last, before, own = 0, None, True
        for epoch in range(hp.epochs) if hp.schedule != "constant" else ():
            lr, momentum, noise = self._values(epoch)
            require(lr.max() > 0, "schedule", "a learning rate above 0 in every epoch", hp.schedule, "constant")
            require(lr.max() * hp.wd < 1, "schedule", "lr * wd < 1 at every step", f"{lr.max() * hp.wd:g}", "constant")
            own = own and bool((noise == 1).all())
            now = (lr[0], momentum[0], self.batch[epoch], noise[0])  # one noise an epoch
            if before is not None and now != before:
                last = epoch
            if np.ptp(lr) > 0 or np.ptp(momentum) > 0:
                last = epoch + 1
            before = (lr[-1], momentum[-1], self.batch[epoch], noise[0])
        return last, own
