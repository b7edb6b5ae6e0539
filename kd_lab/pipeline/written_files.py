"""What a run wrote into its folder, noted there, so that a file that is damaged or was changed is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kd_lab.core.results import write_atomically
from kd_lab.pipeline.run_folder import FILES, SHOWN


def note(folder: Path) -> None:
    """Notes what the files of a cell hold, so that one that is damaged or changed is found."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    shown = [name for name in names if Path(name).parts[0] in SHOWN]
    write_atomically(folder / FILES, json.dumps({name: _state(folder / name) for name in shown}, indent=1))


def note_again(folder: Path, names: Sequence[str]) -> None:
    """Notes anew what some of a cell's files hold, which were written after the others; nothing where none are noted.

    Args:
        folder: the cell's.
        names: of files within it, such as `model/README.md`.
    """
    with suppress(OSError, ValueError, TypeError):
        noted = json.loads((folder / FILES).read_text(encoding="utf-8"))
        noted |= {name: _state(folder / name) for name in names if name in noted}
        write_atomically(folder / FILES, json.dumps(noted, indent=1))


def damaged(folder: Path) -> list[str]:
    """Names of those files of a cell that are there and do not hold what the run wrote.

    One of the same length and time of change is taken to be the same. A result of kd_lab 0.1 has no such note.
    """
    try:
        noted = json.loads((folder / FILES).read_text(encoding="utf-8"))
        return [name for name, state in noted.items() if not _same(folder / name, state)]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError, TypeError, LookupError):
        return [FILES]


def _state(path: Path) -> list[int | str]:
    status = path.stat()
    with path.open("rb") as file:
        return [status.st_size, status.st_mtime_ns, hashlib.file_digest(file, "sha256").hexdigest()]


def _same(path: Path, noted: Sequence[int | str]) -> bool:
    if not path.is_file():
        return False
    status = path.stat()
    return [status.st_size, status.st_mtime_ns] == list(noted[:2]) or _state(path)[::2] == list(noted[::2])
