"""Reads what a setting's models said about the test rows, kept beside each cell's result."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from kd_lab.core.reading import reading
from kd_lab.core.results import RunResult
from kd_lab.evaluation.paired_tests import Predictions
from kd_lab.evaluation.predictions import FILE, TEST
from kd_lab.report.study.runs import Run
from kd_lab.report.study.settings import Setting

LARGEST = 2**32  # bytes of answers, unpacked: 268 million rows


def predictions_by_run(study: Path, setting: Setting) -> dict[Run, Predictions]:
    """Seeds -> answers; a cell that kept none is left out.

    Raises:
        UserError: a file is damaged.
    """
    found = {run: read_predictions(study, cell) for run, cell in setting.by_run.items()}
    return {run: said for run, said in found.items() if said is not None}


def read_predictions(study: Path, cell: RunResult) -> Predictions | None:
    """The answers of one cell; None where it kept none.

    Raises:
        UserError: the file is damaged.
    """
    path = study / cell.cell / FILE
    if not path.is_file():
        return None
    with reading(path, expected="a cell's predictions", cure="Type the line that made the cell again."):
        with zipfile.ZipFile(path) as archive:
            size = sum(archive.getinfo(f"{name}.npy").file_size for name in ("labels", "predictions"))
        if size > LARGEST:
            raise ValueError(f"{size} bytes of answers")
        with np.load(path, allow_pickle=False) as stored:
            labels, predictions = stored["labels"], stored["predictions"]
            texts = stored.get("texts")
        if labels.ndim != 1 or labels.shape != predictions.shape:
            raise ValueError(f"{labels.shape} labels for {predictions.shape} predictions")
        if {labels.dtype.kind, predictions.dtype.kind} - {"i", "u"}:
            raise ValueError(f"{labels.dtype} labels and {predictions.dtype} predictions, which number no class")
        if texts is not None and texts.shape != labels.shape:
            raise ValueError(f"{texts.shape} texts for {labels.shape} labels")
    known = cell.fingerprint
    return Predictions(labels, predictions, texts, known.get("tokens", cell.cell), known.get(TEST, ""))
