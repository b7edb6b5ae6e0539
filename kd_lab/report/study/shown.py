"""A report as the terminal shows it, and as Markdown."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console

from kd_lab.pipeline.summary_table import to_markdown, to_rich
from kd_lab.report.study import cross_evaluation, settings_table
from kd_lab.report.study.study_report import StudyReport


def show(study: StudyReport, title: str, folder: Path, out: Console | None = None) -> None:
    """Prints a report: settings where one ran with several seeds, else cells; the verdict; what failed; the files.

    Args:
        out: where to; standard output where None is given.
    """
    out = out or (Console() if sys.stdout.isatty() else Console(width=180))
    if _seeds(study):
        for table in settings_table.to_rich(study.settings, study.verdicts, title):
            out.print(table)
    else:
        out.print(to_rich(study.cells, title))
    if study.cross:
        out.print(cross_evaluation.to_rich(study.cross))
    remarks = _notes(study) if _seeds(study) else []  # a table of cells has them below it
    files = f"Written to {folder}: {', '.join(study.files)}"
    for line in (*study.verdict.splitlines(), *remarks, files):
        out.print(line, soft_wrap=True, highlight=False, markup=False)


def markdown(study: StudyReport) -> str:
    """The table that `show` prints, as Markdown, with the verdict where settings are compared."""
    if _seeds(study):
        return settings_table.to_markdown(study.settings, study.verdicts, _notes(study), study.gains)
    return to_markdown(study.cells)


def _notes(study: StudyReport) -> list[str]:
    return settings_table.notes(study.cells, study.settings)


def _seeds(study: StudyReport) -> bool:
    return any(len(setting.cells) + len(setting.failed) > 1 for setting in study.settings)
