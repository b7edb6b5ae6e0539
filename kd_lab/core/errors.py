"""The two ways in which a run can end badly.

`UserError` is the user's mistake: one line, exit code 2. `FitError` is a cell that failed by itself: it is
recorded in the cell's result, the others go on, exit code 1.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from kd_lab.core import redact

_DISK = {  # what a disk, or the system that keeps it, says when it cannot
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG),
    *(errno.EIO, errno.ESTALE, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG),
    *(errno.EMFILE, errno.ENFILE, errno.ENOLCK),
}
_LONGEST = 1500  # letters of what was got; a file of one line may be all of it
_TORCH_CANNOT_WRITE = "PytorchStreamWriter failed writing file"  # torch's writer does not say why


class UserError(Exception):
    """A mistake the user can mend; the message says where, what was expected, what came, and the cure."""

    def __init__(self, where: str, *, expected: str, got: str, cure: str) -> None:
        self.where, self.expected, self.got, self.cure = where, expected, got, cure
        got = got if len(got) <= _LONGEST else f"{got[:_LONGEST]}..."
        super().__init__(redact.text(_printable(f"{where}: expected {expected}, got {got}. {cure}")))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it travels to another process: its arguments have names."""
        return partial(UserError, expected=self.expected, got=self.got, cure=self.cure), (self.where,)


def _printable(text: str) -> str:
    """The text in one line, without what a terminal would act on or cannot show: a file's content may be part of it."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


class FitError(Exception):
    """A cell that failed by itself, such as one whose measuring process died."""


class Diverged(FitError):  # noqa: N818 - what a loss did, as one says of it
    """A fit whose loss is no longer a number: it would end there again, so nothing of it is kept."""


class GivenUp(Exception):  # noqa: N818 - not an error: who watches the fit has seen enough
    """A fit that is ended on purpose: it would be again, so nothing of it is kept."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full, read-only or forbidden disk under `folder` into one clear line."""
    try:
        yield
    except (UserError, FitError):
        raise
    except Exception as error:  # safetensors and torch have kinds of their own for a disk that is full
        told = disk_error(error, str(folder))
        if told is None:
            raise
        raise told from error


def disk_error(error: Exception, where: str) -> UserError | None:
    """The line that tells of a disk that failed; None where that is not why `error` was raised.

    Args:
        where: what is named, such as a folder.
    """
    reason = _of_the_disk(error)
    if reason is None:
        return None
    many = isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)
    place = "Free some space or choose another place, e.g. paths.cache=/other/disk paths.multirun=/other/disk/runs."
    cure = "Let more files be open at once: ulimit -n 4096." if many else place
    return UserError(where, expected="a folder with room to write", got=reason, cure=cure)


def _of_the_disk(error: Exception) -> str | None:
    """What is wrong with the disk, where that is why `error` was raised."""
    full = os.strerror(errno.ENOSPC)
    if full in str(error) or _TORCH_CANNOT_WRITE in str(error):
        return full
    if isinstance(error, OSError):
        return (error.strerror or str(error)) if error.errno in _DISK else None
    return None
