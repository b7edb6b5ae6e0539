"""Reads what a setting's models said about the test rows, kept beside each cell's result."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from kd_lab.errors import UserError
from kd_lab.report.comparison import Answers
from kd_lab.report.settings import Setting

FILE = "predictions.npz"


def answers(study: Path, setting: Setting) -> dict[int, Answers]:
    """seed -> answers; a cell that kept none is left out.

    Raises:
        UserError: a file is damaged.
    """
    found = {seed: study / cell.cell / FILE for seed, cell in setting.by_seed.items()}
    return {seed: _read(path) for seed, path in found.items() if path.is_file()}


def _read(path: Path) -> Answers:
    try:
        with np.load(path, allow_pickle=False) as stored:
            labels, predictions = stored["labels"], stored["predictions"]
        if labels.ndim != 1 or labels.shape != predictions.shape:
            raise ValueError(f"{labels.shape} labels for {predictions.shape} predictions")
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            str(path),
            expected="a cell's predictions",
            got=f"{error}",
            cure="Remove the cell's folder and run it again.",
        ) from error
    return Answers(labels, predictions)
