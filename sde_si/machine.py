"""What this process may use: cores and memory, and a refusal before memory runs out."""

from __future__ import annotations

import os
from pathlib import Path

from sde_si.errors import require

SMALL = 16e6  # bytes that fit wherever this code does: asking the kernel takes longer than many a small run


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def available() -> float:
    """Bytes that this process may still take: free memory, or what a container's limit leaves."""
    found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found = 1024.0 * float(line.split()[1])
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            used = float(Path("/sys/fs/cgroup/memory.current").read_text())
            found = min(found, float(limit) - used)
    except (OSError, ValueError):
        pass
    return found


def check_memory(name: str, needed: float, what: str, advice: str) -> None:
    """Refuse what cannot fit.

    Raises
    ------
    BadInput
        If `needed` bytes are more than is available.
    """
    if needed <= SMALL:
        return
    free = available()
    require(
        needed <= free, name, f"what fits into {human(free)} of free memory", f"{what} needing {human(needed)}", advice
    )


def lasting(seconds: float) -> str:
    """A time for people: two digits, in seconds, minutes or hours."""
    size, unit = (1, "s") if seconds < 120 else (60, "min") if seconds < 7200 else (3600, "h")
    value = seconds / size
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def human(size: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"
