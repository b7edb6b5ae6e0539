"""What happens when the last cell has run: times taken anew, the report, MLflow brought level."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from kd_lab.core import results
from kd_lab.core.errors import FitError, UserError
from kd_lab.core.progress import say, step
from kd_lab.pipeline.run_folder import LOCK, MODEL, cell_lock, file_lock
from kd_lab.pipeline.summary_table import to_rich
from kd_lab.report.study.mirrored import passes_saved, sync_with_mlflow
from kd_lab.report.study.shown import show
from kd_lab.report.study.study_report import FOLDER, StudyReport, write
from kd_lab.serving.served import how_served
from kd_lab.sweeps import launch


def show_cell(folders: Sequence[Path]) -> bool:
    """Prints the table of a single run; says whether it failed."""
    cells = [results.attempt(folder) for folder in folders]
    (Console() if sys.stdout.isatty() else Console(width=180)).print(to_rich(cells, title=cells[0].name))
    _say_where(cells[0].name, folders[0].parent)
    for line in how_served(folders[0] / MODEL):
        say(line)
    return any(cell.status == "failed" for cell in cells)


def close(folders: Sequence[Path]) -> bool:
    """Reports a sweep, shows the report and brings MLflow level with it; says whether a cell of it failed.

    Args:
        folders: those of its cells, in order.
    """
    first, study = results.read(folders[0]), folders[0].parent

    def shown(report: StudyReport) -> None:
        show(report, first.name, study / FOLDER)
        _say_where(first.name, study)

    finish_sweep(folders, shown)
    failed = [cell for cell in map(results.attempt, folders) if cell.status == "failed"]
    for cell in failed:
        say(f"failed: {cell.name}/{cell.cell}: {cell.error}")
    return bool(failed)


def finish_sweep(folders: Sequence[Path], shown: Callable[[StudyReport], None] = lambda report: None) -> StudyReport:
    """The report of a sweep, written, and MLflow brought level with it.

    Args:
        folders: those of its cells, in order.
        shown: called with the report before MLflow is asked, which may take a while.
    """
    first, study = results.read(folders[0]), folders[0].parent
    multirun = study.parents[first.name.count("/")]
    with file_lock(study / LOCK, f"another process closes {first.name}: waiting for it"):
        _time_again([folder for folder in folders if folder in launch.ran_now or _is_newer_than_report(folder)])
        with step("write the report"):
            report = write(multirun, first.name)
        say(passes_saved(report.cells))
        shown(report)
        sync_with_mlflow(report, study, lambda cell: first.config["tracking"])
    return report


def _time_again(folders: Sequence[Path]) -> None:
    """Measures anew the times of cells that ran beside each other, now that all are done."""
    cells = {folder: results.read(folder) for folder in folders}
    busy = {folder: cell for folder, cell in cells.items() if cell.cost.get("contended")}
    if busy:
        from kd_lab.pipeline.run import time_again

        done: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        for folder, cell in busy.items():
            try:
                with cell_lock(folder):
                    time_again(cell, folder, done)
            except (FitError, UserError) as error:
                say(f"warning: {cell.name}/{cell.cell}: its times stay as they are: {error}")


def _is_newer_than_report(folder: Path) -> bool:
    """Whether the cell's sweep was killed before it was closed: its times are still to be taken anew."""
    try:
        written = (folder.parent / FOLDER / "cells.csv").stat().st_mtime_ns
        return (folder / results.FILE).stat().st_mtime_ns > written
    except FileNotFoundError:
        return True


def _say_where(name: str, study: Path) -> None:
    say(f"Results: {study}/*/result.json. Compare the runs: kd-lab ui {name}")
