"""Sums over the paths of a block and their groups, for the time loops: norms, projections, moments and angles.

"One row" is all paths of a block one after the other. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sde_si.compiled import njit
from sde_si.jit import OPTIONS

FREE, TOTAL, GROUPS = 0, 1, 2
_SERIES_LIMIT = 2.5e-3


# Ranges over unsigned integers: numba's wrap-around of negative indices would keep LLVM from vectorising.
@njit(**OPTIONS)
def squared_norms(x, offsets, out):
    """Squared length of each path and group."""
    for p in range(x.shape[0]):
        for g in range(offsets.size - 1):
            total = 0.0
            for j in range(np.uint64(offsets[g]), np.uint64(offsets[g + 1])):
                total += x[p, j] * x[p, j]
            out[p, g] = total


@njit(**OPTIONS)
def constrain(x, kind, radius, offsets):
    """Rescale each path to length `radius`: all groups by one factor, or each to an equal share of the square.

    The projection of projected gradient descent (Kodryan et al.; theory.md 3.3, 5.1).
    """
    groups = offsets.size - 1
    parts = groups if kind == GROUPS else 1  # one total to be rescaled, or one for each group
    length = radius * radius / parts
    for p in range(x.shape[0]):
        for c in range(parts):
            low = np.uint64(offsets[c])
            high = np.uint64(offsets[c + 1] if parts > 1 else offsets[groups])
            total = 0.0
            for j in range(low, high):
                total += x[p, j] * x[p, j]
            scale = np.sqrt(length / total)
            for j in range(low, high):
                x[p, j] *= scale


def _for_width(width):
    """The functions `tangential` and `moments` for groups of any length (0), or for a single one of `width` weights.

    A loop of known length is unrolled and the loop over the paths vectorised: twice as fast from 2 to 4 weights. No
    operation may be reordered there: the last paths, which fill no vector, must come out as they would inside one.
    """
    options: dict[str, Any] = OPTIONS | {"fastmath": False} if width else OPTIONS

    @njit(**options)
    def tangential(x, xi, norm, scale, offsets):
        paths = np.uint64(norm.shape[0])
        stride = np.uint64(width or x.size // paths)
        for p in range(paths):
            for g in range(1 if width else offsets.size - 1):
                low = p * stride + np.uint64(0 if width else offsets[g])
                high = p * stride + np.uint64(width or offsets[g + 1])
                along = 0.0
                for j in range(low, high):
                    along += x[j] * xi[j]
                a = scale / np.sqrt(norm[p, g])
                b = along * a / norm[p, g]
                for j in range(low, high):
                    xi[j] = a * xi[j] - b * x[j]

    @njit(**options)
    def moments(a, b, offsets, out):
        paths = np.uint64(out.shape[1])
        stride = np.uint64(width or a.size // paths)
        for p in range(paths):
            for g in range(1 if width else offsets.size - 1):
                low = p * stride + np.uint64(0 if width else offsets[g])
                high = p * stride + np.uint64(width or offsets[g + 1])
                along = square = norm = 0.0
                for j in range(low, high):
                    delta = b[j] - a[j]
                    along += a[j] * delta
                    square += delta * delta
                    norm += b[j] * b[j]
                out[0, p, g], out[1, p, g], out[2, p, g] = along, square, norm

    return tangential, moments


_tangential0, _moments0 = _for_width(0)
_tangential2, _moments2 = _for_width(2)
_tangential3, _moments3 = _for_width(3)
_tangential4, _moments4 = _for_width(4)


@njit(**OPTIONS)
def make_tangential(x, xi, norm, scale, offsets):
    """Turn xi into scale P(y) xi/|x|, group by group; all paths in one row."""
    width = offsets[1] if offsets.size == 2 else 0
    if width == 2:
        _tangential2(x, xi, norm, scale, offsets)
    elif width == 3:
        _tangential3(x, xi, norm, scale, offsets)
    elif width == 4:
        _tangential4(x, xi, norm, scale, offsets)
    else:
        _tangential0(x, xi, norm, scale, offsets)


@njit(**OPTIONS)
def moments_of(a, b, offsets, out):
    """<a, b - a>, |b - a|^2 and |b|^2 of each path and group; the difference keeps small angles exact. One row."""
    width = offsets[1] if offsets.size == 2 else 0
    if width == 2:
        _moments2(a, b, offsets, out)
    elif width == 3:
        _moments3(a, b, offsets, out)
    elif width == 4:
        _moments4(a, b, offsets, out)
    else:
        _moments0(a, b, offsets, out)


@njit(**OPTIONS)
def with_total(moments):
    """Sum over the groups into the last column, when there is one for all groups together."""
    groups = moments.shape[2] - 1
    if groups:
        for q in range(moments.shape[0]):
            for p in range(moments.shape[1]):
                total = 0.0
                for g in range(groups):
                    total += moments[q, p, g]
                moments[q, p, groups] = total


@njit(**OPTIONS)
def add_squared_angles(norm, moments, out):
    """Add the squared angle of a step to `out`: series of atan(t)^2 to rounding for small t, else atan2.

    Paths and groups in one row: norm, out (n,), moments (3, n).
    """
    n = norm.size
    along, square = moments[0], moments[1]
    wide = 0
    for i in range(n):
        dot = norm[i] + along[i]
        t = (norm[i] * square[i] - along[i] * along[i]) / (dot * dot)
        small = t <= _SERIES_LIMIT and dot > 0
        wide += not small
        t = t if small else 0.0  # the series of a large t would drown the sum
        series = 44 / 105 - t * (563 / 1575 - t * (3254 / 10395))
        out[i] += t * (1 - t * (2 / 3 - t * (23 / 45 - t * series)))
    if wide:
        for i in range(n):
            dot = norm[i] + along[i]
            across = norm[i] * square[i] - along[i] * along[i]
            if not (across / (dot * dot) <= _SERIES_LIMIT and dot > 0):
                out[i] += np.arctan2(np.sqrt(max(across, 0.0)), dot) ** 2
