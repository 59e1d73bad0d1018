"""NumPy's PCG64 and its normals, inlined: the same numbers as ``np.random.Generator``, without a call for each.

Numba's own `Generator` calls C for every word and keeps the state in memory; so it takes 1.7 times as long for a
normal. State and increment are four unsigned words, `sde_si.streams.words`. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.random import _constants

_MULTIPLIER = 47026247687942121848144207491837523525  # O'Neill 2014, as in numpy/random/src/pcg64
_WORD, _STATE = ir.IntType(64), ir.IntType(128)

# NumPy's ziggurat (Marsaglia & Tsang 2000, Doornik 2005).
RATIOS, LIMITS, HEIGHTS = (np.array(getattr(_constants, name)) for name in ("wi_double", "ki_double", "fi_double"))
TAIL, INVERSE_TAIL = float(_constants.ziggurat_nor_r), float(_constants.ziggurat_nor_inv_r)


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
