"""The memory of this process: now, and at its highest."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """Resident memory at its highest since this program began.

    Linux's own mark is read where there is one: `ru_maxrss` begins with what the parent had at the fork.
    """
    if _STATUS.is_file():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    used: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2 ** (20 if sys.platform == "darwin" else 10)


def now_mib() -> float:
    """Resident memory now."""
    return float(psutil.Process().memory_info().rss) / 2**20
