"""Locks on artifacts: one process makes an artifact, and none frees what another uses.

They are `flock`'s: let go of by the system when a process ends, however it ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from kd_lab.core.cache_folder import NOT_ALLOWED
from kd_lab.core.errors import UserError

_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextmanager
def exclusive_lock(path: Path, *, wait: bool = True, create: bool = True) -> Iterator[bool]:
    """Locks a file against every other process and thread.

    Args:
        path: of the lock file.
        wait: until it is free.
        create: the file, where it is not there.

    Yields:
        whether the lock is ours; False only without `wait`.

    Raises:
        UserError: the file system has no locks.
        OSError: the file cannot be opened.
    """
    descriptor = None
    while descriptor is None:
        opened = _open(path, create)
        try:
            if not _lock(opened, path, wait):
                break
            if is_still(opened, path):  # else whoever held it has deleted it: another is the lock now
                descriptor, opened = opened, -1
        finally:
            if opened >= 0:
                os.close(opened)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def shared_lock(path: Path) -> int | None:
    """Locks a file that is there together with whoever reads it too, so that `exclusive_lock` is refused.

    Returns:
        what to close when it is no longer used, or None where no file of this name is there.

    Raises:
        PermissionError: it may not be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with suppress(OSError):  # a file system without locks: nobody can lock it alone either
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    if is_still(descriptor, path):
        return descriptor
    os.close(descriptor)
    return None


def is_still(descriptor: int, path: Path) -> bool:
    """Whether the opened file is the one that has this name now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _open(path: Path, create: bool) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if create else 0), 0o666)
    except OSError as error:
        if error.errno not in NOT_ALLOWED or not path.exists():
            raise
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW)  # another user's: a file that can be read can be locked


def _lock(descriptor: int, path: Path, wait: bool) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if not wait and error.errno in _HELD:
            return False
        raise UserError(
            str(path),
            expected="a file system on which files can be locked",
            got=error.strerror or str(error),
            cure="Choose a place on another disk, e.g. paths.cache=/other/disk.",
        ) from error
    return True
