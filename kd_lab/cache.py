"""Artifacts named by a hash of all that they are made from: built once, never half there, checked when read."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from filelock import FileLock

from kd_lab.errors import UserError, disk_errors

MANIFEST = "manifest.json"
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_checked: set[Path] = set()  # entries whose checksums this process has already compared
_digests: dict[Path, tuple[tuple[int, int], str]] = {}  # file -> (size, time of change), digest
_inputs: set[Path] = set()  # files hashed since `forget_inputs`
_roots: set[Path] = set()  # of this process's caches


def describe(value: Any) -> Any:
    """Plain data that says what `value` is, for hashing.

    An object is its class and its constructor's arguments, which it keeps under their own names; one whose
    identity is something else (a file's content, not its path) says so in a method `parts()`.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): describe(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [describe(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "parts"):
        return {"class": kind, **describe(value.parts())}
    arguments = inspect.signature(type(value)).parameters
    return {"class": kind, **{name: describe(getattr(value, name)) for name in arguments}}


def fingerprint(parts: Any) -> str:
    """16 hex digits of the SHA-256 of `describe(parts)` as sorted JSON."""
    text = json.dumps(describe(parts), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of an input file's bytes, 64 hex digits; read once a process, unless its size or time changes."""
    path = path.resolve()
    status = path.stat()
    state = (status.st_size, status.st_mtime_ns)
    known = _digests.get(path)
    if known is None or known[0] != state:
        known = _digests[path] = (state, _digest(path))
    _inputs.add(path)
    return known[1]


def inputs() -> dict[str, tuple[int, int]]:
    """Every input file hashed since `forget_inputs` -> (bytes, time of change in ns); no artifact is an input."""
    return {str(path): _digests[path][0] for path in sorted(_inputs) if not _roots.intersection(path.parents)}


def forget_inputs() -> None:
    """What was hashed so far is no input of what follows."""
    _inputs.clear()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def source_hash(*names: str) -> str:
    """Hash of the code under `kd_lab/<name>` (files or folders), blind to comments, docstrings and layout."""
    root = Path(__file__).parent
    digest = hashlib.sha256()
    for name in sorted(names):
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
            digest.update(_instructions(file.read_text(encoding="utf-8")))
    return digest.hexdigest()[:16]


@cache
def _instructions(code: str) -> bytes:
    """What the code of a file does, without what it says of it; parsed once, though several hashes need it."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree).encode()


@dataclass(frozen=True)
class Cache:
    """A folder of artifacts, `<root>/<kind>/<fingerprint>/`, shared by any number of processes."""

    root: Path

    def __post_init__(self) -> None:
        _roots.add(self.root.resolve())

    def folder(self, kind: str, parts: Mapping[str, Any]) -> Path:
        """Where the artifact made from `parts` lies, whether or not it is there yet."""
        return self.root / kind / fingerprint(parts)

    def has(self, kind: str, parts: Mapping[str, Any]) -> bool:
        """Whether the artifact is there, whole."""
        return (self.folder(kind, parts) / MANIFEST).is_file()

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
            UserError: the disk is full or forbidden, or a file of the entry is damaged.
        """
        folder = self.folder(kind, parts)
        with disk_errors(self.root):
            folder.parent.mkdir(parents=True, exist_ok=True)
            if not (folder / MANIFEST).is_file():
                with FileLock(folder.parent / f".{folder.name}.lock"):
                    if not (folder / MANIFEST).is_file():
                        self._make(folder, parts, make)
        check(folder)
        return folder

    def _make(self, folder: Path, parts: Mapping[str, Any], make: Callable[[Path], None]) -> None:
        for dead in folder.parent.glob(f".{folder.name}.draft-*"):  # we hold the lock: whoever made it was killed
            shutil.rmtree(dead, ignore_errors=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.draft-", dir=folder.parent))
        try:
            make(draft)
            files = sorted(path for path in draft.rglob("*") if path.is_file())
            manifest = {
                "parts": describe(parts),
                "files": {str(path.relative_to(draft)): [path.stat().st_size, _digest(path)] for path in files},
            }
            (draft / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            draft.chmod(0o755)
            shutil.rmtree(folder, ignore_errors=True)  # left by a deletion that was cut off: it has no manifest
            os.replace(draft, folder)
            _checked.add(folder)
            shutil.rmtree(self.unfinished(folder.parent.name, parts), ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def leftovers(self) -> Sequence[tuple[Path, int]]:
        """What killed processes left, as (folder, bytes): drafts, and checkpoints to go on from."""
        hidden = [path for path in sorted(self.root.glob("*/.*")) if path.is_dir()]
        return [(path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file())) for path in hidden]

    def entries(self) -> Sequence[tuple[str, Path, int]]:
        """Every whole artifact as (kind, folder, bytes), by kind and name."""
        found = []
        for manifest in sorted(self.root.glob(f"*/*/{MANIFEST}")):
            folder = manifest.parent
            if not folder.name.startswith("."):
                size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
                found.append((folder.parent.name, folder, size))
        return found


def check(folder: Path) -> None:
    """Compares every file of an entry with its manifest, once a process.

    Raises:
        UserError: a file is missing, cut short or changed.
    """
    if folder in _checked:
        return
    cure = f"Delete {folder} and run again; it will be made anew."
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(str(folder / MANIFEST), expected="a readable manifest", got=str(error), cure=cure) from error
    for name, (size, digest) in files.items():
        path = folder / name
        actual = path.stat().st_size if path.is_file() else None
        if actual != size or _digest(path) != digest:
            got = "no file" if actual is None else f"{actual} bytes" if actual != size else "other bytes"
            raise UserError(str(path), expected=f"the {size} bytes that were written", got=got, cure=cure)
    _checked.add(folder)
