"""`result.json`, one a cell: the truth that tables, figures and MLflow are made from."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from kd_lab.errors import UserError, disk_errors

SCHEMA = 1
FILE = "result.json"


@dataclass
class RunResult:
    """What happened in one cell. Rates are fractions, times and sizes carry their unit in the name."""

    name: str  # the sweep or study, the folder under multirun/
    cell: str  # the setting within it, the folder under that
    status: str  # "finished", or "failed" with `error`
    config: dict[str, Any]  # the resolved configuration
    git_commit: str | None = None  # of the code that ran, with "-dirty" where it was changed
    versions: dict[str, str] = field(default_factory=dict)  # package -> version
    machine: dict[str, Any] = field(default_factory=dict)  # processor, features, threads, device
    fingerprint: dict[str, str] = field(default_factory=dict)  # tokens, fit, teacher, outputs, compressed, result
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)  # validation, test -> accuracy, f1_macro, ...
    fidelity: dict[str, float] = field(default_factory=dict)  # agreement, kl (nats), with the teacher on test
    teacher: dict[str, Any] = field(default_factory=dict)  # model, fingerprint, metrics, cost; empty without one
    cost: dict[str, Any] = field(default_factory=dict)  # parameters, size_mib, latency_ms, ...
    history: list[dict[str, float]] = field(default_factory=list)  # one entry an epoch: each loss term, each metric
    durations_s: dict[str, float] = field(default_factory=dict)  # step -> seconds
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    schema: int = SCHEMA

    def write(self, folder: Path) -> Path:
        """Writes `folder/result.json` whole or not at all."""
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            draft = folder / f".{FILE}.{os.getpid()}"
            try:
                draft.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n", encoding="utf-8")
                os.replace(draft, folder / FILE)
            finally:
                draft.unlink(missing_ok=True)
        return folder / FILE


def read(folder: Path) -> RunResult:
    """The result of the cell in `folder`.

    Raises:
        UserError: there is none, it is damaged, or it has another schema.
    """
    path = folder / FILE
    cure = "Run the cell again."
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(str(path), expected="a cell's result", got=f"{error}", cure=cure) from error
    if not isinstance(stored, dict) or stored.get("schema") != SCHEMA:
        got = stored.get("schema") if isinstance(stored, dict) else type(stored).__name__
        raise UserError(str(path), expected=f"result schema {SCHEMA}", got=repr(got), cure=cure)
    known = {entry.name for entry in fields(RunResult)}
    try:
        return RunResult(**{key: value for key, value in stored.items() if key in known})
    except TypeError as error:
        raise UserError(str(path), expected="a cell's result", got=f"{error}", cure=cure) from error


def collect(study: Path) -> Sequence[RunResult]:
    """The results of all cells under `study`, by cell."""
    return [read(path.parent) for path in sorted(study.glob(f"*/{FILE}"))]
