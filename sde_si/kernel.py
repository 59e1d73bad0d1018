"""The time loop; `sde_si.wide` is its counterpart for paths too long for one thread.

Losses, noises and methods reach it as addresses of compiled functions (`sde_si.pointers`): it is compiled once in its
life. Every function gets a block of paths ``x[path, d]``, never one path. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types

from sde_si.jit import OPTIONS
from sde_si.pcg64 import next_word
from sde_si.pointers import HYPER_TYPE, MATRIX, PARAMS_TYPE, SIGNATURES, STACK, from_address, i8, view

INCREMENTS, MINIBATCH, DIFFERENCE = 0, 1, 2
FREE, TOTAL, GROUPS = 0, 1, 2
_SERIES_LIMIT = 2.5e-3
_view, _next_word = view, next_word
_as_step, _as_gradient, _as_noise, _as_minibatch, _as_fill, _as_shape, _as_where = map(
    from_address, SIGNATURES.values()
)


# Ranges over unsigned integers: numba's wrap-around of negative indices would keep LLVM from vectorising.
@numba.njit(**OPTIONS)
def squared_norms(x, offsets, out):
    """Squared length of each path and group."""
    for p in range(x.shape[0]):
        for g in range(offsets.size - 1):
            total = 0.0
            for j in range(np.uint64(offsets[g]), np.uint64(offsets[g + 1])):
                total += x[p, j] * x[p, j]
            out[p, g] = total


@numba.njit(**OPTIONS)
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

    @numba.njit(**options)
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

    @numba.njit(**options)
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


@numba.njit(**OPTIONS)
def _make_tangential(x, xi, norm, scale, offsets):
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


@numba.njit(**OPTIONS)
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


@numba.njit(**OPTIONS)
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


@numba.njit(**OPTIONS)
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


@numba.njit(**OPTIONS)
def _next_batch(words, order, position, samples, batch):
    """The batch at `position` of the epoch's order; at a negative one, a fresh draw with replacement."""
    high, low, plus_high, plus_low = words[0], words[1], words[2], words[3]
    for p in range(batch.shape[0]):
        for i in range(batch.shape[1]):
            if position >= 0:
                batch[p, i] = order[p, position + i]
                continue
            high, low, word = _next_word(high, low, plus_high, plus_low)
            batch[p, i] = np.int64(np.int64(word >> np.uint64(11)) * 2.0**-53 * samples)
    words[0], words[1] = high, low


@numba.njit(**OPTIONS)
def _sum_increments(fill, words, xi, more, fine):
    """Turn xi into the sum of `fine` draws, scaled to variance 1: the increment of a `fine` times finer run."""
    scale = 1 / np.sqrt(fine)
    for i in range(1, fine + 1):
        if i < fine:
            fill(words, more)
        for j in range(xi.shape[1]):
            xi[0, j] = xi[0, j] + more[0, j] if i < fine else xi[0, j] * scale


@numba.njit(
    types.void(
        MATRIX, STACK, HYPER_TYPE[::1], i8[::1], i8[::1], i8[::1], types.uint64[:, ::1], PARAMS_TYPE, i8[::1], MATRIX,
        STACK, i8[:, ::1], STACK, STACK, STACK, i8[:, ::1],
    ),
    **OPTIONS,
)  # fmt: skip
def kernel(
    x, state, table, plan, gradients, functions, words, params, offsets, memory, xi,
    order, rooms, g, sums, fault,
):  # fmt: skip
    """Advance one block of paths by the steps of `table`.

    Parameters
    ----------
    x, state : (path, d), (slot, path, d)
        Weights and the method's memory, advanced in place.
    table : (step,) records of `HYPER`
        One row an optimizer step.
    plan : (8,)
        Substeps; kind of draw; increments summed into one; samples N; whether `order` holds the epoch's order;
        whether every step is watched, or only the norm, every 64 steps; the constraint after each substep;
        whether the step takes every weight by itself, and so all paths as one long row.
    gradients, functions : (draw,), (7,)
        Whether each draw contains the mean gradient; addresses in the order of `SIGNATURES`, 0 for none. Without a
        noise of the loss's own it is isotropic in the tangent space of each group; without a filler there is none.
    words : (2, 4)
        Generators for increments and for minibatches (`sde_si.streams.words`), advanced in place.
    params, offsets
        The loss's arrays, and where its scale-invariant groups begin and end.
    memory, xi : (path, k), (2, block, k)
        What the noise keeps from step to step; room for standard increments, the second if several are summed into one.
    order : (block, n)
        The epoch's order of the samples, or anything with one row a path.
    rooms, g : (3 or 4, path, d), (draws or draws + 1, path, d)
        Work space; the fourth is for the point where draws are taken, if that is not x.
    sums : (3, path, group)
        Added to: squared angle per step, squared displacement per substep, squared norm before each substep.
    fault : (2, path)
        Step at which a path ceased to be finite (-1: never), and why (1 overflow, 2 NaN, 3 zero norm).
    """
    substeps, kind, fine, samples, ordered, watched = plan[0], plan[1], plan[2], plan[3], plan[4], plan[5]
    constraint, elementwise = plan[6], plan[7]
    step, gradient, noise = _as_step(functions[0]), _as_gradient(functions[1]), _as_noise(functions[2])
    minibatch, fill, shape = _as_minibatch(functions[3]), _as_fill(functions[4]), _as_shape(functions[5])
    stream, sampler = _view(words, 0, (4,)), _view(words, 4, (4,))
    where, elsewhere = _as_where(functions[6]), functions[6] != 0
    has_gradient, has_noise = functions[1] != 0, functions[2] != 0
    has_fill, has_shape = functions[4] != 0, functions[5] != 0
    x, state, xi = _view(x, 0, x.shape), _view(state, 0, state.shape), _view(xi, 0, xi.shape)
    rooms, g, sums = _view(rooms, 0, rooms.shape), _view(g, 0, g.shape), _view(sums, 0, sums.shape)
    paths, d = x.shape
    draws, columns = gradients.size, sums.shape[2]
    value, norm = np.empty(paths), np.empty((paths, columns))
    point_norm = np.empty((paths, columns)) if elsewhere else norm
    moments = np.empty((3, paths, columns))
    batch = np.empty((order.shape[0], 0), np.int64)
    squared_norms(x, offsets, norm)
    norm3 = norm.reshape((1, paths, columns))
    with_total(norm3)
    before = norm.copy()
    row = paths * d  # all paths of a block in one
    flat_norm, flat_before = norm.reshape(norm.size), before.reshape(norm.size)
    flat_sums, flat_moments = _view(sums, 0, (3, norm.size)), moments.reshape((3, norm.size))
    flat_rooms, flat_g = _view(rooms, 0, (rooms.shape[0], 1, row)), _view(g, 0, (g.shape[0], 1, row))
    flat_xi = _view(xi, 0, (xi.shape[0], 1, xi.shape[1] * xi.shape[2]))
    step_rooms, step_g = (flat_rooms, flat_g) if elementwise else (rooms, g)
    step_state = _view(state, 0, (state.shape[0], 1, row)) if elementwise else state
    current, spare, other = 0, 1, 2
    rooms[0] = x
    for k in range(table.size):
        hyper = table[k]
        begin = current
        size = np.int64(hyper.batch)
        if kind != INCREMENTS and batch.shape[1] != size:
            batch = np.empty((order.shape[0], size), np.int64)
        for s in range(substeps):
            at = current
            if elsewhere:
                at = 3
                where(step_rooms[current], step_state, hyper, step_rooms[at])
            point = rooms[at]
            if elsewhere or not watched:
                squared_norms(point, offsets, point_norm)
            for i in range(draws):
                target = g[i]
                if kind == MINIBATCH:
                    _next_batch(sampler, order, np.int64(hyper.epoch_step) * size if ordered else -1, samples, batch)
                    minibatch(point, batch, params, target)
                    continue
                drift = has_gradient and gradients[i]
                if drift:
                    gradient(point, params, target, value)
                elif has_noise or kind == DIFFERENCE or not has_fill:
                    for p in range(paths):
                        for j in range(d):
                            target[p, j] = 0.0
                if kind == DIFFERENCE:
                    for sign in (1.0, -1.0):
                        _next_batch(sampler, order, -1, samples, batch)
                        minibatch(point, batch, params, g[draws])
                        scale = sign * hyper.noise1 / np.sqrt(2.0)
                        for p in range(paths):
                            for j in range(d):
                                target[p, j] += scale * g[draws, p, j]
                    continue
                if not has_fill:
                    continue
                # Isotropic noise without a drift is drawn where the step reads it: one pass over memory less.
                direct = not has_noise and not drift and xi.shape[1] == paths
                room, flat_room = (target, flat_g[i]) if direct else (xi[0], flat_xi[0])
                fill(stream, flat_room)
                if fine > 1:
                    _sum_increments(fill, stream, flat_room, flat_xi[1], fine)
                if has_shape:
                    shape(point, room, memory, hyper, offsets)
                amplitude = (hyper.noise1 if i == 0 else hyper.noise2) / np.sqrt(hyper.batch)
                if has_noise:
                    noise(point, room, amplitude, params, offsets, target)
                else:
                    scale = amplitude * np.sqrt(hyper.noise_variance)
                    _make_tangential(flat_rooms[at, 0], flat_room[0], point_norm, scale, offsets)
                    for j in range(0 if direct else row):
                        flat_g[i, 0, j] = flat_room[0, j] + (flat_g[i, 0, j] if drift else 0.0)
            step(step_rooms[current], step_state, hyper, offsets, step_g, step_rooms[spare])
            if constraint != FREE:
                constrain(rooms[spare], constraint, hyper.radius, offsets)
            if watched:
                # Summed per substep: the displacement's balance with the norm tells equilibrium.
                moments_of(flat_rooms[current, 0], flat_rooms[spare, 0], offsets, moments)
                with_total(moments)
                for i in range(flat_norm.size):
                    flat_sums[1, i] += flat_moments[1, i]
                    flat_sums[2, i] += flat_norm[i]
                    flat_norm[i] = flat_moments[2, i]
            if s == 0:
                current, spare = spare, (begin if substeps == 1 else other)
            else:
                current, spare = spare, current
        if substeps > 1:
            other = begin
        if watched:
            if substeps > 1:
                moments_of(flat_rooms[begin, 0], flat_rooms[current, 0], offsets, moments)
                with_total(moments)
            add_squared_angles(flat_before, flat_moments, flat_sums[0])
        elif (k + 1) % 64 and k + 1 < table.size:
            continue
        else:
            squared_norms(rooms[current], offsets, norm)
            with_total(norm3)
        for p in range(paths):
            for c in range(columns):
                before[p, c] = norm[p, c]
                if not (norm[p, c] > 0.0 and norm[p, c] < np.inf) and fault[0, p] < 0:
                    fault[0, p] = np.int64(hyper.step)
                    fault[1, p] = 1 if norm[p, c] == np.inf else (3 if norm[p, c] == 0.0 else 2)
            if fault[0, p] >= 0:
                rooms[current, p] = np.nan
    x[:] = rooms[current]
