"""Where a curve through a few points is highest."""

from __future__ import annotations

import numpy as np


def vertex(x: np.ndarray, y: np.ndarray) -> float:
    """Where the parabola through the highest point and its neighbours is highest; the point itself at an end."""
    i = int(np.argmax(y))
    if i in (0, x.size - 1):
        return float(x[i])
    (a, b, c), (p, q, r) = x[i - 1 : i + 2], y[i - 1 : i + 2]
    curved = (b - a) * (q - r) - (b - c) * (q - p)
    shift = ((b - a) ** 2 * (q - r) - (b - c) ** 2 * (q - p)) / (2 * curved) if curved else 0.0
    return float(min(max(b - shift, a), c))
