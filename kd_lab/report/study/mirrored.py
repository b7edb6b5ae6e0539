"""Brings MLflow level with a study, whose results are the truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_lab.core import results
from kd_lab.core.instantiate import build
from kd_lab.core.results import RunResult
from kd_lab.report.study.study_report import StudyReport


def passes_saved(cells: Sequence[RunResult]) -> str:
    """How much work of the teacher the cache saved, in a line; a pass goes over one split once."""
    taught = [cell.teacher for cell in cells if cell.teacher.get("outputs")]
    if not taught:
        return "no cell asked a teacher"
    fits = len({teacher["fingerprint"] for teacher in taught})
    made = len({output for teacher in taught for output in teacher["outputs"]})
    needed = sum(teacher["passes"] for teacher in taught)
    return (
        f"teacher: {fits} fit{'s' * (fits != 1)} and {made} passes over a split serve {len(taught)} cells; "
        f"{needed - made} of {needed} passes saved"
    )


def sync_with_mlflow(
    report: StudyReport, study: Path, settings: Callable[[RunResult], Mapping[str, Any]], thorough: bool = False
) -> int | None:
    """Brings MLflow level with a study: those of its cells that are missing there, and the sweep's own run.

    Args:
        report: the study's.
        study: its folder.
        settings: the tracking of a cell.
        thorough: whether to look at every run, also where the store said that it was level: some may have been deleted.

    Returns:
        how many cells were missing; None where a store did not take something, of which a warning has told.
    """
    swept = results.swept(study)
    stores: dict[str, list[RunResult]] = {}  # a study of single runs may have several
    for cell in report.cells:
        stores.setdefault(json.dumps(settings(cell), sort_keys=True), []).append(cell)
    added, refused = 0, False
    for cells in stores.values():
        missing = build(settings(cells[0]), "tracking").missing(cells, thorough)
        refused |= missing is None
        for cell in missing or ():
            from kd_lab.pipeline.run import track

            run = track(cell, study / cell.cell, settings(cell))
            added, refused = added + (run is not None), refused or run is None
    if swept:
        tracking = build(settings(report.cells[0]), "tracking")
        saved = passes_saved(report.cells)
        words = {"kd_lab.verdict": report.verdict, "mlflow.note.content": f"{report.verdict}\n\n{saved}"}
        level = not refused and added is not None
        refused |= tracking.mirror_study(report.cells, report.files, report.metrics, words, level) is None
    return None if refused else added
