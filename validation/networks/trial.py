"""Whether a network runs on batches of a size, found by running it on few samples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from sde_si.errors import BadInput
from validation.networks.layers import GhostNorm


def try_batches(model: nn.Module, shape: Sequence[int], sizes: Iterable[int]) -> None:
    """Run the network once for every batch size, on the ghost batch and what the last one leaves over.

    Parameters
    ----------
    model : Module
        Left in training mode; running statistics change.
    shape : sequence of int
        Channels and pixels of the images.
    sizes : iterable of int
        Batch sizes of the training.

    Raises
    ------
    BadInput
        If it fails: images too small for its stages, a ghost batch of a single sample.
    """
    ghosts = sorted({module.ghost for module in model.modules() if isinstance(module, GhostNorm)} or {0})
    dtype = next(model.parameters()).dtype
    for B in sorted({int(size) for size in sizes}):
        for ghost in ghosts:
            samples = ghost + B % ghost if 0 < ghost < B else min(B, 2)
            try:
                with torch.no_grad():
                    model.train()(torch.randn(samples, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0)))
            except (ValueError, RuntimeError, IndexError, AssertionError) as error:
                said = str(error).partition("\n")[0][:120] or type(error).__name__
                what = f"batches of {B}" + (f" in ghost batches of {ghost}" if ghost else "") + " of these images"
                advice = "another --B, --ghost, --width or --blocks"
                raise BadInput("network", f"one that runs on {what}", said, advice) from error
