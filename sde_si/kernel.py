"""The only time loop.

Losses, noises and methods reach the loop as addresses of compiled functions. Numba would also take the
functions themselves, but unpacking one costs 20-40 us at every call, a hundred times the address; and a
function handed in as an argument of unknown type would compile the loop anew for every loss. So the loop is
compiled once in its life, whatever the loss.

Every function gets a block of paths ``x[path, d]``, never one path. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sde_si.jit import OPTIONS, dispatcher
from sde_si.methods.base import HYPER

f8, i8 = types.float64, types.int64
_ROW, _MATRIX, _STACK = f8[::1], f8[:, ::1], f8[:, :, ::1]
_HYPER = numba.from_dtype(HYPER)
_RNG = numba.typeof(np.random.default_rng(0))
_PARAMS = types.UniTuple(_MATRIX, 3)

# name -> signature of the first-class function; the order is that of the address table.
SIGNATURES = {
    "step": types.void(_MATRIX, _STACK, _HYPER, i8[::1], _STACK, _MATRIX),
    "gradient": types.void(_MATRIX, _PARAMS, _MATRIX, _ROW),
    "noise": types.void(_MATRIX, _MATRIX, f8, _PARAMS, i8[::1], _MATRIX),
    "minibatch": types.void(_MATRIX, i8[:, ::1], _PARAMS, _MATRIX),
    "fill": types.void(_RNG, _MATRIX),
    "shape": types.void(_MATRIX, _MATRIX, _MATRIX, _HYPER, i8[::1]),
}
INCREMENTS, MINIBATCH, DIFFERENCE = 0, 1, 2
_SERIES_LIMIT = 2.5e-3


def _from_address(name: str) -> Any:
    """An intrinsic that makes a first-class function of the C address of a compiled one."""
    function_type = types.FunctionType(SIGNATURES[name])

    @intrinsic
    def as_function(_context: Any, address: Any) -> Any:
        def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
            struct = cgutils.create_struct_proxy(function_type)(context, builder)
            pointer = context.get_value_type(types.voidptr)
            null = context.get_constant_null(types.voidptr)
            struct.c_addr = builder.inttoptr(args[0], pointer)
            struct.jit_addr = null
            struct.py_addr = null
            return struct._getvalue()

        return function_type(types.int64), codegen

    return as_function


_as_step, _as_gradient, _as_noise, _as_minibatch, _as_fill, _as_shape = map(_from_address, SIGNATURES)


def address(name: str, function: Any) -> int:
    """Compile `function` to the signature of `name` and return the address of its C entry point; 0 for None."""
    if function is None:
        return 0
    compiled = dispatcher(function).get_compile_result(SIGNATURES[name])
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)


@numba.njit(**OPTIONS)
def _squared_norms(x, offsets, out):
    for p in range(x.shape[0]):
        for g in range(offsets.size - 1):
            total = 0.0
            for j in range(np.uint64(offsets[g]), np.uint64(offsets[g + 1])):
                total += x[p, j] * x[p, j]
            out[p, g] = total


@numba.njit(**OPTIONS)
def _moments(a, b, offsets, out):
    """<a, b - a>, |b - a|^2 and |b|^2 of each path and group; the difference keeps small angles exact."""
    for p in range(a.shape[0]):
        for g in range(offsets.size - 1):
            along = square = norm = 0.0
            for j in range(np.uint64(offsets[g]), np.uint64(offsets[g + 1])):
                delta = b[p, j] - a[p, j]
                along += a[p, j] * delta
                square += delta * delta
                norm += b[p, j] * b[p, j]
            out[0, p, g] = along
            out[1, p, g] = square
            out[2, p, g] = norm


@numba.njit(**OPTIONS)
def _with_total(moments):
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
def _add_squared_angles(norm, moments, out):
    """Add the squared angle of a step to `out`: series of atan(t)^2 to rounding for small t, else atan2."""
    largest = 0.0
    for p in range(norm.shape[0]):
        for g in range(norm.shape[1]):
            dot = norm[p, g] + moments[0, p, g]
            across = norm[p, g] * moments[1, p, g] - moments[0, p, g] * moments[0, p, g]
            t = across / (dot * dot)
            series = 44 / 105 - t * (563 / 1575 - t * (3254 / 10395))
            out[p, g] += t * (1 - t * (2 / 3 - t * (23 / 45 - t * series)))
            largest = max(largest, t if dot > 0 else 1.0)
    if largest > _SERIES_LIMIT:
        for p in range(norm.shape[0]):
            for g in range(norm.shape[1]):
                dot = norm[p, g] + moments[0, p, g]
                across = norm[p, g] * moments[1, p, g] - moments[0, p, g] * moments[0, p, g]
                t = across / (dot * dot)
                if t > _SERIES_LIMIT or dot <= 0:
                    series = 44 / 105 - t * (563 / 1575 - t * (3254 / 10395))
                    out[p, g] -= t * (1 - t * (2 / 3 - t * (23 / 45 - t * series)))
                    out[p, g] += np.arctan2(np.sqrt(max(across, 0.0)), dot) ** 2


@numba.njit(**OPTIONS)
def _next_batch(sampler, order, position, samples, batch):
    """The batch at `position` of the epoch's order; at a negative one, a fresh draw with replacement."""
    for p in range(batch.shape[0]):
        for i in range(batch.shape[1]):
            batch[p, i] = order[p, position + i] if position >= 0 else np.int64(sampler.random() * samples)


@numba.njit(**OPTIONS)
def _sum_increments(fill, rng, xi, fine):
    """Turn ``xi[0]`` into the sum of `fine` draws, scaled to variance 1: the increment of a `fine` times finer run."""
    scale = 1 / np.sqrt(fine)
    for i in range(1, fine + 1):
        if i < fine:
            fill(rng, xi[1])
        for p in range(xi.shape[1]):
            for j in range(xi.shape[2]):
                xi[0, p, j] = xi[0, p, j] + xi[1, p, j] if i < fine else xi[0, p, j] * scale


@numba.njit(
    types.void(
        _MATRIX, _STACK, _HYPER[::1], i8[::1], i8[::1], i8[::1], _RNG, _RNG, _PARAMS, i8[::1], _MATRIX, _STACK,
        i8[:, ::1], _STACK, _STACK, _STACK, i8[:, ::1],
    ),
    **OPTIONS,
)  # fmt: skip
def kernel(
    x, state, table, plan, gradients, functions, rng, sampler, params, offsets, memory, xi,
    order, scratch, g, sums, fault,
):  # fmt: skip
    """Advance one block of paths by the steps of `table`.

    Parameters
    ----------
    x : (path, d)
        Weights, advanced in place.
    state : (slot, path, d)
        The method's memory, advanced in place.
    table : (step,) records of `HYPER`
        One row an optimizer step.
    plan : (6,)
        Substeps; kind of draw; increments summed into one; whether `xi` is filled already; samples N; whether
        `order` holds the epoch's order.
    gradients : (draw,)
        Whether each draw contains the mean gradient.
    functions : (6,)
        Addresses in the order of `SIGNATURES`; 0 where there is none.
    rng, sampler : Generator
        For increments and for minibatches.
    params, offsets
        The loss's arrays, and where its scale-invariant groups begin and end.
    memory : (path, k)
        What the noise keeps from step to step.
    xi : (row, block, k)
        Standard increments: room for one draw, or all draws of one step if they are filled already.
    order : (block, n)
        The epoch's order of the samples, or anything with one row a path.
    scratch, g : (2, path, d), (draws + 1, path, d)
        Work space.
    sums : (3, path, group)
        Added to: squared angle per step, squared displacement per substep, squared norm before each substep.
    fault : (2, path)
        Step at which a path ceased to be finite (-1: never), and why (1 overflow, 2 NaN, 3 zero norm).
    """
    substeps, kind, fine, filled, samples, ordered = plan[0], plan[1], plan[2], plan[3], plan[4], plan[5]
    step, gradient, noise = _as_step(functions[0]), _as_gradient(functions[1]), _as_noise(functions[2])
    minibatch, fill, shape = _as_minibatch(functions[3]), _as_fill(functions[4]), _as_shape(functions[5])
    has_gradient, has_shape = functions[1] != 0, functions[5] != 0
    paths, d = x.shape
    draws, columns = gradients.size, sums.shape[2]
    value = np.empty(paths)
    norm = np.empty((paths, columns))
    moments = np.empty((3, paths, columns))
    batch = np.empty((order.shape[0], 0), np.int64)
    _squared_norms(x, offsets, norm)
    norm3 = norm.reshape((1, paths, columns))
    _with_total(norm3)
    before = norm.copy()
    current, spare, other = x, scratch[0], scratch[1]
    for k in range(table.size):
        hyper = table[k]
        begin = current
        size = np.int64(hyper.batch)
        if kind != INCREMENTS and batch.shape[1] != size:
            batch = np.empty((order.shape[0], size), np.int64)
        row = 0
        for s in range(substeps):
            for i in range(draws):
                target = g[i]
                amplitude = (hyper.noise1 if i == 0 else hyper.noise2) / np.sqrt(hyper.batch)
                if kind == MINIBATCH:
                    _next_batch(sampler, order, np.int64(hyper.epoch_step) * size if ordered else -1, samples, batch)
                    minibatch(current, batch, params, target)
                    continue
                if has_gradient and gradients[i]:
                    gradient(current, params, target, value)
                else:
                    for p in range(paths):
                        for j in range(d):
                            target[p, j] = 0.0
                if kind == DIFFERENCE:
                    extra = g[draws]
                    scale = hyper.noise1 / np.sqrt(2.0)
                    for sign in (scale, -scale):
                        _next_batch(sampler, order, -1, samples, batch)
                        minibatch(current, batch, params, extra)
                        for p in range(paths):
                            for j in range(d):
                                target[p, j] += sign * extra[p, j]
                    continue
                if not filled:
                    row = 0
                    fill(rng, xi[0])
                    if fine > 1:
                        _sum_increments(fill, rng, xi, fine)
                if has_shape:
                    shape(current, xi[row], memory, hyper, offsets)
                noise(current, xi[row], amplitude, params, offsets, target)
                row += 1
            step(current, state, hyper, offsets, g, spare)
            # Summed per substep: the displacement's balance with the norm tells equilibrium.
            _moments(current, spare, offsets, moments)
            _with_total(moments)
            for p in range(paths):
                for c in range(columns):
                    sums[1, p, c] += moments[1, p, c]
                    sums[2, p, c] += norm[p, c]
                    norm[p, c] = moments[2, p, c]
            if s == 0:
                current, spare = spare, (begin if substeps == 1 else other)
            else:
                current, spare = spare, current
        if substeps > 1:
            _moments(begin, current, offsets, moments)
            _with_total(moments)
            other = begin
        _add_squared_angles(before, moments, sums[0])
        for p in range(paths):
            for c in range(columns):
                before[p, c] = norm[p, c]
                if not (norm[p, c] > 0.0 and norm[p, c] < np.inf) and fault[0, p] < 0:
                    fault[0, p] = np.int64(hyper.step)
                    fault[1, p] = 1 if norm[p, c] == np.inf else (3 if norm[p, c] == 0.0 else 2)
            if fault[0, p] >= 0:
                for j in range(d):
                    current[p, j] = np.nan
    for p in range(paths):
        for j in range(d):
            x[p, j] = current[p, j]


@numba.njit(types.void(_MATRIX, _MATRIX, i8[::1], _MATRIX), **OPTIONS)
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
