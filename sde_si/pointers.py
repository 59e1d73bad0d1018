"""First-class functions as plain addresses, and arrays as plain views.

Numba takes a function as an argument, too, but unpacking one costs 20-40 us at every call and holds the interpreter's
lock, a hundred times the cost of an address. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from sde_si.jit import dispatcher
from sde_si.methods.base import HYPER

f8, i8 = types.float64, types.int64
ROW, MATRIX, STACK = f8[::1], f8[:, ::1], f8[:, :, ::1]
HYPER_TYPE = numba.from_dtype(HYPER)
WORDS_TYPE = types.uint64[::1]
PARAMS_TYPE = types.UniTuple(MATRIX, 3)

# name -> signature of the first-class function; the order is that of the table of addresses.
SIGNATURES = {
    "step": types.void(MATRIX, STACK, HYPER_TYPE, i8[::1], STACK, MATRIX),
    "gradient": types.void(MATRIX, PARAMS_TYPE, MATRIX, ROW),
    "noise": types.void(MATRIX, MATRIX, f8, PARAMS_TYPE, i8[::1], MATRIX),
    "minibatch": types.void(MATRIX, i8[:, ::1], PARAMS_TYPE, MATRIX),
    "fill": types.void(WORDS_TYPE, MATRIX),
    "shape": types.void(MATRIX, MATRIX, MATRIX, HYPER_TYPE, i8[::1]),
    "where": types.void(MATRIX, STACK, HYPER_TYPE, MATRIX),
}


def from_address(signature: Any) -> Any:
    """An intrinsic that makes a first-class function of the C address of a compiled one."""
    function_type = types.FunctionType(signature)

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


def _view(_context: Any, array: Any, _start: Any, shape: Any) -> Any:
    """``view(array, start, shape)``: the contiguous memory of `array` from element `start` on, in another shape.

    Numba's own reshape takes as long as advancing 400 weights, and its slices count references, which is atomic and as
    dear. This one has no share in the memory and checks nothing: only for an argument of a compiled function, whose
    caller keeps the memory alive.
    """
    if array.layout != "C":
        msg = f"view: expected an array of contiguous rows, got {array}"
        raise TypingError(msg)
    result = types.Array(array.dtype, shape.count, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source = context.make_array(signature.args[0])(context, builder, args[0])
        out = context.make_array(result)(context, builder)
        lengths = cgutils.unpack_tuple(builder, args[2], shape.count)
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(array.dtype)))
        strides = [size]
        for length in reversed(lengths[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        data = builder.gep(source.data, [args[1]])
        populate_array(out, data, shape=lengths, strides=strides, itemsize=size, meminfo=None)
        return out._getvalue()

    return result(array, types.int64, shape), codegen


view: Any = intrinsic(_view)


def address(name: str, function: Any) -> int:
    """Compile `function` to the signature of `name` and return the address of its C entry point; 0 for None."""
    if function is None:
        return 0
    compiled = dispatcher(function).get_compile_result(SIGNATURES[name])
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_cfunc_wrapper_name)
