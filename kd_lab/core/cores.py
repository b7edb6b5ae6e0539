"""Which of the machine's cores this process may use, by its affinity and by its container's quota."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

GROUPS_OF_THIS = Path("/proc/self/cgroup")  # cgroups(7)
GROUPS = Path("/sys/fs/cgroup")


def allowed() -> list[int] | None:
    """Numbers of the cores that this process may run on, ascending; None where the system does not tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None


def usable() -> int:
    """Threads that can compute at once: the cores allowed, or the whole ones of the quota where that is less."""
    cores, limit = allowed(), quota()
    number = len(cores) if cores else os.cpu_count() or 1
    return number if limit is None else max(1, min(number, int(limit)))


def quota() -> float | None:
    """Seconds of processor time per second that the container grants; None without a limit.

    Read from `cpu.max` (cgroup v2) or `cpu.cfs_quota_us` (v1) of this process's group and of those around it.
    """
    found = [limit for folder in _groups() if (limit := _limit(folder)) is not None]
    return min(found, default=None)


def throttled_s() -> float:
    """Seconds for which the quota has stopped this container's threads so far; 0 without one."""
    total = 0.0
    for folder in _groups():
        told = dict(line.split() for line in _read(folder / "cpu.stat").splitlines() if len(line.split()) == 2)
        total += int(told.get("throttled_usec", 0)) / 1e6 + int(told.get("throttled_time", 0)) / 1e9
    return total


def _groups() -> Iterator[Path]:
    """Folders of this process's control groups for processor time, innermost first.

    In a container without a namespace of its own the path is the host's, and only the outermost folder is there.
    """
    for line in _read(GROUPS_OF_THIS).splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            roots = [GROUPS, GROUPS / "unified"]
        elif "cpu" in controllers.split(","):
            roots = [GROUPS / controllers, GROUPS / "cpu"]
        else:
            continue
        root = next((one for one in roots if _is_root(one)), None)
        if root is not None:
            group = root / path.lstrip("/")
            yield from (one for one in (group, *group.parents) if one.is_dir() and one.is_relative_to(root))


def _is_root(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("cgroup.controllers", "cpu.max", "cpu.cfs_quota_us"))


def _limit(folder: Path) -> float | None:
    given = _read(folder / "cpu.max").split()
    if not given:
        given = [*_read(folder / "cpu.cfs_quota_us").split(), *_read(folder / "cpu.cfs_period_us").split()]
    if len(given) != 2 or given[0] == "max" or int(given[0]) <= 0:
        return None
    return int(given[0]) / int(given[1])


def _read(path: Path) -> str:
    """The file's text, or "" where there is none to read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
