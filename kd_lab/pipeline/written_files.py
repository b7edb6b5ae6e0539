"""What a run wrote into its folder, noted there, so that a file that is damaged or was changed is found."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from kd_lab.core.results import write_atomically
from kd_lab.pipeline.run_folder import FILES, SHOWN


def note(folder: Path) -> None:
    """Notes what the files of a cell hold, so that one that is damaged or changed is found."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    shown = [name for name in names if Path(name).parts[0] in SHOWN]
    write_atomically(folder / FILES, json.dumps({name: _state(folder / name) for name in shown}, indent=1))


@contextmanager
def noted_anew(folder: Path, names: Sequence[str]) -> Iterator[None]:
    """Some of a cell's files are written within it, after the others; then what they hold is noted.

    Meanwhile nothing is noted of them: what a kill leaves is not taken for a change of somebody else's.

    Args:
        folder: the cell's; where nothing is noted, nothing will be.
        names: of files within it, such as `model/README.md`.
    """
    try:
        noted = json.loads((folder / FILES).read_text(encoding="utf-8"))
        others = {name: state for name, state in noted.items() if name not in names}
    except (OSError, ValueError, AttributeError):  # a result of kd_lab 0.1 has no such note
        yield
        return
    write_atomically(folder / FILES, json.dumps(others, indent=1))
    yield
    there = {name: _state(folder / name) for name in names if (folder / name).is_file()}
    write_atomically(folder / FILES, json.dumps(dict(sorted({**others, **there}.items())), indent=1))


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
