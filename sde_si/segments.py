"""Compiled passes over a long path, segment by segment, for `sde_si.wide`.

A segment fits into the cache and never crosses the border of a group or of a part; sums are kept segment by segment,
so that they can be added in fixed order. Importing this module imports numba.
"""

from __future__ import annotations

import itertools

import numpy as np
from numba import types

from sde_si.compiled import njit
from sde_si.jit import OPTIONS
from sde_si.pointers import HYPER_TYPE, MATRIX, ROW, SIGNATURES, STACK, from_address, i8, view
from sde_si.streams import parts

Array = np.ndarray
SEGMENT = 1024
_CODEGEN = "21b9a9256cb8b459"  # of the other files whose code is compiled into this one (tests/test_house.py)
_TABLE, _WORDS = types.int64[:, ::1], types.uint64[:, ::1]
_as_step, _as_fill = from_address(SIGNATURES["step"]), from_address(SIGNATURES["fill"])
STEP, FILL = (list(SIGNATURES).index(name) for name in ("step", "fill"))


def segments(offsets: Array, dim: int) -> Array:
    """Table (segment, 3): low, high, group."""
    cuts = {0, dim, *(int(o) for o in offsets), *(part.start for part in parts(dim))}
    edges = sorted(cuts)
    rows = []
    for low, high in itertools.pairwise(edges):
        group = int(np.searchsorted(offsets, low, side="right")) - 1
        rows += [(start, min(start + SEGMENT, high), group) for start in range(low, high, SEGMENT)]
    return np.array(rows, dtype=np.int64)


@njit(**OPTIONS)
def _product(x, y):
    total = 0.0
    for j in range(np.uint64(x.shape[1])):
        total += x[0, j] * y[0, j]
    return total


@njit(**OPTIONS)
def _moments(old, new):
    """<old, new - old>, |new - old|^2 and |new|^2."""
    along = square = norm = 0.0
    for j in range(np.uint64(old.shape[1])):
        delta = new[0, j] - old[0, j]
        along += old[0, j] * delta
        square += delta * delta
        norm += new[0, j] * new[0, j]
    return along, square, norm


@njit(types.void(MATRIX, MATRIX, _TABLE, MATRIX), **OPTIONS)
def products(x, y, table, out):
    """<x, y> of each segment, into out (1, segment)."""
    for s in range(table.shape[0]):
        low, n = table[s, 0], table[s, 1] - table[s, 0]
        out[0, s] = _product(view(x, low, (1, n)), view(y, low, (1, n)))


@njit(types.void(MATRIX, MATRIX, _TABLE, MATRIX), **OPTIONS)
def compare(a, b, table, out):
    """Moments of b - a, segment by segment, as in `advance`."""
    for s in range(table.shape[0]):
        low, n = table[s, 0], table[s, 1] - table[s, 0]
        out[0, s], out[1, s], out[2, s] = _moments(view(a, low, (1, n)), view(b, low, (1, n)))


@njit(
    types.void(MATRIX, STACK, i8[::1], i8, _WORDS, _TABLE, _TABLE, ROW, MATRIX),
    **OPTIONS,
)
def draw(x, xi, functions, fine, words, bounds, table, room, out):
    """Fill parts of the increments xi (draw, 1, d) and take their products with x, segment by segment, into out.

    `bounds` (part, 2): first and last segment of each part, counted from the first of `table`.
    """
    fill, draws, dim = _as_fill(functions[FILL]), xi.shape[0], x.shape[1]
    if functions[FILL] == 0:
        xi[:] = 0.0
        out[:] = 0.0
        return
    for q in range(bounds.shape[0]):
        stream = view(words, 4 * q, (4,))
        # A finer run draws the whole part again and again: a coarse one that sums its increments must, too.
        for i in range(draws):
            for r in range(fine):
                for s in range(bounds[q, 0], bounds[q, 1]):
                    low, n = table[s, 0], table[s, 1] - table[s, 0]
                    target = view(xi, i * dim + low, (1, n))
                    if r == 0:
                        fill(stream, target)
                    else:
                        more = view(room, 0, (1, n))
                        fill(stream, more)
                        for j in range(np.uint64(n)):
                            target[0, j] += more[0, j]
                    if r == fine - 1:
                        for j in range(np.uint64(n if fine > 1 else 0)):
                            target[0, j] *= 1 / np.sqrt(fine)
                        out[i, s] = _product(view(x, low, (1, n)), target)


@njit(
    types.void(
        MATRIX, MATRIX, STACK, STACK, STACK, HYPER_TYPE, STACK, i8[::1], types.boolean, types.boolean,
        _WORDS, _TABLE, _TABLE, ROW, MATRIX,
    ),
    **OPTIONS,
)  # fmt: skip
def advance(
    x, point, state, xi, g, hyper, scales, functions, drift, ahead, words, bounds, table, room, out
):  # fmt: skip
    """Advance segments in place: noise, gradient (from `g`), step; moments of each segment into out[:3].

    `scales` (draw, 2, group) are a and b of the tangential noise a xi - b point. With `ahead` the next increments, of
    the only draw, are drawn while a segment is in the cache, their products with it into out[3].
    """
    step, fill = _as_step(functions[STEP]), _as_fill(functions[FILL])
    draws, slots, dim = xi.shape[0], state.shape[0], x.shape[1]
    offsets = np.zeros(2, np.int64)
    for q in range(bounds.shape[0]):
        stream = view(words, 4 * q, (4,))
        for s in range(bounds[q, 0], bounds[q, 1]):
            low, group = table[s, 0], table[s, 2]
            n = table[s, 1] - low
            offsets[1] = n
            old, taken = view(x, low, (1, n)), view(point, low, (1, n))
            new, memory = view(room, 0, (1, n)), view(room, n, (slots, 1, n))
            gradient = view(room, (1 + slots) * n, (draws, 1, n))
            for k in range(slots):
                kept = view(state, k * dim + low, (1, n))
                for j in range(np.uint64(n)):
                    memory[k, 0, j] = kept[0, j]
            for i in range(draws):
                a, b, increments = scales[i, 0, group], scales[i, 1, group], view(xi, i * dim + low, (1, n))
                if drift:
                    mean = view(g, i * dim + low, (1, n))
                    for j in range(np.uint64(n)):
                        gradient[i, 0, j] = mean[0, j] + a * increments[0, j] - b * taken[0, j]
                else:
                    for j in range(np.uint64(n)):
                        gradient[i, 0, j] = a * increments[0, j] - b * taken[0, j]
            step(old, memory, hyper, offsets, gradient, new)
            out[0, s], out[1, s], out[2, s] = _moments(old, new)
            for j in range(np.uint64(n)):
                old[0, j] = new[0, j]
            for k in range(slots):
                kept = view(state, k * dim + low, (1, n))
                for j in range(np.uint64(n)):
                    kept[0, j] = memory[k, 0, j]
            if ahead:
                increments = view(xi, low, (1, n))
                fill(stream, increments)
                out[3, s] = _product(old, increments)
