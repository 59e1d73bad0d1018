"""Theory laid over a real network's run: ``python -m validation.compare RECORD...``."""

from validation.compare.cli import main
from validation.compare.curvature import unstable_share
from validation.compare.identities import Check, balance, identities
from validation.compare.overlay import Overlay, overlays
from validation.compare.rotation import Rotation, laws, rotations
from validation.compare.window import window

__all__ = [
    "Check",
    "Overlay",
    "Rotation",
    "balance",
    "identities",
    "laws",
    "main",
    "overlays",
    "rotations",
    "unstable_share",
    "window",
]
