"""Frees what a cache holds and nobody has used for long."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from kd_lab.core.cache_folder import MANIFEST, contents, discard, inside, lock_of, size
from kd_lab.core.cache_lock import exclusive_lock
from kd_lab.core.errors import UserError

IN_USE = "in use"


class Old(NamedTuple):
    """Something of the cache that was last used too long ago."""

    path: Path
    bytes: int
    idle_s: float
    kept: str = ""  # why it is there still

    @property
    def in_use(self) -> bool:
        """Whether that is because another process uses it."""
        return self.kept == IN_USE


def collect(root: Path, older_than_s: float, dry_run: bool = False) -> Iterator[Old]:
    """Deletes what was last used at least so many seconds ago, but for what another process uses now.

    An artifact is used whenever a run takes it from the cache. What was used in the future, as a clock that was set
    back since has it, counts as used now. Nothing is touched that is not the cache's own, see `cache_folder.contents`.

    Args:
        root: a cache.
        older_than_s: 0 for all of it.
        dry_run: deletes nothing.

    Yields:
        what was old, each after it was deleted, or with the reason why it was not.
    """
    for sort, path in list(contents(root)):
        if sort == "lock":
            continue
        bytes_, idle_s = size(path), 0.0
        try:
            idle_s = _idle_s(path, dry_run)
            if idle_s >= max(older_than_s, 0):
                yield Old(path, bytes_, idle_s, "" if dry_run else _free(path))
        except FileNotFoundError:  # another process was quicker
            continue
        except (OSError, UserError) as error:
            yield Old(path, bytes_, idle_s, str(error))
    if not dry_run:
        _free_locks(root)


def _idle_s(path: Path, dry_run: bool) -> float:
    """Seconds since it was last used; less than 0 where that was in the future, which is now from now on."""
    manifest = path / MANIFEST
    stamps = [manifest] if manifest.is_file() else list(inside(path))
    newest = max(stamp.lstat().st_mtime for stamp in stamps)
    idle_s = time.time() - newest
    if idle_s < 0 and not dry_run:
        for stamp in stamps:
            with suppress(OSError):
                os.utime(stamp, follow_symlinks=False)
    return idle_s


def _free(path: Path) -> str:
    """Deletes it, or says why not."""
    manifest = path / MANIFEST
    with exclusive_lock(lock_of(path), wait=False) as locked:
        if not locked:
            return IN_USE
        if not manifest.is_file():
            discard(path)
            return ""
        with exclusive_lock(manifest, wait=False, create=False) as unread:
            if not unread:
                return IN_USE
            discard(path)
    return ""


def _free_locks(root: Path) -> None:
    """Deletes the lock files of what is no longer there."""
    found = list(contents(root))
    needed = {lock_of(path) for sort, path in found if sort != "lock"}
    for sort, path in found:
        if sort == "lock" and path not in needed:
            with suppress(OSError, UserError), exclusive_lock(path, wait=False, create=False) as locked:
                if locked:
                    path.unlink()
