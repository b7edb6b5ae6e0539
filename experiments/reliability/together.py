"""Several processes at once, and places that are shared, read-only, elsewhere or from tomorrow.

    python -m experiments.reliability.together

One teacher is fitted, results are whole and the same as one process makes, and what cannot be is said in a clear line.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from experiments.reliability import result, workload
from experiments.reliability.workload import SETTINGS, SWEEP, Ended

PROCESSES = 8
LINE = [*SETTINGS, "tracking=none"]
_KEEP_CAPABILITIES, _VERSION_3, _READ_AND_SEARCH = 8, 0x20080522, 2  # of Linux's prctl(2) and capabilities(7)
GROUP, USERS = 1500, (1501, 1502)  # for those who share a cache; they need no names


def at_once(folder: Path, lines: Sequence[Sequence[str]]) -> list[Ended]:
    """Runs the lines side by side, each in a fork of its own."""
    with ProcessPoolExecutor(len(lines), mp_context=get_context("fork")) as pool:
        return list(pool.map(partial(workload.command, folder), lines))


def fits(ended: Sequence[Ended], role: str) -> int:
    """How often a model of this role was fitted."""
    return sum(one.said.count(f"done fit {role}") for one in ended)


def judged(folder: Path, ended: Sequence[Ended], cells: int, rows: dict[str, Any]) -> dict[str, Any]:
    """What is counted of processes side by side, which must make so many cells, with the rows that one makes."""
    found = workload.rows(folder)
    told = {
        "exit_codes": [one.code for one in ended],
        "teacher_fits": fits(ended, "teacher"),
        "student_fits": fits(ended, "student"),
        "cells": len(found),
        "finished": sum(row[0] == "finished" for row in found.values()),
        "tracebacks": sum(one.traceback for one in ended),
        "half_written": workload.half_written(folder),
        "same_rows": found == rows,
    }
    counted = told["teacher_fits"], told["student_fits"], told["cells"]
    right = counted == (1, cells, cells) and told["same_rows"] and not told["half_written"]
    return {**told, "right": right and not any(told["exit_codes"])}


def alone(folder: Path, lines: Sequence[Sequence[str]]) -> dict[str, Any]:
    """The rows that one process makes."""
    workload.make(folder)
    for line in lines:
        workload.command(folder, line)
    return workload.rows(folder)


def side_by_side(scratch: Path) -> dict[str, Any]:
    """The same line, different cells of one sweep, and the same sweep, eight times at once, with MLflow."""
    cells = [[*SETTINGS, f"seed={seed}"] for seed in range(PROCESSES)]
    found = {}
    for name, lines, count in (
        ("same line", [SETTINGS] * PROCESSES, 1),
        ("different cells", cells, PROCESSES),
        ("same sweep", [SWEEP] * PROCESSES, 2),
    ):
        rows = alone(scratch / f"{name} alone", list(dict.fromkeys(map(tuple, lines))))
        folder = workload.make(scratch / name)
        found[name] = judged(folder, at_once(folder, lines), count, rows)
    return found


def _as_user(number: int) -> None:
    """Becomes one of the users, who may read what Python is made of, wherever that lies, and write what is theirs."""
    libc = ctypes.CDLL(None, use_errno=True)
    os.umask(0o002)
    os.setgroups([])
    os.setgid(GROUP)
    libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setuid(USERS[number])
    header, read = struct.pack("=Ii", _VERSION_3, 0), 1 << _READ_AND_SEARCH
    if libc.capset(header, struct.pack("=6I", read, read, 0, 0, 0, 0)):
        raise OSError(ctypes.get_errno(), "capset")


def places(scratch: Path) -> dict[str, Any]:
    """A cache that two users share, that is read-only, on another file system; a clock that was set back."""
    found: dict[str, Any] = {}
    rows = alone(scratch / "alone", [LINE])
    if os.getuid() == 0:
        found["two users share a cache"] = _shared(scratch / "shared", rows)
        found["read-only cache"] = _read_only(scratch / "read-only", rows)
    other = Path(tempfile.mkdtemp(prefix="kd_lab_", dir="/dev/shm"))
    try:
        folder = workload.make(scratch / "elsewhere")
        (folder / "cache").symlink_to(other)
        ended = workload.command(folder, LINE)
        apart = other.stat().st_dev != folder.stat().st_dev
        found["cache on another file system"] = _told([ended], apart and workload.rows(folder) == rows)
    finally:
        shutil.rmtree(other)
    folder = workload.copy(scratch / "alone", scratch / "tomorrow")
    later = time.time() + 2 * 86_400
    for path in folder.rglob("*"):
        os.utime(path, (later, later))
    again = workload.command(folder, LINE)
    cleared = workload.command(folder, ["cache", "gc", "--root", str(folder / "cache"), "--days", "1"])
    shutil.rmtree(folder / "multirun")
    anew = workload.command(folder, LINE)
    right = workload.rows(folder) == rows and not fits([again, anew], "student")
    found["clock set back by two days"] = _told([again, cleared, anew], right)
    return found


def _told(ended: Sequence[Ended], right: bool) -> dict[str, Any]:
    lines = [line for one in ended for line in one.lines]
    fine = right and not any(one.code or one.traceback for one in ended)
    return {"exit_codes": [one.code for one in ended], "lines": lines, "right": fine}


def _shared(scratch: Path, rows: dict[str, Any]) -> dict[str, Any]:
    """Both in a group of their own, with a cache whose files the group may change; each with a folder of results."""
    for path in (scratch, *scratch.parents):
        if path.is_dir():
            path.chmod(path.stat().st_mode | 0o755)
    scratch.mkdir()
    cache = scratch / "cache"
    cache.mkdir()
    os.chown(cache, 0, GROUP)
    cache.chmod(0o2775)
    ended, same = [], True
    for number in range(len(USERS)):
        folder = workload.make(scratch / f"user-{number}")
        os.chown(folder, USERS[number], GROUP)
        (folder / "cache").symlink_to(cache)
        ended.append(workload.command(folder, LINE, lambda n=number: _as_user(n)))  # type: ignore[misc]
        same = same and workload.rows(folder) == rows
    more = workload.command(scratch / "user-0", [*LINE, "seed=1"], lambda: _as_user(0))
    return {**_told([*ended, more], same and fits(ended, "teacher") == 1), "teacher_fits": fits(ended, "teacher")}


def _read_only(scratch: Path, rows: dict[str, Any]) -> dict[str, Any]:
    """Everything is there: used. Something is not: one clear line."""
    folder = workload.make(scratch)
    os.chown(folder, USERS[0], GROUP)
    workload.command(folder, LINE, lambda: _as_user(0))
    shutil.rmtree(folder / "multirun")
    for path in [folder / "cache", *(folder / "cache").rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    full = workload.command(folder, LINE, lambda: _as_user(0))
    same = workload.rows(folder) == rows
    missing = workload.command(folder, [*LINE, "seed=7"], lambda: _as_user(0))
    refused = [line for line in missing.lines if line.startswith("kd-lab: ")]
    told = missing.code == 2 and len(refused) == 1 and not missing.traceback
    return {**_told([full], same and told), "missing": {"exit_code": missing.code, "lines": missing.lines}}


def main() -> None:
    """Tries them all and writes the result."""
    asked = result.parser("together", __doc__).parse_args()
    workload.imports()
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="kd_lab_together_") as temporary:
        scratch = Path(temporary)
        scratch.chmod(0o755)
        found = {**side_by_side(scratch / "processes"), **places(scratch / "places")}
    wrong = [{name: told} for name, told in found.items() if not told["right"]]
    result.finish("together", found, wrong, asked.to, began)


if __name__ == "__main__":
    main()
