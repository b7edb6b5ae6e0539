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

from kd_lab import redact

_TORCH_CANNOT_WRITE = "PytorchStreamWriter failed writing file"  # torch's writer does not say why


class UserError(Exception):
    """A mistake the user can mend; the message says where, what was expected, what came, and the cure."""

    def __init__(self, where: str, *, expected: str, got: str, cure: str) -> None:
        self.where, self.expected, self.got, self.cure = where, expected, got, cure
        super().__init__(redact.text(" ".join(f"{where}: expected {expected}, got {got}. {cure}".split())))

    def __reduce__(self) -> tuple[Any, ...]:
        """How it travels to another process: its arguments have names."""
        return partial(UserError, expected=self.expected, got=self.got, cure=self.cure), (self.where,)


class FitError(Exception):
    """A fit that cannot go on, such as a loss that is no longer a number."""


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turns a full, read-only or forbidden disk under `folder` into one clear line."""
    try:
        yield
    except (UserError, FitError):
        raise
    except Exception as error:  # safetensors and torch have kinds of their own for a disk that is full
        reason = _of_the_disk(error)
        if reason is None:
            raise
        raise UserError(
            str(folder),
            expected="a folder with room to write",
            got=reason,
            cure="Free some space or choose another place, e.g. paths.cache=/other/disk.",
        ) from error


def _of_the_disk(error: Exception) -> str | None:
    """What is wrong with the disk, where that is why `error` was raised."""
    full = os.strerror(errno.ENOSPC)
    if full in str(error) or _TORCH_CANNOT_WRITE in str(error):
        return full
    if isinstance(error, OSError):
        blamed = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.EEXIST)
        return (error.strerror or str(error)) if error.errno in blamed else None
    return None
