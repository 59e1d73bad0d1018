"""All trained weights as one vector, the scale-invariant ones first, group by group."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

_BLOCK = 256  # groups start at multiples of it, so that sums over groups are two fused calls


class Layout:
    """Where each weight stands in the vector.

    Parameters
    ----------
    model : Module
    groups : mapping of str to list of str
        Names of the weights of each scale-invariant group; what is in none comes last.

    Attributes
    ----------
    size : int
        Length of the vector, padding of zeros included.
    invariant : int
        Length of its scale-invariant part.
    owner : Tensor of int, shape (invariant,)
        Group of each entry of that part.
    names : list of str
        Groups, as in a record: ``["all"]``, or each group and then ``"all"``.
    """

    def __init__(self, model: nn.Module, groups: Mapping[str, list[str]]) -> None:
        parameters = dict(model.named_parameters())
        rest = [name for name in parameters if not any(name in members for members in groups.values())]
        self.shapes = {name: p.shape for name, p in parameters.items()}
        self.places: dict[str, slice] = {}
        position, owner = 0, []
        for i, members in enumerate([*groups.values(), rest]):
            begin = position
            for name in members:
                self.places[name] = slice(position, position + parameters[name].numel())
                position += parameters[name].numel()
            position = -(-position // _BLOCK) * _BLOCK
            if i < len(groups):
                owner += [i] * ((position - begin) // _BLOCK)
                self.invariant = position
        self.size = position
        self.names = ["all"] if len(groups) == 1 else [*groups, "all"]
        # entries of biases, and of scales and shifts of a normalisation
        self.plain = torch.zeros(self.size, dtype=torch.bool)
        for name, place in self.places.items():
            self.plain[place] = parameters[name].ndim < 2
        self.owner = torch.tensor(owner, dtype=torch.int64).repeat_interleave(
            _BLOCK
        )  # group of each scale-invariant entry
        matrix = torch.zeros(len(owner), len(self.names), dtype=torch.float64)
        matrix[torch.arange(len(owner)), torch.tensor(owner)] = 1
        matrix[:, -1] = 1
        self._matrix = matrix

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """The weights by name, sharing the memory of `vector` (size,)."""
        return {name: vector[place].view(self.shapes[name]) for name, place in self.places.items()}

    def pack(self, parameters: Mapping[str, Tensor], dtype: torch.dtype) -> Tensor:
        """The vector (size,) of these weights."""
        out = torch.zeros(self.size, dtype=dtype)
        for name, place in self.places.items():
            out[place] = parameters[name].detach().flatten().to(dtype)
        return out

    def dots(self, a: Tensor, b: Tensor) -> Tensor:
        """Inner products by group, float64, of vectors (..., size) or (..., invariant): shape (..., groups).

        Exact to float64 whatever the precision of the weights.
        """
        a, b = a[..., : self.invariant].double(), b[..., : self.invariant].double()
        if self._matrix.device != a.device:
            self._matrix = self._matrix.to(a.device)
        return (a * b).unflatten(-1, (-1, _BLOCK)).sum(-1) @ self._matrix


def angle(xx: Tensor, xd: Tensor, dd: Tensor) -> Tensor:
    """Angle in radians between x and x + d, from <x,x>, <x,d>, <d,d>: exact for small angles."""
    across = torch.clamp(dd * xx - xd * xd, min=0.0)
    return torch.atan2(across.sqrt(), xx + xd)
