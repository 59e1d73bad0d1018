"""A state as tensors for torch.save, as arrays for the monitor."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def to_tensors(value: Any) -> Any:
    """Arrays anywhere in a nested value as tensors, which torch.load reads without pickle."""
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, dict):
        return {key: to_tensors(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_tensors(inner) for inner in value)
    return value


def to_arrays(value: Any) -> Any:
    """Undo `to_tensors`."""
    if isinstance(value, torch.Tensor):
        return value.cpu().numpy()
    if isinstance(value, dict):
        return {key: to_arrays(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(to_arrays(inner) for inner in value)
    return value
