"""Reads what a setting's models said about the test rows, kept beside each cell's result."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from kd_lab.errors import UserError
from kd_lab.predictions import FILE
from kd_lab.report.comparison import Answers
from kd_lab.report.runs import Run
from kd_lab.report.settings import Setting
from kd_lab.results import RunResult


def answers(study: Path, setting: Setting) -> dict[Run, Answers]:
    """Seeds -> answers; a cell that kept none is left out.

    Raises:
        UserError: a file is damaged.
    """
    found = {run: (study / cell.cell / FILE, cell) for run, cell in setting.by_run.items()}
    return {run: _read(path, cell) for run, (path, cell) in found.items() if path.is_file()}


def of(study: Path, cell: RunResult) -> Answers | None:
    """The answers of one cell; None where it kept none.

    Raises:
        UserError: the file is damaged.
    """
    path = study / cell.cell / FILE
    return _read(path, cell) if path.is_file() else None


def _read(path: Path, cell: RunResult) -> Answers:
    try:
        with np.load(path, allow_pickle=False) as stored:
            labels, predictions = stored["labels"], stored["predictions"]
            texts = stored.get("texts")
        if labels.ndim != 1 or labels.shape != predictions.shape:
            raise ValueError(f"{labels.shape} labels for {predictions.shape} predictions")
        if texts is not None and texts.shape != labels.shape:
            raise ValueError(f"{texts.shape} texts for {labels.shape} labels")
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            str(path),
            expected="a cell's predictions",
            got=f"{error}",
            cure="Remove the cell's folder and run it again.",
        ) from error
    return Answers(labels, predictions, texts, cell.fingerprint.get("tokens", cell.cell))
