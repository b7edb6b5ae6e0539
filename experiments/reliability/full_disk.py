"""A disk that is really full: a file system in memory of so many bytes, which gets more room before the next try.

    python -m experiments.reliability.full_disk             # as root, who may mount one

What `boundaries --fail` has fail by a library in front of libc fails here in the kernel, SQLite's pages and mapped
files too. The same line runs on ever larger disks, up to one that holds it all, and again once there is room.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from experiments.reliability import result, workload
from experiments.reliability.boundaries import SYNC, differs, mirrored
from experiments.reliability.workload import CELL

PAGE = 4096
AMPLE = 2**28  # bytes


def used(folder: Path) -> int:
    """Bytes that a folder takes, in whole pages."""
    return sum(-(-path.lstat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def tried(size: int, place: Path, rows: dict[str, Any], counts: dict[str, int]) -> dict[str, Any]:
    """Runs the line on a disk of this many bytes, then again on the same disk with room.

    Args:
        place: where it is mounted.
        rows, counts: see `boundaries.differs`.
    """
    place.mkdir()
    _mount(place, size)
    try:
        folder = workload.make(place / "job")
        ended = workload.command(folder, CELL)
        _mount(place, AMPLE, again=True)
        after = [workload.command(folder, line) for line in (CELL, SYNC)]
        wrong = ""
        if ended.traceback or ended.code not in (0, 1, 2) or (ended.code and not ended.lines):
            wrong = f"exit code {ended.code}: {ended.said[-600:]}"
        elif any(one.code for one in after):
            wrong = f"then {[one.code for one in after]}: {after[0].said[-600:]}"
        wrong = wrong or differs(folder, rows, counts, failed=True)
        line = next((line for line in ended.lines if "No space left" in line), "")
        return {"bytes": size, "exit_code": ended.code, "line": line, "wrong": wrong}
    finally:
        subprocess.run(["umount", str(place)], check=True)  # noqa: S603, S607 - of the system, and ours


def _mount(place: Path, size: int, *, again: bool = False) -> None:
    options = f"{'remount,' * again}size={size}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], check=True)  # noqa: S603, S607 - as above


def main() -> None:
    """Tries all sizes and writes the result."""
    parser = result.parser("full_disk", __doc__)
    parser.add_argument("--sizes", type=int, default=40)
    asked = parser.parse_args()
    if os.getuid():
        raise SystemExit("full_disk: only root may mount a file system")
    workload.imports()
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="kd_lab_full_disk_") as temporary:
        scratch = Path(temporary)
        whole = workload.make(scratch / "whole")
        for line in (CELL, SYNC):
            if (ended := workload.command(whole, line)).code:
                raise SystemExit(f"undisturbed, it ended with {ended.code}:\n{ended.said}")
        rows, counts, most = workload.rows(whole), mirrored(whole), used(whole)
        sizes = [max(4, most * part // asked.sizes // PAGE) * PAGE for part in range(1, asked.sizes + 1)]
        found = [tried(size, scratch / f"disk-{size}", rows, counts) for size in sizes]
    wrong = [one for one in found if one["wrong"]]
    figures = {
        "disks": len(found),
        "smallest_bytes": sizes[0],
        "largest_bytes": sizes[-1],
        "full": sum(one["exit_code"] != 0 for one in found),
        "told_in_a_line": sum(bool(one["exit_code"] and one["line"]) for one in found),
        "lines": sorted({one["line"].partition("expected")[2] for one in found if one["line"]}),
    }
    result.finish("full_disk", figures, wrong, asked.to, began)


if __name__ == "__main__":
    main()
