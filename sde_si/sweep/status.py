"""What can become of a run."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a run ended; the values stand in the summary, in reasons and in JSON."""

    DONE = "done"
    REUSED = "reused"
    DIVERGED = "diverged"
    FAILED = "failed"
    TIMEOUT = "timeout"
    DISK = "disk"  # its record could not be written; it is tried again
    ELSEWHERE = "elsewhere"  # another sweep has it in hand


@dataclass(frozen=True)
class Ended:
    """A run's name, its status, why, and the seconds it took."""

    name: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
