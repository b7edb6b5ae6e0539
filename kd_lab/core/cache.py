"""Artifacts named by a hash of all that they are made from: built once, never half there, checked when read."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shlex
import shutil
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import finalize

from kd_lab.core.cache_check import Damage, damage, digest, unreadable
from kd_lab.core.cache_entry import clear_drafts, set_aside, write
from kd_lab.core.cache_folder import MANIFEST, contents, lock_of, mark, size
from kd_lab.core.cache_lock import exclusive_lock, is_still, shared_lock
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.progress import say

_MOST_HELD = 128  # artifacts in use by one `Cache`: those used before are let go, as files that are open have a limit
_checked: set[Path] = set()  # entries whose checksums this process has already compared
_digests: dict[Path, tuple[tuple[int, int], str]] = {}  # file -> (size, time of change), digest
_inputs: set[Path] = set()  # files hashed since `forget_inputs`
_roots: set[Path] = set()  # of this process's caches
_cleared: set[Path] = set()  # those in which it has looked for drafts of processes that were killed


def describe(value: Any) -> Any:
    """Plain data that says what `value` is, for hashing.

    An object is its class and its constructor's arguments, which it keeps under their own names; one whose
    identity is something else (a file's content, not its path) says so in a method `fingerprint_parts()`.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "fingerprint_parts"):
        return {"class": kind, **describe(value.fingerprint_parts())}
    arguments = inspect.signature(type(value)).parameters
    if missing := next((name for name in arguments if not hasattr(value, name)), None):
        cure = f"Keep it: self.{missing} = {missing}; or say in a method fingerprint_parts() what it is made of."
        expected = "an object that keeps its options, to be named by them"
        raise UserError(kind, expected=expected, got=f"one without {missing}", cure=cure)
    return {"class": kind, **{name: describe(getattr(value, name)) for name in arguments}}


def fingerprint(parts: Any) -> str:
    """16 hex digits of the SHA-256 of `describe(parts)` as sorted JSON."""
    text = json.dumps(describe(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of an input file's bytes, 64 hex digits; read once a process, unless its size or time changes.

    Raises:
        UserError: nobody may read it.
    """
    path = path.resolve()
    status = path.stat()
    state = (status.st_size, status.st_mtime_ns)
    known = _digests.get(path)
    if known is None or known[0] != state:
        try:
            known = _digests[path] = (state, digest(path))
        except PermissionError as error:
            cure = f"As its owner: chmod u+r {shlex.quote(str(path))}"
            raise UserError(str(path), expected="a file that you may read", got="no permission", cure=cure) from error
    _inputs.add(path)
    return known[1]


def inputs() -> dict[str, tuple[int, int]]:
    """Every input file hashed since `forget_inputs` -> (bytes, time of change in ns); no artifact is an input."""
    return {str(path): _digests[path][0] for path in sorted(_inputs) if not _roots.intersection(path.parents)}


def forget_inputs() -> None:
    """What was hashed so far is no input of what follows."""
    _inputs.clear()


@dataclass(frozen=True)
class Cache:
    """A folder of artifacts, `<root>/<kind>/<fingerprint>/`, shared by any number of processes and users.

    The folder is marked as a cache, see `cache_folder`. An artifact that was taken from it is in use, and `kd-lab
    cache gc` lets it be, until this object is gone; the time of that is its manifest's. A damaged artifact is renamed
    `.<fingerprint>.damaged-<number>` and made anew.

    Args:
        root: a folder of the cache's own; made when something is built.

    Attributes:
        warnings: a line for each artifact that was damaged.
    """

    root: Path
    warnings: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    _held: OrderedDict[Path, int] = field(default_factory=OrderedDict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _roots.add(self.root.resolve())
        finalize(self, _let_go, self._held)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it travels to another process, which has locks of its own."""
        return Cache, (self.root,)

    def folder(self, kind: str, parts: Mapping[str, Any]) -> Path:
        """Where the artifact made from `parts` lies, whether or not it is there yet."""
        return self.root / kind / fingerprint(parts)

    def has(self, kind: str, parts: Mapping[str, Any]) -> bool:
        """Whether the artifact is there; not whether a file of it is damaged."""
        return (self.folder(kind, parts) / MANIFEST).is_file()

    def may_write(self, kind: str) -> bool:
        """Whether artifacts of this kind may be added by this user."""
        there = next(path for path in (self.root / kind, self.root, *self.root.parents) if path.is_dir())
        return os.access(there, os.W_OK | os.X_OK)

    def unfinished(self, kind: str, parts: Mapping[str, Any]) -> Path:
        """Where `make` may keep what a run that was cut off can go on from; gone once the artifact is whole."""
        folder = self.folder(kind, parts)
        return folder.with_name(f".{folder.name}.unfinished")

    def build(self, kind: str, parts: Mapping[str, Any], make: Callable[[Path], None]) -> Path:
        """The artifact's folder; when it is not there, `make(draft)` fills a draft that is renamed when whole.

        Args:
            kind: what sort of thing it is; the folder's first level.
            parts: all that the artifact is made from; its name is their hash.
            make: writes the files into the empty folder it is given.

        Raises:
            UserError: the disk is full or forbidden, a file of the entry may not be read, or the cache's folder holds
                what is not kd_lab's and is not marked as a cache.
        """
        folder = self.folder(kind, parts)
        with disk_errors(self.root):
            mark(self.root)
            if self.root not in _cleared:
                _cleared.add(self.root)
                clear_drafts(self.root)
            folder.parent.mkdir(parents=True, exist_ok=True)
            while self._use(folder) is not None:
                with exclusive_lock(lock_of(folder)):
                    flaw = _flaw(folder)
                    if flaw is None:
                        continue
                    aside = None
                    if os.path.lexists(folder):
                        aside = self._set_aside(folder, flaw)
                        os.rename(aside, folder)  # it may be renamed; others read it until the new one is whole
                    write(folder, describe(parts), make, self.unfinished(kind, parts), aside)
                    _checked.add(folder)
        self._clear(folder, self.unfinished(kind, parts))
        return folder

    def _clear(self, folder: Path, unfinished: Path) -> None:
        """Takes away checkpoints of an artifact that is whole: its maker was killed just before it could."""
        if unfinished.is_dir():
            with suppress(OSError, UserError), exclusive_lock(lock_of(folder)):  # unless the cache may only be read
                shutil.rmtree(unfinished, ignore_errors=True)

    def find(self, kind: str, name: str) -> Path | None:
        """The folder of the artifact of this fingerprint, in use from now on; None where it is not there, or damaged.

        Raises:
            UserError: a file of it may not be read.
        """
        folder = self.root / kind / name
        return folder if self._use(folder) is None else None

    def set_aside(self, kind: str, parts: Mapping[str, Any], flaw: Damage) -> None:
        """Renames an artifact that was taken from the cache and proved to be wrong, so that it is built anew.

        Raises:
            UserError: it may not be renamed.
        """
        folder = self.folder(kind, parts)
        with disk_errors(self.root), exclusive_lock(lock_of(folder)):
            if folder in self._held and is_still(self._held[folder], folder / MANIFEST):  # nobody else has done so
                self._set_aside(folder, flaw)

    def _use(self, folder: Path) -> Damage | None:
        """Takes an artifact that is whole, or says what is wrong with it."""
        manifest = folder / MANIFEST
        try:
            descriptor = shared_lock(manifest)
        except PermissionError as error:
            raise unreadable(manifest, error) from error
        if descriptor is None:
            return Damage(manifest, "a whole artifact", "no file")
        try:
            flaw = _flaw(folder)
        except BaseException:
            os.close(descriptor)
            raise
        if flaw is not None:
            os.close(descriptor)
            return flaw
        before = self._held.pop(folder, None)
        self._held[folder] = descriptor
        if before is not None:
            os.close(before)
        elif len(self._held) > _MOST_HELD:
            os.close(self._held.popitem(last=False)[1])
        with suppress(OSError):  # a cache that may only be read
            os.utime(manifest)
        return None

    def _set_aside(self, folder: Path, flaw: Damage) -> Path:
        aside = set_aside(folder, flaw)
        text = f"{flaw}; it is made anew, and the damaged one set aside as {aside.name}"
        _checked.discard(folder)
        self.warnings.append(text)
        say(f"warning: {text}")
        return aside

    def leftovers(self) -> Sequence[tuple[Path, int]]:
        """What is no artifact, as (folder, bytes): drafts and checkpoints of killed processes, and what was damaged."""
        left = (path for sort, path in contents(self.root) if sort == "left")
        return [(path, size(path)) for path in left]

    def entries(self) -> Sequence[tuple[str, Path, int]]:
        """Every artifact as (kind, folder, bytes), by kind and name."""
        found = (path for sort, path in contents(self.root) if sort == "entry" and (path / MANIFEST).is_file())
        return [(path.parent.name, path, size(path)) for path in found]


def _flaw(folder: Path) -> Damage | None:
    """What is wrong with an artifact; looked for once a process."""
    flaw = None if folder in _checked and (folder / MANIFEST).is_file() else damage(folder, fingerprint)
    if flaw is None:
        _checked.add(folder)
    return flaw


def _let_go(held: OrderedDict[Path, int]) -> None:
    """What is no longer in use."""
    while held:
        os.close(held.popitem()[1])
