"""`kd_lab.distil(...)`: a small classifier of the caller's own texts, taught by a big one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_lab.api.result import Run
from kd_lab.api.run import run
from kd_lab.core.as_typed import hydra_text
from kd_lab.core.errors import UserError
from kd_lab.core.paths import root


def distil(
    *overrides: str,
    train: Any,
    validation: Any = None,
    test: Any = None,
    unlabelled: Any = None,
    text: str = "text",
    label: str | Sequence[str] = "label",
    pair: str | None = None,
    id: str | None = None,
    teacher: str | Path = "minilm",
    student: str | Path = "lstm_attention",
) -> Run:
    """Makes a student that learns from both the labels and the teacher, which is fitted first unless it is ready.

    Args:
        overrides: of anything else, such as "compression=[onnx_int8]" or "loss.temperature=4".
        train, validation, test, unlabelled, text, label, pair, id: as `kd_lab.run` takes them.
        teacher: one of `teacher=`; or the folder of a fitted classifier, or a file of answers, see `teacher=ready` and
            `teacher=answers`. "none" fits on the labels alone.
        student: one of `model=`, or the folder of a checkpoint.

    Returns:
        the student: `.predict(texts)`, `.save(folder)`, `.metrics`, `.result`.

    Raises:
        UserError, FitError: as `kd_lab.run`.
    """
    loss = ["loss=cross_entropy"] if teacher == "none" else []
    rows: dict[str, Any] = {"train": train, "validation": validation, "test": test, "unlabelled": unlabelled}
    columns: dict[str, Any] = {"text": text, "label": label, "pair": pair, "id": id}
    chosen = [*_chosen("model", student, "checkpoint"), *_chosen("teacher", teacher, "ready", "answers")]
    if id is not None and "teacher=answers" in chosen:
        chosen.append(f"teacher.id_column={hydra_text(id)}")
    return run(*chosen, *loss, *overrides, **rows, **columns)


def _chosen(group: str, given: str | Path, of_folder: str, of_file: str | None = None) -> list[str]:
    """What chooses an option of a group: its name, or the option that takes a folder or a file."""
    path = Path(given).expanduser()
    named = isinstance(given, str) and (root() / "conf" / group / f"{given}.yaml").is_file()
    kind = of_folder if path.is_dir() else of_file if path.is_file() else None
    if named or (kind is None and isinstance(given, str) and len(path.parts) == 1):
        return [f"{group}={given}"]
    if kind is None:
        expected, cure = f"a name of {group}=, or a folder or a file that is there", "Name one of them."
        raise UserError(f"kd_lab.distil, {group}", expected=expected, got=str(given)[:200], cure=cure)
    return [f"{group}={kind}", f"{group}.path={hydra_text(str(path.absolute()))}"]
