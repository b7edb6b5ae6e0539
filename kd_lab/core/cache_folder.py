"""Which folder is a cache of ours, and what in it is ours: told by a mark and by names, never guessed."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from uuid import uuid4

from kd_lab.core.errors import UserError

TAG, SIGNATURE = "CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55"  # https://bford.info/cachedir/
OURS = "# This is a cache of kd_lab. `kd-lab cache gc` frees what has long not been used."
KINDS = frozenset(
    {
        *("compressed", "corpus", "fit", "frame", "masked_lm", "outputs", "teacher_vectors", "timing", "tokens"),
        *("vectors_file", "vocabulary", "word2vec"),
    }
)
MANIFEST = "manifest.json"
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)
_ENTRY = re.compile(r"[0-9a-f]{16}")
_LEFT = re.compile(r"\.[0-9a-f]{16}\.(unfinished|draft-.+|damaged-[0-9]+)")
_LOCK = re.compile(r"\.[0-9a-f]{16}\.lock")
_TAG_DRAFT = re.compile(rf"\.{re.escape(TAG)}\.draft-[0-9a-f]+")
_unmarkable: set[Path] = set()  # caches with nothing foreign in them, where this user may not write


def lock_of(path: Path) -> Path:
    """The file that whoever makes, mends or frees this artifact locks; `path` is the artifact or what is left of it."""
    return path.with_name(f".{_hex(path)}.lock")


def draft_of(path: Path) -> Path:
    """A new name for a draft of the artifact, or for what is about to be deleted of it."""
    return path.with_name(f".{_hex(path)}.draft-{uuid4().hex[:12]}")


def _hex(path: Path) -> str:
    return path.name.removeprefix(".").partition(".")[0]


def contents(root: Path) -> Iterator[tuple[str, Path]]:
    """All in a cache that is its own, as (sort, path), by kind and name; nothing is reached through a symbolic link.

    Returns:
        sort: "entry" for `<kind>/<16 hex digits>/`; "left" for folders of drafts, checkpoints to go on from, and
            what was damaged; "lock" for lock files.
    """
    for kind in sorted(KINDS):
        folder = root / kind
        if folder.is_dir() and not folder.is_symlink():
            for found in sorted(os.scandir(folder), key=lambda one: one.name):
                if sort := _sort(found):
                    yield sort, Path(found.path)


def _sort(found: os.DirEntry[str]) -> str | None:
    if found.is_dir(follow_symlinks=False):
        return "entry" if _ENTRY.fullmatch(found.name) else "left" if _LEFT.fullmatch(found.name) else None
    return "lock" if found.is_file(follow_symlinks=False) and _LOCK.fullmatch(found.name) else None


def is_marked(root: Path) -> bool:
    """Whether the folder has the tag that kd_lab gives its caches."""
    try:
        lines = (root / TAG).read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return False
    return lines[:1] == [SIGNATURE] and OURS in lines


def foreign(root: Path) -> str | None:
    """The first thing in a folder that is no part of a cache, relative to it; None where all of it may be ours."""
    for found in sorted(os.scandir(root), key=lambda one: one.name):
        if found.name in KINDS and found.is_dir(follow_symlinks=False):
            for inner in os.scandir(found.path):
                if not _sort(inner):
                    return f"{found.name}/{inner.name}"
        elif not (found.is_file(follow_symlinks=False) and _of_the_tag(found)):
            return found.name
    return None


def _of_the_tag(found: os.DirEntry[str]) -> bool:
    """A tag that is about to be written, or one that a crash of the machine has emptied."""
    return bool(_TAG_DRAFT.fullmatch(found.name)) or (found.name == TAG and found.stat().st_size == 0)


def refuse_foreign(root: Path, option: str = "paths.cache") -> None:
    """Lets pass what is marked, and what holds nothing but what earlier versions, which had no mark, have put there.

    Args:
        root: a folder that is there.
        option: by which the user names another folder.

    Raises:
        UserError: the folder holds other things and has no mark.
    """
    found = None if is_marked(root) else foreign(root)
    if found is not None and not is_marked(root):  # another process may have marked it and built since
        raise UserError(
            str(root),
            expected=f"a cache of kd_lab (it has a {TAG} that says so) or an empty folder",
            got=f"a folder with {found} in it",
            cure=f"Name one of its own, e.g. {option}={root / 'kd_lab'}; or, if all else in it is kd_lab's, move "
            f"{found} elsewhere.",
        )


def mark(root: Path) -> None:
    """Makes the folder where it is not there and marks it as a cache; one that may only be read is left unmarked.

    Raises:
        UserError: it holds what is not ours.
        OSError: it cannot be made or written, and there is nothing in it to read.
    """
    if root in _unmarkable or is_marked(root):
        return
    root.mkdir(parents=True, exist_ok=True)
    refuse_foreign(root)
    draft = root / f".{TAG}.draft-{uuid4().hex}"
    try:
        draft.write_text(f"{SIGNATURE}\n{OURS}\n# See https://bford.info/cachedir/\n", encoding="utf-8")
        os.replace(draft, root / TAG)
        for left in root.glob(f".{TAG}.draft-*"):  # of a process that was killed, or of one that will see the tag
            left.unlink(missing_ok=True)
    except FileNotFoundError:
        if not is_marked(root):  # by another process, which took our draft away
            raise
    except OSError as error:
        with suppress(OSError):
            draft.unlink()
        if error.errno not in NOT_ALLOWED or not any(True for _ in contents(root)):
            raise
        _unmarkable.add(root)


def discard(path: Path) -> None:
    """Deletes a folder of the cache, renamed first: cut off at any moment, it leaves nothing that seems whole.

    Raises:
        OSError: it cannot be renamed or deleted.
    """
    doomed = draft_of(path)
    os.rename(path, doomed)
    shutil.rmtree(doomed)


def inside(path: Path) -> Iterator[Path]:
    """The folder and all that lies in it at any depth; symbolic links are not followed."""
    yield path
    for folder, folders, files in os.walk(path):
        yield from (Path(folder, name) for name in [*folders, *files])


def size(path: Path) -> int:
    """Bytes of the files in a folder; those that another process deletes meanwhile may be left out."""
    found = 0
    for one in inside(path):
        with suppress(FileNotFoundError):
            status = one.lstat()
            found += status.st_size if S_ISREG(status.st_mode) else 0
    return found
