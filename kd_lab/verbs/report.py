"""`kd-lab report NAME`: prints a study's table, read out of its result.json files, and brings MLflow level."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from kd_lab.errors import UserError
from kd_lab.report.collect import studies, study
from kd_lab.results import RunResult
from kd_lab.table import to_markdown, to_rich


def report(arguments: Sequence[str]) -> int:
    """Prints the table.

    Returns:
        exit code: 0, or 1 where a cell of the study failed.

    Raises:
        UserError: no name, or no such study.
    """
    parser = argparse.ArgumentParser("kd-lab report", description="Print a study's table.")
    parser.add_argument("name", nargs="?", help="the study, a folder under multirun/")
    parser.add_argument("--list", action="store_true", help="list the studies instead")
    parser.add_argument("--sync", action="store_true", help="also mirror into MLflow what is not there yet")
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    parser.add_argument("--multirun", type=Path, default=Path("multirun"), help="where results lie")
    options = parser.parse_args(arguments)
    if options.list:
        print("\n".join(studies(options.multirun)))
        return 0
    if options.name is None:
        raise UserError("report", expected="the name of a study", got="none", cure="kd-lab report --list shows them.")
    cells = study(options.multirun, options.name)
    if options.sync:
        _sync(options.multirun, cells)
    if options.markdown:
        print(to_markdown(cells))
    else:
        (Console() if sys.stdout.isatty() else Console(width=180)).print(to_rich(cells, title=options.name))
    return 1 if any(cell.status == "failed" for cell in cells) else 0


def _sync(multirun: Path, cells: Sequence[RunResult]) -> None:
    """Mirrors each cell into the store its config names; one run with tracking=none into the default store."""
    from kd_lab.pipeline import plain, track
    from kd_lab.verbs.compose import compose

    config = compose(["tracking=mlflow"])
    config.paths.multirun = str(
        multirun.resolve()
    )  # MLflow keeps a store by its address: a relative one could be another
    default = plain(config.tracking)
    for cell in cells:
        settings = cell.config.get("tracking") or {}
        track(cell, multirun / cell.name / cell.cell, settings if "uri" in settings else default)
