"""Which parameters, alone or together, can be rescaled without changing what the network computes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

from sde_si.audit.forward import Runner

Array = np.ndarray
NULL = 1e-6  # singular values below this share of the largest are zero
WHOLE = 1e-3  # how near to 0 or 1 the exponents of a joint rescaling must be
LOOSE = (1e-4, 1e-3)  # as NULL, where an eps in the network's own code leaves a little; rescaling has the last word
BLUR = 30  # exponents are as much less certain than the singular values
# How an eps inside the network's own code fades at twice the scale, and what a small step along the rescaling may still
# do at the model's own scale, over what a random step as long does. Under the root, as sqrt(var + eps), it fades to a
# quarter; beside it, as std + eps, to a half. So do many things that are no norm, such as softsign, or an input that is
# added before a norm; but an eps is there against division by zero, and far below the length it is added to.
EPS_LAWS = ((0.2, 0.3, np.inf), (0.4, 0.6, 0.01))
STEP = 0.01  # length of these steps, relative
BETTER = 0.1  # of what a parameter leaves alone: then what it leaves together with others says that it belongs to them
FAR = (16.0, 32.0, 64.0)
SPREAD = 0.3  # of the random shift to a generic point, of each tensor's own root mean square
NUDGE = 0.05  # relative change of a parameter that is tried for any effect
POINTS = 6  # more random points than unknowns


class Search:
    """Tests at generic points: no weight is exactly zero there, and nothing is invariant by accident.

    Parameters
    ----------
    run : Runner
    """

    def __init__(self, run: Runner) -> None:
        self.run = run
        self.generator = torch.Generator().manual_seed(20260101)
        self.point = self.generic()
        self.base = self._out(self.point)
        self.size = float(self.base.norm()) or 1.0
        self.left: dict[str, float] = {}  # `along` of what is invariant alone

    def _normal(self, like: torch.Tensor) -> torch.Tensor:
        return torch.randn(like.shape, generator=self.generator, dtype=torch.float64).to(like)

    def generic(self) -> dict[str, torch.Tensor]:
        """Weights near the model's own, with nothing left at zero or equal."""
        out = {}
        for name, p in self.run.parameters.items():
            if not p.is_floating_point():
                out[name] = p
                continue
            size = max(float(p.square().mean().sqrt()), 0.1) if p.numel() else 0.1
            out[name] = p + SPREAD * size * self._normal(p)
        return out

    @torch.no_grad()
    def _out(self, parameters: dict[str, torch.Tensor]) -> torch.Tensor:
        return self.run(parameters)

    def _change(self, a: torch.Tensor, b: torch.Tensor) -> float:
        change = float((a - b).norm()) / self.size
        return change if np.isfinite(change) else np.inf

    def has_effect(self, name: str) -> bool:
        """Whether another value of the parameter changes the outputs at all."""
        p = self.point[name]
        # a small change: a gain before a norm has none either, as long as its sign stays
        other = self.point | {name: p + NUDGE * p.square().mean().sqrt() * self._normal(p)}
        return self._change(self._out(other), self.base) > self.run.rounding

    def invariant(self, scales: dict[str, torch.Tensor | float]) -> bool:
        """Whether outputs stay when these parameters are multiplied by these powers of two.

        An eps written into the network's own code is recognised by its law: its effect falls as the weights or as their
        square, and is small at the model's own scale.
        """
        scaled = {name: self.point[name] * c for name, c in scales.items()}
        if self._change(self._out(self.point | scaled), self.base) <= self.run.rounding:
            return True
        changes = []
        for far in FAR:
            one = self._out(self.point | {name: self.point[name] * far for name in scales})
            two = self._out(self.point | {name: value * far for name, value in scaled.items()})
            changes.append(self._change(one, two))
        if max(changes) <= self.run.rounding * 1e-3:
            return False  # flat far away, not here: saturation
        ratios = [after / before if before else 1.0 for before, after in pairwise(changes)]
        laws = [most for low, high, most in EPS_LAWS if all(low < ratio < high for ratio in ratios)]
        return bool(laws) and self.along(scales) < laws[0]

    def along(self, scales: dict[str, torch.Tensor | float]) -> float:
        """Effect of a small step along such a rescaling over that of a random step as long."""
        along, aside = {}, {}
        for name, c in scales.items():
            w = self.point[name]
            step = STEP * torch.log2(torch.as_tensor(c, dtype=w.dtype, device=w.device)) * w
            noise = self._normal(w)
            along[name], aside[name] = w + step, w + noise * (step.norm() / noise.norm())
        effect = self._change(self._out(self.point | aside), self.base)
        return self._change(self._out(self.point | along), self.base) / effect if effect > 0 else np.inf

    def level(self, name: str) -> str | None:
        """``filter``, ``layer`` or None for one parameter."""
        p = self.point[name]
        if not (self.invariant({name: 2.0}) and self.invariant({name: 0.25})):
            return None
        self.left[name] = self.along({name: 2.0})
        for dim in range(min(p.ndim, 2)):
            if p.ndim >= 2 and p.shape[dim] > 1 and p.numel() > p.shape[dim]:
                powers = torch.randint(-2, 3, (p.shape[dim],), generator=self.generator)
                powers[0], powers[-1] = -1, 1
                shape = [1] * p.ndim
                shape[dim] = -1
                if self.invariant({name: torch.pow(2.0, powers.to(p.dtype)).to(p.device).reshape(shape)}):
                    return "filter"
        return "layer"

    def radial(self, parameters: dict[str, torch.Tensor], names: Sequence[str]) -> tuple[Array, Array, Array]:
        """<w, g>, |w|, |g| of each parameter for the loss or for a random mix of the outputs; zeros where unused."""
        leaves = {name: parameters[name].detach().clone().requires_grad_() for name in names}
        out = self.run(parameters | leaves)
        mix = torch.randn(out.shape, generator=self.generator, dtype=torch.float64).to(out)
        grads = torch.autograd.grad(out @ mix, list(leaves.values()), allow_unused=True)
        rows = [
            (float((w.detach() * g).sum()), float(w.detach().norm()), float(g.norm()))
            if g is not None
            else (0.0, 1.0, 0.0)
            for w, g in zip(leaves.values(), grads, strict=True)
        ]
        along, weight, gradient = np.array(rows).T if rows else np.zeros((3, 0))
        return along, weight, gradient

    def regrouped(self, alone: Sequence[str], others: Sequence[str]) -> list[list[str]]:
        """Joint sets of what seems invariant alone, but for an eps, and is so much better together with others.

        A gain before a bias that is small beside it looks like a norm with an eps: the bias plays the eps. Rescaled
        with its bias it leaves nothing.
        """
        doubtful = {name for name in alone if self.left[name] > self.run.rounding / STEP}
        if not doubtful or not others:
            return []
        found = [set(members) for members in self.joint([*alone, *others])]
        better = [
            members
            for members in found
            if members & doubtful
            and self.along(dict.fromkeys(members, 2.0)) < BETTER * min(self.left[n] for n in members & doubtful)
        ]
        return [[name for name in self.point if name in members] for members in better]

    def joint(self, names: Sequence[str]) -> list[list[str]]:
        """Sets of parameters that can be rescaled together.

        Rescaling the parameters by exp(alpha_i t) leaves everything as it is if sum_i alpha_i <w_i, g_i> = 0 for every
        output at every point. So alpha lies in the null space of a matrix of radial gradients at random points; its
        members with exponents 0 and 1 only are the joint groups, and each is confirmed by rescaling.
        """
        if len(names) < 2:
            return []
        along, size = [], []
        for _ in range(len(names) + POINTS):
            a, w, g = self.radial(self.generic(), names)
            along.append(a)
            size.append(w * g)
        matrix, unit = np.array(along), np.sqrt(np.mean(np.square(size), axis=0))
        used = unit > 0
        matrix, unit = matrix[:, used] / unit[used], unit[used]
        kept = [name for name, flag in zip(names, used, strict=True) if flag]
        rows = np.linalg.norm(matrix, axis=1, keepdims=True)
        _, singular, vectors = np.linalg.svd(matrix / np.where(rows > 0, rows, 1))
        found: list[list[str]] = []
        tried: set[tuple[int, ...]] = set()
        for tolerance in sorted({max(share, self.run.rounding) for share in (NULL, *LOOSE)}):
            null = vectors[np.sum(singular > tolerance * singular[0]) :] / unit
            for member in _zero_one(null, max(WHOLE, BLUR * tolerance)):
                group = [kept[i] for i in member]
                if tuple(member) in tried or any(set(group) & set(other) for other in found):
                    continue
                tried.add(tuple(member))
                if self.invariant(dict.fromkeys(group, 2.0)) and self.invariant(dict.fromkeys(group, 0.25)):
                    found.append(group)
        return found


def _reduced(null: Array, order: Array) -> Array:
    """Reduced row echelon form with pivots searched in this order of columns."""
    rows = null / np.max(np.abs(null), axis=1, keepdims=True)
    done = 0
    for column in order:
        if done == len(rows):
            break
        best = done + int(np.argmax(np.abs(rows[done:, column])))
        if abs(rows[best, column]) < WHOLE * np.max(np.abs(rows[best])):
            continue
        rows[[done, best]] = rows[[best, done]]
        rows[done] /= rows[done, column]
        others = np.arange(len(rows)) != done
        rows[others] -= np.outer(rows[others, column], rows[done])
        done += 1
    return rows[:done]


def _zero_one(null: Array, whole: float) -> list[list[int]]:
    """Vectors of a space whose entries are within `whole` of 0 or 1, by several bases and pairs of their rows."""
    if len(null) == 0:
        return []
    columns = np.arange(null.shape[1])
    found = set()
    for order in (columns, columns[::-1]):
        rows = _reduced(null.copy(), order)
        pairs = [rows[i] + rows[j] for i in range(len(rows)) for j in range(i)] if len(rows) <= 64 else []
        for row in [*rows, *pairs, rows.sum(axis=0)]:
            near = np.minimum(np.abs(row), np.abs(row - 1)) < whole
            if near.all() and np.sum(row > 0.5) >= 2:
                found.add(tuple(np.flatnonzero(row > 0.5)))
    # first the smallest sets: a union of two groups is no group
    return [list(member) for member in sorted(found, key=lambda m: (len(m), m))]
