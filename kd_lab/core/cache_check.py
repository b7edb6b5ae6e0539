"""An artifact held against its manifest: whole, damaged, or not to be read by this user."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kd_lab.core.cache_folder import MANIFEST
from kd_lab.core.errors import UserError

_BROKEN = (errno.EIO, errno.EISDIR, errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # of a file that is not what was written


class Damage(NamedTuple):
    """What is wrong with an artifact."""

    where: Path
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, got {self.got}"


def digest(path: Path) -> str:
    """SHA-256 of the file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def damage(folder: Path, name_of: Callable[[Any], str]) -> Damage | None:
    """What is wrong with an artifact, by its manifest and the checksum of every file; None where it is whole.

    Args:
        folder: the artifact's.
        name_of: gives the folder's name from what the manifest says that it is made from.

    Raises:
        UserError: a file of it may not be read.
        OSError: it cannot be read now for a reason that is not in the file, such as too many open files.
    """
    where, expected = folder / MANIFEST, "a whole manifest"
    try:
        manifest = json.loads(where.read_text(encoding="utf-8"))
        if name_of(manifest["parts"]) != folder.name:
            return Damage(where, expected, "another artifact's")
        files = [(folder / name, int(size), known) for name, (size, known) in manifest["files"].items()]
        for where, size, known in files:
            expected = f"the {size} bytes that were written"
            actual = where.stat().st_size
            if actual != size or digest(where) != known:
                return Damage(where, expected, f"{actual} bytes" if actual != size else "other bytes")
    except PermissionError as error:
        raise unreadable(where, error) from error
    except OSError as error:
        if error.errno not in _BROKEN:
            raise
        got = "no file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        return Damage(where, expected, got)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return Damage(where, expected, " ".join(str(error).split()))
    return None


def unreadable(where: Path, error: PermissionError) -> UserError:
    """What to say of a file that another user has closed; it is not damaged."""
    return UserError(
        str(where),
        expected="a file that you may read",
        got=error.strerror or str(error),
        cure="Ask its owner (chmod -R a+rX), or choose a cache of your own, e.g. paths.cache=/other/disk.",
    )
