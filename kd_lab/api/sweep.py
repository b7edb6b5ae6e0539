"""`kd_lab.sweep(...)`: a cell for each combination of values, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd_lab.api.process import process_kept
from kd_lab.api.result import Run, Sweep
from kd_lab.api.run import check_overrides
from kd_lab.api.texts import GivenTexts
from kd_lab.core import results


def sweep(
    *overrides: str,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    unlabelled: Any = None,
    text: str = "text",
    label: str | Sequence[str] = "label",
    pair: str | None = None,
    id: str | None = None,
) -> Sweep:
    """Does what `kd-lab -m OVERRIDES` does, in this process: cells that have finished before are passed by.

    Writes the report and mirrors into MLflow as the command does. The process stays as it was, see `process_kept`.
    After Ctrl-C the same call goes on where it was.

    Args:
        overrides: a comma is an axis, such as "loss.temperature=1,2,4", "seed=0,1"; "name=mine" names the study. A
            study of experiments/ has its own: "experiments=demo".
        train, validation, test, unlabelled, text, label, pair, id: as `kd_lab.run` takes them.

    Returns:
        the cells, the table and the verdict. A cell that failed is among the cells and has an `error`; the others ran.

    Raises:
        UserError: a mistake in what was given, found before any cell runs.
    """
    check_overrides("kd_lab.sweep", overrides)
    with process_kept():
        from kd_lab.cli import finish
        from kd_lab.cli import run as command

        own = GivenTexts(train, validation, test, text, label, pair, id, unlabelled).overrides(overrides)
        folders = command.cells(["-m", *own, *overrides], command.job_of_a_program)
        report = finish.finish_sweep(folders)
        first = results.read(folders[0])
    return Sweep(folders[0].parent, first.name, list(map(Run.read, folders)), report)
