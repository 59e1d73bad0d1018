"""Compiled passes over a long path, segment by segment, for `sde_si.wide`.

A segment fits into the cache and never crosses the border of a group or of a part; sums are kept segment by segment,
so that they can be added in fixed order. Importing this module imports numba.
"""

from __future__ import annotations

import itertools

import numba
import numpy as np
from numba import types

from sde_si.jit import OPTIONS
from sde_si.pointers import HYPER_TYPE, SIGNATURES, WORDS_TYPE, from_address, view
from sde_si.streams import parts

Array = np.ndarray
SEGMENT = 1024
_f8, _i8 = types.float64, types.int64
_MATRIX, _STACK, _WORDS = _f8[:, ::1], _f8[:, :, ::1], types.uint64[:, ::1]
# Spelt out here, because numba stamps a cached function with its own file only.
_STEP = types.void(_MATRIX, _STACK, HYPER_TYPE, _i8[::1], _STACK, _MATRIX)
_FILL = types.void(WORDS_TYPE, _MATRIX)
assert (SIGNATURES["step"], SIGNATURES["fill"]) == (_STEP, _FILL)
_view = view
_as_step, _as_fill = from_address(_STEP), from_address(_FILL)


def segments(offsets: Array, dim: int) -> Array:
    """Table (segment, 3): low, high, group."""
    cuts = {0, dim, *(int(o) for o in offsets), *(part.start for part in parts(dim))}
    edges = sorted(cuts)
    rows = []
    for low, high in itertools.pairwise(edges):
        group = int(np.searchsorted(offsets, low, side="right")) - 1
        rows += [(start, min(start + SEGMENT, high), group) for start in range(low, high, SEGMENT)]
    return np.array(rows, dtype=np.int64)


@numba.njit(types.void(_f8[:, ::1], _f8[:, ::1], _i8[:, ::1], _f8[:, ::1]), **OPTIONS)
def products(x, y, table, out):
    """<x, y> of each segment, into out (1, segment)."""
    for s in range(table.shape[0]):
        total = 0.0
        for j in range(np.uint64(table[s, 0]), np.uint64(table[s, 1])):
            total += x[0, j] * y[0, j]
        out[0, s] = total


@numba.njit(**OPTIONS)
def _product(x, y):
    total = 0.0
    for j in range(np.uint64(x.shape[1])):
        total += x[0, j] * y[0, j]
    return total


@numba.njit(
    types.void(_MATRIX, _STACK, _i8[::1], _i8, _WORDS, _i8[:, ::1], _i8[:, ::1], _f8[::1], _MATRIX),
    **OPTIONS,
)
def draw(x, xi, functions, fine, words, bounds, table, room, out):
    """Fill parts of the increments xi (draw, 1, d) and take their products with x, segment by segment, into out.

    `bounds` (part, 2): first and last segment of each part, counted from the first of `table`.
    """
    fill, draws, dim = _as_fill(functions[4]), xi.shape[0], x.shape[1]
    if functions[4] == 0:
        xi[:] = 0.0
        out[:] = 0.0
        return
    for q in range(bounds.shape[0]):
        stream = _view(words, 4 * q, (4,))
        # A finer run draws the whole part again and again: a coarse one that sums its increments must, too.
        for i in range(draws):
            for r in range(fine):
                for s in range(bounds[q, 0], bounds[q, 1]):
                    low, n = table[s, 0], table[s, 1] - table[s, 0]
                    target = _view(xi, i * dim + low, (1, n))
                    if r == 0:
                        fill(stream, target)
                    else:
                        more = _view(room, 0, (1, n))
                        fill(stream, more)
                        for j in range(np.uint64(n)):
                            target[0, j] += more[0, j]
                    if r == fine - 1:
                        for j in range(np.uint64(n if fine > 1 else 0)):
                            target[0, j] *= 1 / np.sqrt(fine)
                        out[i, s] = _product(_view(x, low, (1, n)), target)


@numba.njit(
    types.void(
        _MATRIX, _MATRIX, _STACK, _STACK, _STACK, HYPER_TYPE, _f8[:, :, ::1], _i8[::1], types.boolean, types.boolean,
        _WORDS, _i8[:, ::1], _i8[:, ::1], _f8[::1], _MATRIX,
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
    step, fill = _as_step(functions[0]), _as_fill(functions[4])
    draws, slots, dim = xi.shape[0], state.shape[0], x.shape[1]
    offsets = np.zeros(2, np.int64)
    for q in range(bounds.shape[0]):
        stream = _view(words, 4 * q, (4,))
        for s in range(bounds[q, 0], bounds[q, 1]):
            low, group = table[s, 0], table[s, 2]
            n = table[s, 1] - low
            offsets[1] = n
            old, taken = _view(x, low, (1, n)), _view(point, low, (1, n))
            new, memory = _view(room, 0, (1, n)), _view(room, n, (slots, 1, n))
            gradient = _view(room, (1 + slots) * n, (draws, 1, n))
            for k in range(slots):
                kept = _view(state, k * dim + low, (1, n))
                for j in range(np.uint64(n)):
                    memory[k, 0, j] = kept[0, j]
            for i in range(draws):
                a, b, increments = scales[i, 0, group], scales[i, 1, group], _view(xi, i * dim + low, (1, n))
                if drift:
                    mean = _view(g, i * dim + low, (1, n))
                    for j in range(np.uint64(n)):
                        gradient[i, 0, j] = mean[0, j] + a * increments[0, j] - b * taken[0, j]
                else:
                    for j in range(np.uint64(n)):
                        gradient[i, 0, j] = a * increments[0, j] - b * taken[0, j]
            step(old, memory, hyper, offsets, gradient, new)
            along = square = norm = 0.0
            for j in range(np.uint64(n)):
                delta = new[0, j] - old[0, j]
                along += old[0, j] * delta
                square += delta * delta
                norm += new[0, j] * new[0, j]
                old[0, j] = new[0, j]
            for k in range(slots):
                kept = _view(state, k * dim + low, (1, n))
                for j in range(np.uint64(n)):
                    kept[0, j] = memory[k, 0, j]
            out[0, s] = along
            out[1, s] = square
            out[2, s] = norm
            if ahead:
                increments = _view(xi, low, (1, n))
                fill(stream, increments)
                out[3, s] = _product(old, increments)


@numba.njit(types.void(_f8[:, ::1], _f8[:, ::1], _i8[:, ::1], _f8[:, ::1]), **OPTIONS)
def compare(a, b, table, out):
    """Moments of b - a, segment by segment, as in `_advance`."""
    for s in range(table.shape[0]):
        along = square = norm = 0.0
        for j in range(np.uint64(table[s, 0]), np.uint64(table[s, 1])):
            delta = b[0, j] - a[0, j]
            along += a[0, j] * delta
            square += delta * delta
            norm += b[0, j] * b[0, j]
        out[0, s] = along
        out[1, s] = square
        out[2, s] = norm
