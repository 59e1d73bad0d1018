"""Standard increments: fillers of independent numbers of mean 0 and variance 1, and what may shape them.

To add a noise, write its filler and name it in `NOISES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sde_si.jit import Jitted, Late, jitted

_next_word: Any = Late("sde_si.pcg64", "next_word")
_ratios: Any = Late("sde_si.pcg64", "RATIOS")
_limits: Any = Late("sde_si.pcg64", "LIMITS")
_heights: Any = Late("sde_si.pcg64", "HEIGHTS")
_tail: Any = Late("sde_si.pcg64", "TAIL")
_inverse_tail: Any = Late("sde_si.pcg64", "INVERSE_TAIL")
_uniform: Any = Late("sde_si.pcg64", "uniform")
_CODEGEN = "21b9a9256cb8b459"  # of the other files whose code is compiled into this one (tests/test_house.py)


@jitted
def fill_gaussian(words, xi):
    """Standard normals by the ziggurat, the same numbers as NumPy's own."""
    high, low, plus_high, plus_low = words[0], words[1], words[2], words[3]
    for p in range(xi.shape[0]):
        j = 0
        while j < xi.shape[1]:
            high, low, word = _next_word(high, low, plus_high, plus_low)
            layer, word = word & np.uint64(255), word >> np.uint64(8)
            whole = (word >> np.uint64(1)) & np.uint64(0xFFFFFFFFFFFFF)
            z = np.int64(whole) * _ratios[layer]
            z = -z if word & np.uint64(1) else z
            if whole < _limits[layer]:
                xi[p, j] = z
                j += 1
            elif layer:
                high, low, word = _next_word(high, low, plus_high, plus_low)
                above, below = _heights[layer - np.uint64(1)], _heights[layer]
                if (above - below) * _uniform(word) + below < np.exp(-0.5 * z * z):
                    xi[p, j] = z
                    j += 1
            else:
                excess = room = 0.0
                while room + room <= excess * excess:
                    high, low, word = _next_word(high, low, plus_high, plus_low)
                    excess = -_inverse_tail * np.log1p(-_uniform(word))
                    high, low, word = _next_word(high, low, plus_high, plus_low)
                    room = -np.log1p(-_uniform(word))
                xi[p, j] = -(_tail + excess) if (whole >> np.uint64(8)) & np.uint64(1) else _tail + excess
                j += 1
    words[0], words[1] = high, low


@jitted
def fill_rademacher(words, xi):
    """Signs, 52 to a random word (simplified weak Euler); every row begins with a new one."""
    high, low, plus_high, plus_low = words[0], words[1], words[2], words[3]
    for p in range(xi.shape[0]):
        whole = xi.shape[1] // 52
        for w in range(whole):
            high, low, word = _next_word(high, low, plus_high, plus_low)
            bits, start = np.int64(word >> np.uint64(12)), np.uint64(w * 52)
            for q in range(np.uint64(52)):
                xi[p, start + q] = 1.0 - 2.0 * ((bits >> q) & 1)
        high, low, word = _next_word(high, low, plus_high, plus_low)
        bits = np.int64(word >> np.uint64(12))
        for q in range(np.uint64(xi.shape[1] - whole * 52)):
            xi[p, whole * 52 + q] = 1.0 - 2.0 * ((bits >> q) & 1)
    words[0], words[1] = high, low


@jitted
def shape_fixed_length(x, xi, memory, hyper, offsets):
    """Project on the tangent space of each group and stretch to the root of its dimension d - 1."""
    for p in range(x.shape[0]):
        for g in range(offsets.size - 1):
            low, high = np.uint64(offsets[g]), np.uint64(offsets[g + 1])
            xx = along = 0.0
            for j in range(low, high):
                xx += x[p, j] * x[p, j]
                along += x[p, j] * xi[p, j]
            length = 0.0
            for j in range(low, high):
                xi[p, j] -= along / xx * x[p, j]
            for j in range(low, high):
                length += xi[p, j] * xi[p, j]
            scale = np.sqrt((offsets[g + 1] - offsets[g] - 1) / length)
            for j in range(low, high):
                xi[p, j] *= scale


@jitted
def shape_sum_zero(x, xi, memory, hyper, offsets):
    """Increments of variance 1 that sum to zero over every epoch: reshuffled noise (theory.md 1.13).

    The law of n exchangeable normals given that they sum to zero, built in sequence from their running sum
    (`memory`): given those before it, number j has mean -sum/(n - j + 1).
    """
    n, j = hyper.epoch_steps, hyper.epoch_step + 1.0
    left = n - j + 1
    scale = np.sqrt((left - 1) / left * n / (n - 1)) if n > 1 else 0.0
    for p in range(x.shape[0]):
        for k in range(xi.shape[1]):
            if j == 1:
                memory[p, k] = 0.0
            xi[p, k] = scale * xi[p, k] - memory[p, k] / left
            memory[p, k] += xi[p, k]


@dataclass(frozen=True, kw_only=True)
class Noise:
    """A law of increments.

    Attributes
    ----------
    name, summary : str
        As on the command line; one line for people.
    fill : Jitted or None
        ``fill(words, xi)`` writes independent numbers of mean 0 and variance 1 into a matrix (all paths of a block make
        one row) and advances the generator of `sde_si.streams.words`; None if the loss draws minibatches.
    shape : Jitted or None
        ``shape(x, xi, memory, hyper, offsets)`` changes them in the light of the weights.
    kurtosis : float
        d Var(|g|^2)/E|g|^2 of the isotropic tangential noise made of it: 2 for normal, 0 for fixed length
        (theory.md 2.7).
    """

    name: str
    summary: str
    fill: Jitted | None
    shape: Jitted | None = None
    kurtosis: float = 0.0


NOISES: dict[str, Noise] = {
    noise.name: noise
    for noise in (
        Noise(name="gaussian", summary="normal increments", fill=fill_gaussian, kurtosis=2.0),
        Noise(name="rademacher", summary="random signs: weak order 1 at a fraction of the cost", fill=fill_rademacher),
        Noise(
            name="fixed-length",
            summary="tangential noise of constant length: the norm is deterministic without momentum",
            fill=fill_gaussian,
            shape=shape_fixed_length,
        ),
        Noise(name="difference", summary="(g1 - g2)/sqrt(2) of two minibatches: exact covariance", fill=None),
    )
}
SAMPLINGS = ("replacement", "reshuffle")
