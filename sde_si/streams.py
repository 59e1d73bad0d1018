"""Random streams: every number depends on (seed, what for, which block), never on threads or on what is saved."""

from __future__ import annotations

import numpy as np

START, NOISE, SAMPLING, DATA, ORDER = range(5)


def generator(seed: int, stream: int, *key: int) -> np.random.Generator:
    """The generator of a stream, for one block (and one part of a large path)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream, *key))))


def words(rng: np.random.Generator) -> np.ndarray:
    """State and increment of a PCG64, high and low word of each: uint64 (4,), for compiled code (`sde_si.pcg64`)."""
    inside = rng.bit_generator.state["state"]
    both = (inside["state"], inside["inc"])
    return np.array([half for number in both for half in divmod(number, 1 << 64)], dtype=np.uint64)


def block_size(dim: int) -> int:
    """Paths that are drawn and advanced together: a function of the dimension alone."""
    return max(1, min(256, 1024 // dim))


PART = 65_536


def parts(dim: int) -> list[slice]:
    """Ranges of the weights that have a generator each."""
    return [slice(low, min(low + PART, dim)) for low in range(0, dim, PART)]
