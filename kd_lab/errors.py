"""The two ways in which a run can end badly.

`UserError` is the user's mistake: one line, exit code 2. `FitError` is a cell that failed by itself: it is
recorded in the cell's result, the others go on, exit code 1.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(Exception):
    """A mistake the user can mend; the message says where, what was expected, what came, and the cure."""

    def __init__(self, where: str, *, expected: str, got: str, cure: str) -> None:
        self.where, self.expected, self.got, self.cure = where, expected, got, cure
        super().__init__(" ".join(f"{where}: expected {expected}, got {got}. {cure}".split()))


class FitError(Exception):
    """A fit that cannot go on, such as a loss that is no longer a number."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full, read-only or forbidden disk under `folder` into one clear line."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            raise
        raise UserError(
            str(folder),
            expected="a folder with room to write",
            got=error.strerror or str(error),
            cure="Free some space or choose another place, e.g. paths.cache=/other/disk.",
        ) from error
