"""Memory that ends, recognised by one rule."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

# torch has no name of its own for a processor's memory that is too small, nor for a size beyond all numbers
_SAID = ("DefaultCPUAllocator", "Storage size calculation overflowed", "numel: integer multiplication overflow")


@contextmanager
def memory_told() -> Iterator[None]:
    """Torch's errors of its allocators as `MemoryError`; every other goes on as it is.

    Raises
    ------
    MemoryError
        If an allocator, of the CPU or of an accelerator, finds no memory.
    """
    try:
        yield
    except RuntimeError as error:
        said = str(error).partition("\n")[0][:120]
        if isinstance(error, torch.OutOfMemoryError) or any(words in said for words in _SAID):
            raise MemoryError(said) from error
        raise
