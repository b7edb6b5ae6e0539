"""`result.json`, one a cell: the truth that tables, figures and MLflow are made from; `sweep.json`, one a sweep."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from kd_lab.core import result_shape
from kd_lab.core.drafts import atomic_file
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.moved import with_current_names
from kd_lab.core.progress import say
from kd_lab.core.reading import read_json, reading
from kd_lab.core.redact import redacted

SCHEMA = 1
FILE = "result.json"
FAILED = "failed.json"  # beside an earlier run's result, which is kept: the record of a later one that came to none
CELL_S = "cell"  # entry of `durations_s`: of the whole cell, steps within others and the rest between them included
RUNNING = "KD_LAB_SWEEP"  # the environment variable that names a sweep to its cells while it runs
SWEEP = "sweep.json"  # in the study's folder, where one was swept: option -> values


@dataclass
class RunResult:
    """What happened in one cell. Rates are fractions, times and sizes carry their unit in the name."""

    name: str  # the sweep or study, the folder under multirun/
    cell: str  # the setting within it, the folder under that
    status: str  # "finished", "failed" with `error`, or "pruned": given up by a search, `error` says when
    config: dict[str, Any]  # the resolved configuration
    overrides: list[str] = field(default_factory=list)  # what made the cell, as on the command line
    git_commit: str | None = None  # of the code that ran, with "-dirty" where it was changed
    versions: dict[str, str] = field(default_factory=dict)  # package -> version
    machine: dict[str, Any] = field(default_factory=dict)  # processor, features, threads, device
    fingerprint: dict[str, str] = field(default_factory=dict)  # tokens, fit, teacher, compressed, result, test
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)  # validation, test -> accuracy, f1_macro, ...
    fidelity: dict[str, float] = field(default_factory=dict)  # agreement, kl (nats), with the teacher on test
    teacher: dict[str, Any] = field(default_factory=dict)  # model, fingerprint, metrics, cost; empty without one
    cost: dict[str, Any] = field(default_factory=dict)  # parameters, size_mib, latency_ms, ...
    compression: dict[str, Any] = field(default_factory=dict)  # step -> what it has to say of what it did
    history: list[dict[str, float]] = field(default_factory=list)  # one entry an epoch: each loss term, each metric
    durations_s: dict[str, float] = field(default_factory=dict)  # step -> seconds; `CELL_S` -> of all
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    schema: int = SCHEMA

    def public(self) -> RunResult:
        """The same without credentials: what may be written and sent on."""
        return RunResult(**redacted(asdict(self)))

    def write(self, folder: Path, file: str = FILE) -> Path:
        """Writes `folder/result.json`, or another file, whole or not at all."""
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / file, json.dumps(asdict(self.public()), indent=1, allow_nan=False) + "\n")
        return folder / file


def write_atomically(path: Path, text: str) -> None:
    """Writes a file whole or not at all, see `drafts.atomic_file`."""
    with atomic_file(path) as file:
        file.write(text)


def attempt(folder: Path) -> RunResult:
    """What the cell's newest run came to: its result, or its failure where an earlier run's result is kept.

    Raises:
        UserError: as `read`.
    """
    return read(folder, FAILED if (folder / FAILED).is_file() else FILE)


def read(folder: Path, file: str = FILE) -> RunResult:
    """The result of the cell in `folder`, of its last run that came to one.

    Raises:
        UserError: there is none, it is damaged, or it has another schema.
    """
    path = folder / file
    cure = "Run the cell again."
    stored = read_json(path, expected="a cell's result", cure=cure)
    if stored.get("schema") != SCHEMA:
        raise UserError(str(path), expected=f"result schema {SCHEMA}", got=repr(stored.get("schema"))[:300], cure=cure)
    known = {entry.name for entry in fields(RunResult)}
    with reading(path, expected="a cell's result", cure=cure):
        found = RunResult(**{key: value for key, value in stored.items() if key in known})
        found.config = with_current_names(found.config)
        result_shape.check(vars(found))
    return found


def collect(study: Path) -> Sequence[RunResult]:
    """The results of all cells under `study`, by cell."""
    return [read(path.parent) for path in sorted(study.glob(f"*/{FILE}"))]


def peek(folder: Path) -> RunResult | None:
    """The result of the cell in `folder`, or None where there is none that can be read."""
    try:
        return read(folder)
    except UserError:
        return None


def swept(study: Path) -> bool:
    """Whether the study is a sweep, not single runs under one name."""
    return (study / SWEEP).is_file()


def axes(study: Path) -> dict[str, list[str]]:
    """Option -> the values given to it in the study's sweeps; empty where there was none."""
    try:
        found: dict[str, list[str]] = json.loads((study / SWEEP).read_text(encoding="utf-8"))["axes"]
        whole = all(isinstance(value, str) for values in found.values() for value in [*values])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return found if whole and all(isinstance(values, list) for values in found.values()) else {}


def swept_label(study: Path, overrides: Sequence[str]) -> str:
    """Those of a cell's overrides that its sweep varies; empty where it is no part of a sweep."""
    varied = {key for key, values in axes(study).items() if len(values) > 1}
    return ",".join(one for one in overrides if one.partition("=")[0] in varied)


def note_axes(study: Path, command: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    """Adds the options of cells that are about to be launched to what earlier batches and lines have noted.

    Args:
        study: the folder under multirun/.
        command: the line that launches them.
        cells: the overrides of each.
    """
    with disk_errors(study):
        study.mkdir(parents=True, exist_ok=True)
        with FileLock(study / f".{SWEEP}.lock"):  # two lines may add to it at once
            known = _noted(study)
            _add(known, cells)
            write_atomically(
                study / SWEEP,
                json.dumps({"schema": SCHEMA, "command": redacted(list(command)), "axes": known}, indent=1),
            )


def _noted(study: Path) -> dict[str, list[str]]:
    """What earlier lines have noted; where that file is damaged it is set aside, and the cells say what they were."""
    file, known = study / SWEEP, axes(study)
    if known or not file.is_file():
        return known
    aside = file.with_name(f"{SWEEP}.damaged")
    os.replace(file, aside)
    say(f"warning: {file} was damaged: it lies beside as {aside.name}, and is made anew from the cells")
    cells = filter(None, map(peek, sorted(path.parent for path in study.glob(f"*/{FILE}"))))
    _add(known, [cell.overrides for cell in cells])
    return known


def _add(known: dict[str, list[str]], cells: Sequence[Sequence[str]]) -> None:
    """Adds the values of cells' overrides to those that are known, without credentials."""
    for override in (redacted(one) for overrides in cells for one in overrides):
        key, _, value = override.partition("=")
        if value not in known.setdefault(key, []):
            known[key].append(value)
