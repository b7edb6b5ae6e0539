"""Joules that the processor uses, by the counters that the kernel shows of it (RAPL; AMD's are shown alike)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
COUNTED, WRAP = "energy_uj", "max_energy_range_uj"


def counters(folder: Path | None = None) -> list[Path]:
    """The counters of whole processors, not of their parts; none on a machine that has or shows none.

    Args:
        folder: where the kernel shows them; None is `POWERCAP`. Many kernels show them to root alone.
    """
    found = []
    for domain in sorted((folder or POWERCAP).glob("intel-rapl:*")):
        try:
            (domain / COUNTED).read_text(encoding="ascii")
        except OSError:
            continue
        if domain.name.count(":") == 1:  # "intel-rapl:0:1" is a part of "intel-rapl:0"
            found.append(domain)
    return found


def joules(work: Callable[[int], object], seconds: float, sources: Sequence[Path]) -> float | None:
    """Joules that 1,000 calls of `work` take: all that the processors use meanwhile, what they use idle included.

    Args:
        work: called with 0, 1, 2, ...
        seconds: how long to call it.
        sources: from `counters`.

    Returns:
        J; None without sources.
    """
    if not sources:
        return None
    before, start, calls = [_read(source, COUNTED) for source in sources], time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        work(calls)
        calls += 1
    used = [_read(source, COUNTED) - first for source, first in zip(sources, before, strict=True)]
    whole = [one if one >= 0 else one + _read(source, WRAP) for one, source in zip(used, sources, strict=True)]
    return 1e-6 * sum(whole) / calls * 1000


def _read(source: Path, name: str) -> int:
    return int((source / name).read_text(encoding="ascii"))
