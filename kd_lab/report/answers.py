"""Reads what a setting's models said about the test rows, kept beside each cell's result."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from kd_lab.reading import reading
from kd_lab.report.comparison import Answers
from kd_lab.report.settings import Setting

FILE = "predictions.npz"
LARGEST = 2**32  # bytes of answers, unpacked: 268 million rows


def answers(study: Path, setting: Setting) -> dict[int, Answers]:
    """seed -> answers; a cell that kept none is left out.

    Raises:
        UserError: a file is damaged.
    """
    found = {seed: study / cell.cell / FILE for seed, cell in setting.by_seed.items()}
    return {seed: _read(path) for seed, path in found.items() if path.is_file()}


def _read(path: Path) -> Answers:
    with reading(path, expected="a cell's predictions", cure="Remove the cell's folder and run it again."):
        with zipfile.ZipFile(path) as archive:
            size = sum(archive.getinfo(f"{name}.npy").file_size for name in ("labels", "predictions"))
        if size > LARGEST:
            raise ValueError(f"{size} bytes of answers")
        with np.load(path, allow_pickle=False) as stored:
            labels, predictions = stored["labels"], stored["predictions"]
        if labels.ndim != 1 or labels.shape != predictions.shape:
            raise ValueError(f"{labels.shape} labels for {predictions.shape} predictions")
        if {labels.dtype.kind, predictions.dtype.kind} - {"i", "u"}:
            raise ValueError(f"{labels.dtype} labels and {predictions.dtype} predictions, which number no class")
    return Answers(labels, predictions)
