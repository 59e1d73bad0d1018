"""NumPy's PCG64 and its normals, inlined: the same numbers as ``np.random.Generator``, without a call for each.

Numba's own `Generator` calls C for every word and keeps the state in memory; so it takes 1.7 times as long for a
normal. State and increment are four unsigned words, `sde_si.streams.words`. Importing this module imports numba.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_MULTIPLIER = 47026247687942121848144207491837523525  # O'Neill 2014, as in numpy/random/src/pcg64
_WORD, _STATE = ir.IntType(64), ir.IntType(128)

# The layers of NumPy's ziggurat (Marsaglia & Tsang 2000, Doornik 2005; numpy/random/src/distributions): ratio of a
# number to its 52 bits, limit of the bits inside, height of the density. All are exact in float64.
_TABLES = np.load(Path(__file__).with_name("ziggurat.npy"))
RATIOS, LIMITS, HEIGHTS = _TABLES[0], _TABLES[1].astype(np.uint64), _TABLES[2]
TAIL, INVERSE_TAIL = 3.6541528853610087963519472518, 0.27366123732975827203338247596


def _next_word(_context: Any, _high: Any, _low: Any, _plus_high: Any, _plus_low: Any) -> Any:
    """``next_word(high, low, plus_high, plus_low)`` -> next (high, low) of the state, and 64 random bits (XSL-RR)."""
    word = types.uint64

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def join(high: Any, low: Any) -> Any:
            return builder.or_(builder.shl(builder.zext(high, _STATE), _STATE(64)), builder.zext(low, _STATE))

        state = builder.add(builder.mul(join(*args[:2]), _STATE(_MULTIPLIER)), join(*args[2:]))
        low = builder.trunc(state, _WORD)
        high = builder.trunc(builder.lshr(state, _STATE(64)), _WORD)
        mixed, turn = builder.xor(high, low), builder.lshr(high, _WORD(58))
        back = builder.and_(builder.sub(_WORD(64), turn), _WORD(63))
        out = builder.or_(builder.lshr(mixed, turn), builder.shl(mixed, back))
        return context.make_tuple(builder, signature.return_type, [high, low, out])

    return types.UniTuple(word, 3)(word, word, word, word), codegen


next_word: Any = intrinsic(_next_word)


def _uniform(_context: Any, _word: Any) -> Any:
    """``uniform(word)`` -> number in [0, 1) from the upper 53 bits."""

    def codegen(_inner: Any, builder: Any, _signature: Any, args: Any) -> Any:
        bits = builder.lshr(args[0], _WORD(11))
        return builder.fmul(builder.sitofp(bits, ir.DoubleType()), ir.DoubleType()(2.0**-53))

    return types.float64(types.uint64), codegen


uniform: Any = intrinsic(_uniform)
