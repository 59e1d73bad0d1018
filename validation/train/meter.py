"""What is measured while a network trains: angles, norms, gradients, and the split of the cosine (theory.md 1.11)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from validation.train.flat import Layout, angle
from validation.train.optimizers import Linear

Array = np.ndarray
# per-step quantities that are summed over the epoch, and how their sum becomes the epoch's value
_SUMS = {
    "angle_step": "root mean",
    "log_cos_step": "sum",
    "mean_squared_displacement": "mean",
    "mean_squared_norm": "mean",
    "gradient": "mean",
    "radial_gradient": "root mean",
}


class Meter:
    """Accumulates one epoch on the device and keeps the results of all, arrays (path, epoch, group).

    Parameters
    ----------
    layout : Layout
    lags : sequence of int
        Optimizer steps after an epoch's start at which its cosine is taken.
    linear : callable or None
        Of the optimizer; without it there is no split.
    """

    def __init__(self, layout: Layout, lags: Sequence[int], linear: Linear | None) -> None:
        self.layout, self.lags, self.linear = layout, tuple(lags), linear
        self.results: dict[str, list[Array]] = {}
        self.references: dict[int, tuple[int, Tensor]] = {}  # epoch -> (first step, weights)
        self.middle: Tensor | None = None

    def _angle(self, a: Tensor, b: Tensor) -> Tensor:
        invariant = self.layout.invariant
        d = b[..., :invariant].double() - a[..., :invariant].double()
        return angle(self.layout.dots(a, a), self.layout.dots(a, d), self.layout.dots(d, d))

    def _put(self, name: str, values: Tensor) -> None:
        self.results.setdefault(name, []).append(values.double().cpu().numpy())

    def begin(self, x: Tensor, state: Sequence[Tensor], epoch: int, step: int) -> None:
        """Start an epoch (from 0) at optimizer step number `step` (from 0)."""
        dots = self.layout.dots
        self.start, self.norm = x.clone(), dots(x, x)
        if not self.results:
            self.initial = self.norm.sqrt().cpu().numpy()
        self.references[epoch] = (step, self.start)
        self.epoch, self.step_number, self.inside = epoch, step, 0
        zero = torch.zeros_like(self.norm)
        self.sums = {name: zero.clone() for name in _SUMS}
        self.losses: list[Tensor] = []
        if self.linear:
            # (x, memory) against the start, in its three parts: decay, starting velocity, gradients
            memory = dots(self.start, state[0])
            self.parts = [[self.norm.clone(), zero.clone()], [zero.clone(), memory], [zero.clone(), zero.clone()]]
        for reference in [r for r, (first, _) in self.references.items() if r != epoch and not self._open(first)]:
            del self.references[reference]
        shape = (*self.norm.shape[:-1], len(self.lags), self.norm.shape[-1])
        self.results.setdefault("angle_lag", []).append(np.full(shape, np.nan))

    def _open(self, first: int) -> bool:
        return bool(self.lags) and first + self.lags[-1] > self.step_number

    def gradient(self, x: Tensor, g: Tensor, setting: tuple[float, float, float]) -> None:
        """Before the step: the weights, their gradient, and lr, wd, momentum."""
        dots = self.layout.dots
        square = dots(g, g)
        self.sums["gradient"] += square * self.norm
        self.sums["radial_gradient"] += dots(x, g) ** 2 / (square * self.norm)
        if self.linear:
            T, e = (part.tolist() for part in self.linear(*setting))  # numpy's numbers would meet an accelerator's
            along = dots(self.start, g)
            for i, (x, memory) in enumerate(self.parts):
                push = along if i == 2 else 0.0
                self.parts[i] = [T[0][0] * x + T[0][1] * memory + e[0] * push,
                                 T[1][0] * x + T[1][1] * memory + e[1] * push]  # fmt: skip

    def step(self, before: Tensor, x: Tensor, loss: Tensor, middle: bool) -> None:
        """After the step; `middle` at the middle of the epoch."""
        dots, invariant = self.layout.dots, self.layout.invariant
        d = x[..., :invariant].double() - before[..., :invariant].double()
        moved, along = dots(d, d), dots(before, d)
        turned = angle(self.norm, along, moved)
        self.sums["angle_step"] += turned**2
        self.sums["log_cos_step"] += torch.log(torch.cos(turned))
        self.sums["mean_squared_displacement"] += moved
        self.sums["mean_squared_norm"] += self.norm
        self.norm = dots(x, x)
        self.losses.append(loss)
        self.step_number += 1
        self.inside += 1
        for epoch, (first, reference) in self.references.items():
            lag = self.step_number - first
            if lag in self.lags:
                self.results["angle_lag"][epoch][:, self.lags.index(lag)] = self._angle(reference, x).cpu().numpy()
        if middle:
            before_middle, self.middle = self.middle, x.clone()
            nothing = torch.full_like(self.norm, torch.nan)
            self._put("angle_middle", nothing if before_middle is None else self._angle(before_middle, x))

    def end(self, x: Tensor) -> Array:
        """Close the epoch; returns the losses (path, step)."""
        n = self.inside
        turned = self._angle(self.start, x)
        self._put("angle_epoch", turned)
        self._put("weight_norm", self.norm.sqrt())
        for name, total in self.sums.items():
            mean = total / n
            self._put(name, {"sum": total, "mean": mean, "root mean": mean.sqrt()}[_SUMS[name]])
        scale = self.layout.dots(self.start, self.start).sqrt() * self.norm.sqrt()
        for i, name in enumerate(("split_decay", "split_velocity", "split_drift")):
            self._put(name, self.parts[i][0] / scale if self.linear else torch.full_like(scale, torch.nan))
        losses = torch.stack(self.losses, 1).double().cpu().numpy()
        self.results.setdefault("train_loss", []).append(losses.mean(1))
        return losses

    def state(self) -> dict[str, object]:
        """All that going on from the end of an epoch needs."""
        return {
            "results": {k: [torch.from_numpy(np.asarray(v)) for v in values] for k, values in self.results.items()},
            "references": {str(e): (first, w) for e, (first, w) in self.references.items()},
            "middle": self.middle,
            "initial": torch.from_numpy(self.initial),
        }

    def restore(self, saved: dict[str, object]) -> None:
        """Go on from `state`."""
        results, references = saved["results"], saved["references"]
        assert isinstance(results, dict)
        assert isinstance(references, dict)
        self.results = {k: [v.cpu().numpy() for v in values] for k, values in results.items()}
        self.references = {int(e): tuple(pair) for e, pair in references.items()}
        self.middle = saved["middle"]  # pyright: ignore[reportAttributeAccessIssue]
        self.initial = saved["initial"].cpu().numpy()  # pyright: ignore[reportAttributeAccessIssue]

    def arrays(self) -> dict[str, Array]:
        """Results so far, (path, epoch, ...); lags (path, epoch, lag, group)."""
        return {name: np.stack(values, 1) for name, values in self.results.items()}
