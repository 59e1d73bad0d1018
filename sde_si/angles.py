"""Angles between weights, compiled. Importing this module imports numba."""

from __future__ import annotations

import numpy as np
from numba import types

from sde_si.compiled import njit
from sde_si.jit import OPTIONS
from sde_si.pointers import MATRIX, i8


@njit(types.void(MATRIX, MATRIX, i8[::1], MATRIX), **OPTIONS)
def angles(x, y, offsets, out):
    """Angle in radians between x and y, per path and group, by Kahan's formula: exact near 0 and near pi."""
    groups = offsets.size - 1
    for p in range(x.shape[0]):
        for g in range(out.shape[1]):
            low = np.uint64(offsets[g] if g < groups else 0)
            high = np.uint64(offsets[g + 1] if g < groups else offsets[groups])
            xx = yy = 0.0
            for j in range(low, high):
                xx += x[p, j] * x[p, j]
                yy += y[p, j] * y[p, j]
            a, b = 1 / np.sqrt(xx), 1 / np.sqrt(yy)
            minus = plus = 0.0
            for j in range(low, high):
                minus += (a * x[p, j] - b * y[p, j]) ** 2
                plus += (a * x[p, j] + b * y[p, j]) ** 2
            out[p, g] = 2 * np.arctan2(np.sqrt(minus), np.sqrt(plus))
