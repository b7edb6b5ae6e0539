"""Drafts: what is written beside its place, held meanwhile; who writes there next clears those of killed processes."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from uuid import uuid4

from kd_lab.core.cache_lock import is_still

_ENDING = re.compile(r"[a-z0-9_]{1,12}")  # of a name: random, or the process's number, as earlier versions had it


@contextmanager
def atomic_file(path: Path) -> Iterator[TextIO]:
    """A file in UTF-8, which is on the disk before it has its name: nobody ever reads half of it.

    Where the caller fails, nothing is left of it, and what had the name before stays.
    """
    start = f".{path.name}.draft-"
    for left in abandoned(path.parent, start):
        with suppress(OSError):  # one that may not be deleted stays
            left.unlink()
    handle, draft = _new(path.parent, start, lambda draft: os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(handle)
            os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def temporary_folder(folder: Path, start: str) -> Iterator[Path]:
    """A new empty folder within another; at the end it is gone with all that still lies in it.

    Args:
        start: of its name.
    """
    handle, draft = _new(folder, start, _new_folder)
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        os.close(handle)


def abandoned(folder: Path, start: str) -> Iterator[Path]:
    """Drafts whose writers are gone; each is held as long as the caller looks at it, so that nobody begins to write.

    Args:
        folder: where they lie.
        start: of their names.
    """
    for found in sorted(folder.glob(f"{glob.escape(start)}*")):
        if not _ENDING.fullmatch(found.name.removeprefix(start)):
            continue
        with suppress(OSError):  # it is held, gone or not to be read; or the file system has no locks
            handle = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield found
            finally:
                os.close(handle)


def _new(folder: Path, start: str, make: Callable[[Path], int]) -> tuple[int, Path]:
    """A new draft that `make` makes and opens, locked as long as it is open."""
    while True:
        draft = folder / f"{start}{uuid4().hex[:12]}"
        try:
            handle = make(draft)
        except FileNotFoundError:
            if not folder.is_dir():
                raise
            continue  # another took it for a dead process's before it was opened
        with suppress(OSError):  # a file system without locks: nobody takes it away there
            fcntl.flock(handle, fcntl.LOCK_EX)
        if is_still(handle, draft):  # else another did so before it was locked
            return handle, draft
        os.close(handle)


def _new_folder(draft: Path) -> int:
    draft.mkdir()
    return os.open(draft, os.O_RDONLY)
