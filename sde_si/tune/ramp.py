"""Learning-rate range test of any torch model and optimizer; everything is put back to the bit afterwards."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import Optimizer

from sde_si.errors import require
from sde_si.hyperparameters import check_number
from sde_si.monitor.history import angle
from sde_si.theory import step_angle
from sde_si.tune.ramp_reading import BLOW_UP, LrRange, learning_rates, read, smoothed
from sde_si.tune.snapshot import Snapshot, generators_of

SMOOTHING = 0.9


def lr_range(
    model: torch.nn.Module,
    optimizer: Optimizer,
    data: Iterable[Any],
    loss: Callable[[torch.nn.Module, Any], Tensor],
    *,
    start: float = 1e-5,
    stop: float = 10.0,
    steps: int = 100,
    ramp: str = "exponential",
    smoothing: float = SMOOTHING,
    watch: Sequence[str] | None = None,
    generators: Sequence[torch.Generator] = (),
) -> LrRange:
    """Raise the learning rate step by step, watch loss and rotation, and put everything back to the bit.

    Weights, buffers, gradients, modes, the optimizer's state and settings, and the random numbers of Python, NumPy,
    torch, CUDA, the data loader and `generators` are as before, also after an exception. An iterator that `data` itself
    is stays consumed.

    Parameters
    ----------
    model : Module
    optimizer : Optimizer
        Every parameter group gets the ramp, in the proportion of their learning rates now.
    data : iterable
        Batches; begun again when it ends.
    loss : callable
        ``loss(model, batch)`` gives the scalar loss.
    start, stop : float
        Learning rates at the ends, of the parameter group with the largest one.
    steps : int
        Optimizer steps; the test ends early when the smoothed loss is four times its best, or is lost.
    ramp : str
        ``exponential`` or ``linear``.
    smoothing : float
        Of the running mean of the loss, in [0, 1).
    watch : sequence of str, optional
        Parameters whose rotation is measured; by default all trained ones of two or more dimensions.
    generators : sequence of torch.Generator
        To be put back, too.

    Returns
    -------
    LrRange

    Raises
    ------
    BadInput
        Before any step.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Linear(4, 1)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> x = torch.randn(64, 4)
    >>> data = [(x, x.sum(1, keepdim=True))]
    >>> found = lr_range(model, optimizer, data, lambda m, b: (m(b[0]) - b[1]).square().mean(), steps=50)
    >>> optimizer.param_groups[0]["lr"]
    0.1
    """
    rates = learning_rates(start, stop, steps, ramp)
    check_number("smoothing", smoothing, least=0, below=1, advice="0.9")
    require(isinstance(model, torch.nn.Module), "model", "a torch.nn.Module", type(model).__name__)
    require(isinstance(optimizer, Optimizer), "optimizer", "a torch optimizer", type(optimizer).__name__)
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    alone = closure is None or closure.default is not inspect.Parameter.empty
    require(alone, "optimizer", "one whose step needs no closure (a ramp takes one step per loss)",
            type(optimizer).__name__, "torch.optim.SGD")  # fmt: skip
    require(callable(loss), "loss", "a function of model and batch", type(loss).__name__, "lambda model, batch: ...")
    known = dict(model.named_parameters())
    unknown = [name for name in watch or () if name not in known]
    require(not unknown, "watch", "names of parameters of the model", ", ".join(unknown))
    chosen = [p for n, p in known.items() if (n in watch if watch is not None else p.requires_grad and p.dim() > 1)]
    snapshot = Snapshot(model, optimizer, [*generators_of(data), *generators])
    settings = _settings(optimizer)
    try:
        losses, angles, norms = _ramp(model, optimizer, data, loss, rates, smoothing, chosen)
    finally:
        snapshot.restore()
    found = read(rates[: len(losses)], losses, ramp=ramp, smoothing=smoothing, angle_step=angles, weight_norm=norms)
    return dataclasses.replace(found, notes=_notes(found, steps, settings))


def _settings(optimizer: Optimizer) -> dict[str, float] | None:
    """Decay and momentum of SGD, for the equilibrium beside the ramp."""
    group = optimizer.param_groups[0]
    if not isinstance(optimizer, torch.optim.SGD) or not group["weight_decay"]:
        return None
    return {"wd": float(group["weight_decay"]), "momentum": float(group["momentum"])}


def _set(group: dict[str, Any], value: float) -> None:
    """The learning rate of one parameter group; that of a capturable optimizer is a tensor."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(value)
    else:
        group["lr"] = value


def _batches(data: Iterable[Any]) -> Iterable[Any]:
    """One batch after another, round and round."""
    for _ in itertools.count():
        empty = True
        for batch in data:
            empty = False
            yield batch
        require(not empty, "data", "at least one batch, and as many as steps if it cannot begin again", "none")


def _ramp(
    model: torch.nn.Module,
    optimizer: Optimizer,
    data: Iterable[Any],
    loss: Callable[[torch.nn.Module, Any], Tensor],
    rates: np.ndarray,
    smoothing: float,
    chosen: Sequence[Tensor],
) -> tuple[list[float], list[float], list[float]]:
    """Losses, angles and lengths, step by step."""
    base = [float(group["lr"]) for group in optimizer.param_groups]
    top = max(base)
    shares = [one / top for one in base] if top > 0 else [1.0] * len(base)
    losses: list[float] = []
    angles: list[float] = []
    norms: list[float] = []
    for rate, batch in zip(rates.tolist(), _batches(data), strict=False):
        for group, share in zip(optimizer.param_groups, shares, strict=True):
            _set(group, rate * share)
        optimizer.zero_grad(set_to_none=True)
        value = loss(model, batch)
        one_number = isinstance(value, Tensor) and value.numel() == 1 and value.requires_grad
        require(one_number, "loss", "one number with a gradient", type(value).__name__)
        losses.append(float(value.detach()))
        if not math.isfinite(losses[-1]):
            angles.append(math.nan)
            norms.append(math.nan)
            break
        value.backward()
        before = [p.detach().clone() for p in chosen]
        optimizer.step()
        turned, length = _rotation(before, chosen)
        angles.append(turned)
        norms.append(length)
        smooth = smoothed(np.array(losses), smoothing)
        if smooth[-1] > BLOW_UP * abs(smooth.min()) and len(losses) > len(rates) // 10:
            break
    return losses, angles, norms


def _rotation(before: Sequence[Tensor], after: Sequence[Tensor]) -> tuple[float, float]:
    """Angle between all weights before and after, and their length before; float64 sums."""
    xx = xd = dd = 0.0
    for x, y in zip(before, after, strict=True):
        x64 = x.double().ravel()
        d = y.detach().double().ravel() - x64
        xx, xd, dd = xx + float(x64 @ x64), xd + float(x64 @ d), dd + float(d @ d)
    return float(angle(np.array([xx, xd, dd]))), math.sqrt(xx)


def _notes(found: LrRange, steps: int, settings: dict[str, float] | None) -> tuple[str, ...]:
    """Where the test ended, and how far from the rotation at equilibrium it was."""
    out, done = [], found.lr.size
    if done < steps:
        out.append(f"ended after {done} of {steps} steps, at lr = {found.lr[-1]:.3g}: the loss blew up")
    at = found.suggestion or float(found.lr[done // 2])
    i = int(np.argmin(np.abs(np.log(found.lr / at))))
    turned = found.angle_step[i]
    u = at * settings["wd"] if settings is not None else 0.0
    if settings is not None and 0 < u < 1 and turned > 0:
        law = step_angle(u, settings["momentum"])
        out.append(
            f"at lr = {at:.3g} a step turns the weights by {math.degrees(turned):.3g} degrees; at equilibrium with wd "
            f"= {settings['wd']:g} it would by {math.degrees(law):.3g}: the test sees lr at the present length of the "
            "weights, a long run sees lr wd (theory.md 6.2, 7.8)"
        )
    return tuple(out)
