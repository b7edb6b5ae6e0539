"""Whose a folder under multirun/ is, and who works in it: kd_lab writes into its own, one process at a time."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kd_lab.core import results
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.progress import say

LOCK = ".kd_lab.lock"  # held while somebody works in the folder, and left lying: it says that the folder is kd_lab's
DRAFT = ".new"  # what a run is about to put into its folder
FILES = ".files.json"  # name -> bytes, time of change and digest of what it has put there
MODEL, PREDICTIONS, TABLE, ERROR = "model", "predictions.npz", "table.md", "error.txt"
CONFUSION, CALIBRATION = "confusion.png", "calibration.png"
LABELS = "labels.png"  # in place of the confusion of classes, where a row may bear several labels
PROFILE, TRACE = "profile.txt", "profile.json"  # of evaluation.profile=true
SHOWN = {  # what a cell that has finished holds
    *(results.FILE, MODEL, PREDICTIONS, TABLE, CONFUSION, LABELS, CALIBRATION),
    *(PROFILE, TRACE),
}
CELL = SHOWN | {results.FAILED, LOCK, DRAFT, FILES, ERROR}
_STUDY = (results.SWEEP, "report", "multirun.yaml")  # what a sweep writes beside its cells, over what is there


@contextmanager
def cell_lock(folder: Path) -> Iterator[None]:
    """Keeps every other process out of a cell's folder; waits, and says so, where one is at work in it.

    Args:
        folder: the cell's own; made where it is not there.

    Raises:
        UserError: it holds what is not kd_lab's, or nothing can be written there.
    """
    check_cell(folder)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with file_lock(folder / LOCK, f"another process runs {folder.parent.name}/{folder.name}: waiting for it"):
        shutil.rmtree(folder / DRAFT, ignore_errors=True)  # of a process that was killed, as are these:
        for left in (left for name in SHOWN | {FILES, ERROR} for left in folder.glob(f".{name}.draft-*")):
            with suppress(OSError):
                left.unlink()
        yield


@contextmanager
def file_lock(path: Path, waiting: str | None = None) -> Iterator[None]:
    """Holds a lock file, which is left lying; the system lets go of it where the process dies.

    Args:
        path: of the lock.
        waiting: what is said while another process holds it; None says nothing.

    Raises:
        UserError: nothing can be written there.
    """
    lock = FileLock(path)
    with disk_errors(path.parent):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if waiting:
                say(waiting)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def check_cell(folder: Path) -> None:
    """Refuses a folder in which a run could write over, or be taken for, what somebody else keeps there.

    Raises:
        UserError: it is a file or a link, or it holds anything and no run of kd_lab has ever been there.
    """
    where, cure = f"hydra.run.dir={folder}", "Name a new folder, or leave hydra.run.dir out: name=NAME names the run."
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        got = "a symbolic link" if folder.is_symlink() else "a file"
        raise UserError(where, expected="a folder of the run's own", got=got, cure=cure)
    there = sorted(os.listdir(folder)) if folder.is_dir() else []
    if not there or LOCK in there:
        return
    foreign = [name for name in there if name not in CELL and name != ".hydra"]  # .hydra: of kd_lab 0.1 and Hydra
    if foreign or (there != [".hydra"] and results.peek(folder) is None):
        got = f"one with {(foreign or there)[0]} ({len(there)} files or folders)"
        raise UserError(where, expected="an empty folder or that of an earlier run", got=got, cure=cure)


def check_study(folder: Path) -> None:
    """Refuses a folder in which a sweep would write over what somebody else keeps there.

    Raises:
        UserError: no sweep of kd_lab was ever there, and it holds something of the same name.
    """
    if (folder / LOCK).exists() or results.axes(folder) or _hydras(folder / "multirun.yaml"):
        return
    taken = [name for name in _STUDY if (folder / name).exists()]
    if taken and not any(results.peek(path.parent) for path in folder.glob(f"*/{results.FILE}")):
        where, got = f"hydra.sweep.dir={folder}", f"one with {taken[0]}"
        cure = "Name a new folder, or leave it out: name=NAME names the sweep."
        raise UserError(where, expected="the folder of a sweep, or a new one", got=got, cure=cure)


def _hydras(path: Path) -> bool:
    """Whether Hydra has written this file for a sweep of kd_lab's."""
    try:
        return "kd_lab." in path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False


def missing_folders(folder: Path) -> list[Path]:
    """The folder and those above it that are not there yet, the innermost first: what a run may take away again."""
    return [path for path in (folder.absolute(), *folder.absolute().parents) if not path.exists()]


def give_back(folder: Path, made: Sequence[Path], lock: str = LOCK) -> None:
    """Takes away what a run that was refused has made; whatever else lies there stays.

    Args:
        folder: where it was to work and wrote a lock alone.
        made: folders that were not there before it, the innermost first.
        lock: what that is called.
    """
    with suppress(OSError):  # the disk fails, or somebody else keeps something there
        if os.listdir(folder) == [lock]:
            (folder / lock).unlink()
        for path in made:
            path.rmdir()
