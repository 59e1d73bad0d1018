"""Hyperparameters by theory: transfer, explain, suggest, search, and the learning-rate range test.

``python -m sde_si.tune`` and ``sde-si tune`` are the same from the command line. Only the range test needs torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sde_si.tune.advice import suggest as suggest
    from sde_si.tune.change import Caution as Caution
    from sde_si.tune.course import explain as explain
    from sde_si.tune.explanation import Explanation as Explanation
    from sde_si.tune.found import Found as Found
    from sde_si.tune.hunt import search as search
    from sde_si.tune.ramp import lr_range as lr_range
    from sde_si.tune.ramp_command import lr_range_command as lr_range_command
    from sde_si.tune.ramp_reading import LrRange as LrRange
    from sde_si.tune.settings import Option as Option
    from sde_si.tune.settings import Transfer as Transfer
    from sde_si.tune.settings import transfer as transfer
    from sde_si.tune.suggestion import Suggestion as Suggestion

_PUBLIC = {
    "Caution": "sde_si.tune.change",
    "Explanation": "sde_si.tune.explanation",
    "Found": "sde_si.tune.found",
    "LrRange": "sde_si.tune.ramp_reading",
    "Option": "sde_si.tune.settings",
    "Suggestion": "sde_si.tune.suggestion",
    "Transfer": "sde_si.tune.settings",
    "explain": "sde_si.tune.course",
    "lr_range": "sde_si.tune.ramp",
    "lr_range_command": "sde_si.tune.ramp_command",
    "search": "sde_si.tune.hunt",
    "suggest": "sde_si.tune.advice",
    "transfer": "sde_si.tune.settings",
}
__all__ = [*sorted(_PUBLIC)]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        msg = f"module 'sde_si.tune' has no attribute {name!r}"
        raise AttributeError(msg)
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
