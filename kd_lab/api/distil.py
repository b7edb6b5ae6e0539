"""`kd_lab.distil(...)`: a small classifier of the caller's own texts, taught by a big one."""

from __future__ import annotations

from typing import Any

from kd_lab.api.result import Run
from kd_lab.api.run import run


def distil(
    *overrides: str,
    train: Any,
    validation: Any = None,
    test: Any = None,
    unlabelled: Any = None,
    text: str = "text",
    label: str = "label",
    pair: str | None = None,
    teacher: str = "minilm",
    student: str = "lstm_attention",
) -> Run:
    """Fits the teacher and then the student, which learns from both the labels and the teacher.

    Args:
        overrides: of anything else, such as "compression=[onnx_int8]" or "loss.temperature=4".
        train, validation, test, unlabelled, text, label, pair: as `kd_lab.run` takes them.
        teacher: one of `teacher=`; "none" fits on the labels alone.
        student: one of `model=`.

    Returns:
        the student: `.predict(texts)`, `.save(folder)`, `.metrics`, `.result`.

    Raises:
        UserError, FitError: as `kd_lab.run`.
    """
    loss = ["loss=cross_entropy"] if teacher == "none" else []
    given = {
        "validation": validation,
        "test": test,
        "unlabelled": unlabelled,
        "text": text,
        "label": label,
        "pair": pair,
    }
    return run(f"model={student}", f"teacher={teacher}", *loss, *overrides, train=train, **given)
