"""The time loop; `sde_si.wide` is its counterpart for paths too long for one thread.

Losses, noises and methods reach it as addresses of compiled functions (`sde_si.pointers`): it is compiled once in its
life. Every function gets a block of paths ``x[path, d]``, never one path. Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np
from numba import types

from sde_si.compiled import njit
from sde_si.jit import OPTIONS
from sde_si.pcg64 import next_word, uniform
from sde_si.pointers import HYPER_TYPE, MATRIX, PARAMS_TYPE, SIGNATURES, STACK, from_address, i8, view
from sde_si.rows import (
    FREE,
    add_squared_angles,
    constrain,
    make_tangential,
    moments_of,
    squared_norms,
    with_total,
)

INCREMENTS, MINIBATCH, DIFFERENCE = 0, 1, 2
_CODEGEN = "21b9a9256cb8b459"  # of the other files whose code is compiled into this one (tests/test_house.py)
_as_step, _as_gradient, _as_noise, _as_minibatch, _as_fill, _as_shape, _as_where = map(
    from_address, SIGNATURES.values()
)


@njit(**OPTIONS)
def _next_batch(words, order, position, samples, batch):
    """The batch at `position` of the epoch's order; at a negative one, a fresh draw with replacement."""
    high, low, plus_high, plus_low = words[0], words[1], words[2], words[3]
    for p in range(batch.shape[0]):
        for i in range(batch.shape[1]):
            if position >= 0:
                batch[p, i] = order[p, position + i]
                continue
            high, low, word = next_word(high, low, plus_high, plus_low)
            batch[p, i] = np.int64(uniform(word) * samples)
    words[0], words[1] = high, low


@njit(**OPTIONS)
def _sum_increments(fill, words, xi, more, fine):
    """Turn xi into the sum of `fine` draws, scaled to variance 1: the increment of a `fine` times finer run."""
    scale = 1 / np.sqrt(fine)
    for i in range(1, fine + 1):
        if i < fine:
            fill(words, more)
        for j in range(xi.shape[1]):
            xi[0, j] = xi[0, j] + more[0, j] if i < fine else xi[0, j] * scale


@njit(
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
    stream, sampler = view(words, 0, (4,)), view(words, 4, (4,))
    where, elsewhere = _as_where(functions[6]), functions[6] != 0
    has_gradient, has_noise = functions[1] != 0, functions[2] != 0
    has_fill, has_shape = functions[4] != 0, functions[5] != 0
    x, state, xi = view(x, 0, x.shape), view(state, 0, state.shape), view(xi, 0, xi.shape)
    rooms, g, sums = view(rooms, 0, rooms.shape), view(g, 0, g.shape), view(sums, 0, sums.shape)
    paths, d = x.shape
    draws, columns = gradients.size, sums.shape[2]
    value, norm = np.empty(paths), np.empty((paths, columns))
    point_norm = np.empty((paths, columns)) if elsewhere else norm
    moments = np.empty((3, paths, columns))
    batch = np.empty((order.shape[0], 0), np.int64)
    row = paths * d  # all paths of a block in one
    before = np.empty((paths, columns))
    flat_norm, flat_before = norm.reshape(norm.size), before.reshape(norm.size)
    flat_sums, flat_moments = view(sums, 0, (3, norm.size)), moments.reshape((3, norm.size))
    flat_rooms, flat_g = view(rooms, 0, (rooms.shape[0], 1, row)), view(g, 0, (g.shape[0], 1, row))
    flat_xi = view(xi, 0, (xi.shape[0], 1, xi.shape[1] * xi.shape[2]))
    step_rooms, step_g = (flat_rooms, flat_g) if elementwise else (rooms, g)
    step_state = view(state, 0, (state.shape[0], 1, row)) if elementwise else state
    step_offsets = np.array([0, row]) if elementwise else offsets
    current, spare, other = 0, 1, 2
    rooms[0], rooms[1] = x, x
    # By the function that finds it after a step: a run cut into pieces must go on to the bit.
    moments_of(flat_rooms[1, 0], flat_rooms[0, 0], offsets, moments)
    norm[:] = moments[2]
    norm3 = norm.reshape((1, paths, columns))
    with_total(norm3)
    before[:] = norm
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
                    make_tangential(flat_rooms[at, 0], flat_room[0], point_norm, scale, offsets)
                    for j in range(0 if direct else row):
                        flat_g[i, 0, j] = flat_room[0, j] + (flat_g[i, 0, j] if drift else 0.0)
            step(step_rooms[current], step_state, hyper, step_offsets, step_g, step_rooms[spare])
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
