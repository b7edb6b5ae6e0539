"""How an artifact comes into its folder whole, and how a damaged one leaves it: by one renaming each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from kd_lab.core.cache_check import Damage, digest
from kd_lab.core.cache_folder import MANIFEST, contents, draft_of, lock_of
from kd_lab.core.cache_lock import exclusive_lock
from kd_lab.core.errors import UserError


def write(folder: Path, parts: Any, make: Callable[[Path], None], unfinished: Path, aside: Path | None = None) -> None:
    """Makes an artifact in a draft and renames that when it is whole. The caller holds its lock.

    Args:
        parts: plain data that says what it is made from, for its manifest.
        make: writes the files into the empty folder it is given.
        unfinished: what is no longer needed then.
        aside: what is there already is renamed to this first; None where nothing is.

    Raises:
        OSError: the disk is full or forbidden.
    """
    for dead in folder.parent.glob(f".{folder.name}.draft-*"):  # we hold the lock: whoever made it was killed
        shutil.rmtree(dead, ignore_errors=True)
    draft = draft_of(folder)
    draft.mkdir()  # with the rights that the user's umask and the folder above give
    try:
        make(draft)
        files = sorted(path for path in draft.rglob("*") if path.is_file())
        sums = {str(path.relative_to(draft)): [path.stat().st_size, digest(path)] for path in files}
        (draft / MANIFEST).write_text(json.dumps({"parts": parts, "files": sums}, indent=1), encoding="utf-8")
        if aside is not None:
            os.rename(folder, aside)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(unfinished, ignore_errors=True)


def clear_drafts(root: Path) -> None:
    """Deletes drafts of processes that were killed: nobody holds the lock of what they were to become."""
    for sort, path in contents(root):
        if sort == "left" and ".draft-" in path.name:
            with suppress(OSError, UserError), exclusive_lock(lock_of(path), wait=False) as free:
                if free:
                    shutil.rmtree(path, ignore_errors=True)


def set_aside(folder: Path, flaw: Damage) -> Path:
    """Renames a damaged artifact; who reads it now reads on. The caller holds its lock.

    Returns:
        where it is now, `.<fingerprint>.damaged-<number>`.

    Raises:
        UserError: it may not be renamed.
    """
    names = (folder.with_name(f".{folder.name}.damaged-{number}") for number in count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        os.rename(folder, aside)
    except OSError as error:
        raise UserError(
            str(flaw.where),
            expected=flaw.expected,
            got=f"{flaw.got}, and it cannot be set aside ({error.strerror or error})",
            cure="Have its owner run this, or choose another place, e.g. paths.cache=/other/disk.",
        ) from error
    with suppress(OSError):
        os.utime(aside)  # its age is counted from now
    return aside
