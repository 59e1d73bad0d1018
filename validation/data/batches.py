"""Minibatches on the device: their order and augmentation are functions of (seed, epoch) alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sde_si.streams import DATA, ORDER, generator

Array = np.ndarray


def order(seed: int, key: tuple[int, ...], N: int, B: int, draws: int, sampling: str) -> Array:
    """Indices (draws, B) of minibatches, a function of the arguments alone.

    Parameters
    ----------
    seed : int
    key : tuple of int
        The epoch, and what the batches are for.
    N, B, draws : int
    sampling : {"replacement", "reshuffle"}
        Every sample drawn by itself; or every sample at most once in N // B batches.
    """
    rng = generator(seed, ORDER, *key)
    if sampling == "replacement":
        return rng.integers(0, N, (draws, B))
    whole = N // B
    shuffled = [rng.permutation(N)[: whole * B].reshape(whole, B) for _ in range(-(-draws // whole))]
    return np.concatenate(shuffled)[:draws]


@dataclass(frozen=True)
class Augmentation:
    """A random change of images.

    Attributes
    ----------
    summary : str
    margin : callable
        ``margin(size)``: pixels by which images are moved at most.
    flips : bool
        Whether images are mirrored.
    """

    summary: str
    margin: Callable[[int], int]
    flips: bool = False


AUGMENTATIONS = {
    "flip": Augmentation("mirrored from left to right, half of them", lambda size: 0, flips=True),
    "crop": Augmentation("moved by up to an eighth of the size, zeros behind", lambda size: size // 8),
    "shift": Augmentation("moved by up to one pixel, zeros behind", lambda size: 1),
}


class Batches:
    """The training set on the device, and its augmented minibatches.

    Parameters
    ----------
    images : ndarray of uint8, shape (N, channels, size, size)
    labels : ndarray, shape (N,)
    augment : tuple of str
        Names in `AUGMENTATIONS`.
    device : torch.device
    dtype : torch.dtype
    """

    def __init__(
        self, images: Array, labels: Array, *, augment: tuple[str, ...] = (), device: torch.device, dtype: torch.dtype
    ) -> None:
        chosen = [AUGMENTATIONS[name] for name in augment]
        self.size = images.shape[-1]
        self.margin = sum(one.margin(self.size) for one in chosen)
        self.flips = any(one.flips for one in chosen)
        mean = images.mean((0, 2, 3), dtype=np.float64)
        deviation = np.maximum(images.std((0, 2, 3), dtype=np.float64), 1.0)
        self.mean, self.deviation = (
            torch.tensor(v, dtype=dtype, device=device)[:, None, None] for v in (mean, deviation)
        )
        self.images = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self.padded = F.pad(self.images, (self.margin,) * 4)
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(device)
        self.dtype = dtype
        self.rows = torch.arange(self.size, device=device)

    @property
    def N(self) -> int:
        """Samples."""
        return self.labels.numel()

    def moves(self, seed: int, key: tuple[int, ...], shape: tuple[int, int]) -> Tensor:
        """Offsets and mirrors (draws, batch, 3) of the samples of `order` with the same key."""
        rng = generator(seed, DATA, *key)
        moved = rng.integers(0, 2 * self.margin + 1, (*shape, 2))
        mirrored = rng.integers(0, 2 if self.flips else 1, (*shape, 1))
        return torch.from_numpy(np.concatenate([moved, mirrored], -1)).to(self.labels.device)

    def scaled(self, images: Tensor) -> Tensor:
        """Pixels as numbers of mean 0 and variance 1 over the training set."""
        return (images.to(self.dtype) - self.mean) / self.deviation

    def batch(self, index: Tensor, moves: Tensor) -> tuple[Tensor, Tensor]:
        """Images (batch, channels, size, size) and labels (batch,) of one step.

        Parameters
        ----------
        index : Tensor of int, shape (batch,)
        moves : Tensor of int, shape (batch, 3)
            A row of `moves`.
        """
        if not (self.margin or self.flips):
            return self.scaled(self.images[index]), self.labels[index]
        mirrored = moves[:, 2:3] == 1
        columns = torch.where(mirrored, self.size - 1 - self.rows, self.rows) + moves[:, 1:2]
        rows = self.rows + moves[:, 0:1]
        picked = self.padded[index[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        # Advanced indices around a slice: the channels come last.
        return self.scaled(picked.permute(0, 3, 1, 2)), self.labels[index]
