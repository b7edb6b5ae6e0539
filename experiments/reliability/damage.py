"""Each file of each kind of artifact: a bit flipped, cut short, emptied, removed; then the same line runs again.

    python -m experiments.reliability.damage

A damaged file is found, set aside, made anew with a warning, and the row is the same. Files of the cache are damaged
with the cell's folder gone, since a cell that has finished asks nothing of the cache.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from experiments.reliability import result, workload
from experiments.reliability.workload import CELL, NAME

LINE = [*CELL, "tracking=none"]


def flip(path: Path) -> None:
    """One bit in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path: Path) -> None:
    """All but the last byte."""
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    """Nothing is left in it."""
    path.write_bytes(b"")


WAYS: dict[str, Callable[[Path], None]] = {"bit": flip, "cut": cut, "emptied": empty, "removed": Path.unlink}


class Trial(NamedTuple):
    """One file, damaged in one way."""

    kind: str
    file: str
    how: str
    wrong: str  # empty where all is as it must be
    warned: bool


def files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(kind, path below the folder) of each file that a cell has left and that holds anything."""
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in below.parts)
        if path.is_file() and path.stat().st_size and not hidden and below.parts[0] in ("cache", "multirun"):
            if below.parts[0] == "cache" and len(below.parts) > 3:
                yield f"cache/{below.parts[1]}", below
            elif below.parts[1] == NAME and below.parts[2] != "report":
                yield "cell", below


def tried(whole: Path, kind: str, below: Path, how: str, rows: dict[str, Any], scratch: Path) -> Trial:
    """Damages one file and runs the line again."""
    folder = workload.copy(whole, scratch / "tried")
    try:
        if kind != "cell":
            shutil.rmtree(folder / "multirun" / NAME)
        WAYS[how](folder / below)
        ended = workload.command(folder, LINE)
        wrong = f"exit code {ended.code}: {ended.said[-400:]}" if ended.code else ""
        if not wrong and workload.rows(folder) != rows:
            wrong = "another row"
        if not wrong and (left := workload.half_written(folder)):
            wrong = f"left behind: {left[0]}"
        return Trial(kind, str(below), how, wrong, "warning: " in ended.said and "damaged" in ended.said)
    finally:
        shutil.rmtree(folder)


def main() -> None:
    """Tries them all and writes the result."""
    parser = result.parser("damage", __doc__)
    parser.add_argument("--every", type=int, default=1, help="only each so many-th trial")
    asked = parser.parse_args()
    workload.imports()
    began = time.time()
    with tempfile.TemporaryDirectory(prefix="kd_lab_damage_") as temporary:
        scratch = Path(temporary)
        whole = workload.make(scratch / "whole")
        ended = workload.command(whole, LINE)
        if ended.code:
            raise SystemExit(ended.said)
        rows = workload.rows(whole)
        trials = [(kind, below, how) for kind, below in files(whole) for how in WAYS][:: asked.every]
        found = []
        for kind, below, how in trials:
            trial = tried(whole, kind, below, how, rows, scratch)
            found.append(trial)
            if trial.wrong:
                print(trial, file=sys.stderr, flush=True)
    figures = {
        "files": len({trial.file for trial in found}),
        "tried": Counter(f"{trial.kind}, {trial.how}" for trial in found),
        "trials": len(found),
        "warned": sum(trial.warned for trial in found),
        "without_a_warning": sorted({f"{trial.kind}, {trial.how}" for trial in found if not trial.warned}),
    }
    result.finish("damage", figures, [trial._asdict() for trial in found if trial.wrong], asked.to, began)


if __name__ == "__main__":
    main()
