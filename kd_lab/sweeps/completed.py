"""Marks a cell as done for all that can be seen without composing it, so that a rerun passes a thousand in seconds."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from kd_lab.core import trust
from kd_lab.core.cache import fingerprint, inputs
from kd_lab.core.machine import features
from kd_lab.core.paths import root
from kd_lab.core.progress import say
from kd_lab.core.redact import redacted
from kd_lab.core.results import write_atomically
from kd_lab.data import hub_revision

FOLDER = ".stamps"  # in the study's folder: one file for each set of overrides
_ENVIRONMENT = ("KD_LAB_DATA", "KD_LAB_CACHE", "KD_LAB_WEIGHTS", "HOME", "CUDA_VISIBLE_DEVICES")  # conf/ asks for these
_own_conf: list[Path] = []  # folders of a user's own in which Hydra looks for options


@cache
def environment_hash() -> str:
    """Hash of all that the meaning of an override depends on, but for the data: code, conf/, packages, machine.

    Code and conf/ are kd_lab's and those of the user's own that the line trusts or names.
    """
    digest = hashlib.sha256()
    places = [root() / "conf", root() / "experiments", Path(__file__).parents[1], *trust.folders()]
    files = [path for place in places for path in _sources(place)]
    files += [path for place in _own_conf for path in _sources(place, (".yaml",))]
    for path in sorted(set(files)):
        with suppress(FileNotFoundError):  # of a user's own, removed meanwhile
            digest.update(f"{path}\0".encode() + path.read_bytes())
    installed = sorted({path.name for place in sys.path if place for path in Path(place).glob("*.dist-info")})
    surroundings = [os.environ.get(name) for name in _ENVIRONMENT]
    devices = [Path(device).exists() for device in ("/dev/nvidia0", "/dev/dxg")]
    digest.update(json.dumps([installed, surroundings, features(), devices, str(Path.cwd())]).encode())
    return digest.hexdigest()


def look_in(sources: Iterable[Mapping[str, str]]) -> None:
    """Takes note of the folders in which Hydra looks for options: those of a user's own may change.

    Args:
        sources: Hydra's `runtime.config_sources`.
    """
    found = [Path(one["path"]).absolute() for one in sources if one["schema"] == "file"]
    found = [place for place in found if place not in (root(), root() / "conf")]  # of which all that counts is hashed
    if found != _own_conf:
        _own_conf[:] = found
        environment_hash.cache_clear()


def forget() -> None:
    """What was seen so far of the world and of files may be otherwise now, as in a notebook that runs for days."""
    environment_hash.cache_clear()
    _state.cache_clear()


def write(study: Path, overrides: Sequence[str], cell: str, result: str) -> None:
    """Marks the cell of these overrides as finished.

    Args:
        study: the folder under multirun/.
        overrides: the cell's own, as Hydra gives them.
        cell: the folder's name within the study.
        result: the fingerprint of its result.
    """
    made_from = {"inputs": inputs(), "hub": hub_revision.asked()}
    _write(_path(study, overrides), {"world": environment_hash(), "cell": cell, "result": result, **made_from})


def adopt(study: Path, overrides: Sequence[str]) -> None:
    """Takes over the mark of a worker whose machine or environment may be another: it has just run here for us."""
    path = _path(study, overrides)
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return
    if found.get("world") != environment_hash():
        _write(path, {**found, "world": environment_hash()})


def read(study: Path, overrides: Sequence[str]) -> tuple[str, str] | None:
    """(cell, fingerprint of its result) where the overrides still mean what they meant then, else None."""
    try:
        found = json.loads(_path(study, overrides).read_text())
        same = found["world"] == environment_hash() and all(
            _unchanged(path, state) for path, state in found["inputs"].items()
        )
        same = same and all(hub_revision.unchanged(asked, told) for asked, told in found["hub"].items())
        return (str(found["cell"]), str(found["result"])) if same else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none, or none to be trusted: the cell is composed and looked up as if there were none


def _write(path: Path, mark: Mapping[str, Any]) -> None:
    """Whole or not at all; where it cannot be written, the next line looks the cell up by its config."""
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, json.dumps(mark))
    except OSError as error:
        say(f"warning: {path.parent}: {error.strerror}: a rerun will take longer to see what has finished")


def _path(study: Path, overrides: Sequence[str]) -> Path:
    return study / FOLDER / f"{fingerprint(redacted(list(overrides)))}.json"


def _sources(place: Path, endings: Sequence[str] = (".py", ".yaml")) -> list[Path]:
    return [path for path in place.rglob("*") if path.suffix in endings and path.is_file()]


@cache
def _state(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _unchanged(path: str, state: Sequence[int]) -> bool:
    return tuple(state) == _state(path)
