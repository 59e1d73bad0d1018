"""The part that touches the weights: copies at the start of each window, scalar products at its end, nothing else.

Every number stays on the weights' device until `collect`; the training loop never waits for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sde_si.theory.forms import Rule

Array = np.ndarray
COLUMNS = (
    "xx",
    "xd",
    "dd",
    "xv",
    "vv",
    "vd",
)  # x: start of the window, d: its displacement, v: that of the step before
EXTRA = 2  # sums of Adam per tensor: of the roots s of its second moments, and of s times the squared displacement
LARGE = 1 << 16  # above it products are summed pairwise, below it by one call
# weights up to which all tensors are copied and compared as one, many windows at a time: small nets wait for calls, not
# for sums
PACKED = 1 << 18
HELD = 1 << 21  # numbers in the windows that wait to be compared


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """All elements in the order in which they lie in memory: for two tensors of equal strides the same order."""
    if tensor.is_contiguous():
        return tensor.view(-1)
    return tensor.as_strided((tensor.numel(),), (1,), tensor.storage_offset())


def _dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.dot(a, b) if a.numel() < LARGE else torch.sum(a * b)


def _products(x: torch.Tensor, d: torch.Tensor, v: torch.Tensor | None = None) -> torch.Tensor:
    """`COLUMNS` (window, column) of vectors (window, size); three without v.

    Not by a product of matrices: these may be done in fewer digits on an accelerator.
    """
    pairs = [(x, x), (x, d), (d, d)] if v is None else [(x, x), (x, d), (d, d), (x, v), (v, v), (v, d)]
    return torch.stack([(one * other).sum(-1) for one, other in pairs], -1)


def _dense(tensor: torch.Tensor) -> bool:
    """Whether the elements fill a block of memory, whatever their order."""
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(tensor.stride(), tensor.shape, strict=True) if n > 1):
        if stride != expected:
            return False
        expected *= size
    return True


def _kept_type(tensor: torch.Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


@dataclass(slots=True)
class Pending:
    """Scalars of one window, still on the device: a row of `COLUMNS` per tensor, perhaps filled in by `collect`."""

    step: int
    lag: int
    epoch: int
    rules: tuple[Rule, ...]
    values: list[torch.Tensor]
    extra: list[torch.Tensor | None] = field(default_factory=list)
    lrs: dict[int, torch.Tensor] = field(default_factory=dict)  # parameter group -> learning rate kept on the device


class Copies:
    """Copies of all tensors in float32 (float64 stays), with the tensors' own memory layout."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.kept = []
        for t in tensors:
            layout = torch.preserve_format if _dense(t) else torch.contiguous_format
            kept = torch.empty_like(t, dtype=_kept_type(t), memory_format=layout, requires_grad=False)
            self.kept.append(kept)
        self.flat = [_flat(t) for t in self.kept]

    def take(self, tensors: Sequence[torch.Tensor]) -> None:
        """Copy the present weights."""
        for kept, tensor in zip(self.kept, tensors, strict=True):
            kept.copy_(tensor)


class Probe:
    """Scalar products of windows of the tensors it was given; to be used under ``torch.no_grad()``.

    Parameters
    ----------
    tensors : sequence of Tensor
        Read, never written.
    """

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        self.tensors = list(tensors)
        self.copies: dict[object, Any] = {}
        self.pending: list[Pending] = []
        kinds = {(t.device, _kept_type(t)) for t in self.tensors}
        self.sizes = [t.numel() for t in self.tensors]
        self.packed = len(kinds) == 1 and sum(self.sizes) <= PACKED
        self._kept = _kept_type(self.tensors[0]) if self.tensors else torch.float32
        self._waiting: list[tuple[list[torch.Tensor], list[torch.Tensor]]] = []  # where rows go, and what of

    @property
    def copy_bytes(self) -> int:
        """Memory of one copy."""
        return sum(t.numel() * _kept_type(t).itemsize for t in self.tensors)

    def waiting_bytes(self, windows: int) -> int:
        """Most memory of so many windows that wait to be compared; 0 if each is compared at once."""
        most = min(windows, HELD // (3 * max(sum(self.sizes), 1)) + 1)
        return 3 * most * self.copy_bytes if self.packed else 0

    def _joined(self) -> torch.Tensor:
        """A copy of all present weights in one vector."""
        joined = torch.cat([t.reshape(-1) for t in self.tensors])
        return joined if joined.dtype == self._kept else joined.to(self._kept)

    def copy(self, key: object) -> None:
        """Keep the present weights under a key."""
        if self.packed:
            self.copies[key] = self._joined()
            return
        if key not in self.copies:
            self.copies[key] = Copies(self.tensors)
        self.copies[key].take(self.tensors)

    def copy_again(self, key: object, other: object) -> None:
        """Keep under a key what was copied under another just now; packed copies are never written to."""
        if self.packed:
            self.copies[key] = self.copies[other]
        else:
            self.copy(key)

    def swap(self, one: object, other: object) -> None:
        """Let two keys exchange their copies."""
        self.copies[one], self.copies[other] = self.copies[other], self.copies[one]

    def _differences(self, key: object) -> list[torch.Tensor]:
        pairs = zip(self.tensors, self.copies[key].kept, strict=True)
        # into memory laid out like the copy: products then go through both in the same order
        return [_flat(torch.sub(t.to(kept.dtype), kept, out=torch.empty_like(kept))) for t, kept in pairs]

    def norms(self) -> list[torch.Tensor]:
        """Squared lengths of the present weights."""
        return [torch.sum(t.to(_kept_type(t)) ** 2) for t in self.tensors]

    def measure(self, key: object, before: object | None = None) -> list[torch.Tensor]:
        """Rows of `COLUMNS`, one a tensor, of the window from a copy to the present weights.

        `before` names a copy of the weights one step before the window began; without it what needs it is not there.
        An empty list gets all rows as one tensor later, in `collect` at the latest.
        """
        start = self.copies[key]
        earlier = self.copies[before] if before is not None else None
        if self.packed:
            values: list[torch.Tensor] = []
            self._waiting.append((values, [start, self._joined(), *([] if earlier is None else [earlier])]))
            if len(self._waiting) * 3 * sum(self.sizes) > HELD:
                self._compare()
            return values
        rows = []
        for i, d in enumerate(self._differences(key)):
            x = start.flat[i]
            row = [_dot(x, x), _dot(x, d), _dot(d, d)]
            if earlier is None:
                rows.append(torch.stack(row))
                continue
            v = x - earlier.flat[i]
            rows.append(torch.stack([*row, _dot(x, v), _dot(v, v), _dot(v, d)]))
        return rows

    def _compare(self) -> None:
        """The products of all windows that wait, in a few calls."""
        for count in (2, 3):
            some = [(values, ends) for values, ends in self._waiting if len(ends) == count]
            if not some:
                continue
            x, now, *earlier = (torch.stack(column) for column in zip(*(ends for _, ends in some), strict=True))
            vectors = [x, now - x, *(x - one for one in earlier)]
            by_tensor = zip(*(v.split(self.sizes, -1) for v in vectors), strict=True)
            sums = torch.stack([_products(*parts) for parts in by_tensor], 1)
            for (values, _), rows in zip(some, sums.unbind(), strict=True):
                values.append(rows)
        self._waiting = []

    def forget(self) -> None:
        """Drop what is pending."""
        self.pending, self._waiting = [], []

    def weighted(self, key: object, i: int, weights: torch.Tensor) -> torch.Tensor:
        """Sum of `weights` times the squared displacement of tensor `i` since a copy."""
        kept = self.copies[key]
        start = kept.split(self.sizes)[i].view(self.tensors[i].shape) if self.packed else kept.kept[i]
        return torch.sum(weights * (self.tensors[i].to(start.dtype) - start) ** 2)

    def collect(self) -> tuple[list[Pending], Array, Array]:
        """Bring what is pending to the host, one wait per device.

        Returns
        -------
        pending : list of Pending
        values : array (window, tensor, column)
        extra : array (window, tensor, `EXTRA`)
        """
        self._compare()
        pending, self.pending = self.pending, []
        values = np.full((len(pending), len(self.tensors), len(COLUMNS)), math.nan)
        extra = np.full((len(pending), len(self.tensors), EXTRA), math.nan)
        by_device: dict[torch.device, list[tuple[torch.Tensor, Array]]] = {}  # and where each goes
        for i, p in enumerate(pending):
            whole = len(p.values) < len(self.tensors)  # the rows of all tensors as one
            places = [values[i]] if whole else list(values[i])
            places += [place for place, e in zip(extra[i], p.extra, strict=False) if e is not None]
            sources = [*p.values, *(e for e in p.extra if e is not None)]
            for one, place in zip(sources, places, strict=True):
                by_device.setdefault(one.device, []).append((one, place[..., : one.shape[-1]]))
        for found in by_device.values():
            host, low = torch.cat([one.reshape(-1) for one, _ in found]).cpu().double().numpy(), 0
            for _, place in found:
                place[...] = host[low : low + place.size].reshape(place.shape)
                low += place.size
        return pending, values, extra
