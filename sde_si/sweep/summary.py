"""What became of a sweep's runs, counted."""

from __future__ import annotations

from dataclasses import dataclass, field

from sde_si.sweep.status import Ended, Status

SHOWN = 20  # reasons kept for the report; all are in the folder


@dataclass
class Summary:
    """What became of a sweep's runs.

    Attributes
    ----------
    total, done, reused, diverged, failed, timeout : int
        Runs: of the sweep, done now, found finished, and not done for the three reasons (now or, unless they are
        retried, at an earlier time).
    seconds : float
        Wall time.
    reasons : list of (name, status, reason)
        Of the first runs that were not done.
    stopped : str
        Why the sweep stopped before its end; empty if it did not.
    """

    total: int = 0
    done: int = 0
    reused: int = 0
    diverged: int = 0
    failed: int = 0
    timeout: int = 0
    seconds: float = 0.0
    reasons: list[tuple[str, str, str]] = field(default_factory=list)
    stopped: str = ""

    @property
    def missing(self) -> int:
        """Runs that were neither done nor given up."""
        return self.total - self.done - self.reused - self.diverged - self.failed - self.timeout

    def count(self, ended: Ended) -> None:
        """Add one."""
        setattr(self, ended.status, getattr(self, ended.status) + 1)
        if ended.status not in (Status.DONE, Status.REUSED) and len(self.reasons) < SHOWN:
            self.reasons.append((ended.name, str(ended.status), ended.reason))
