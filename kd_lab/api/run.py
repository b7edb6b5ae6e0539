"""`kd_lab.run(...)`: one cell, from texts to a measured classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kd_lab.api.process import process_kept
from kd_lab.api.result import Run
from kd_lab.api.texts import GivenTexts
from kd_lab.core.errors import FitError, UserError


def run(
    *overrides: str,
    train: Any = None,
    validation: Any = None,
    test: Any = None,
    unlabelled: Any = None,
    text: str = "text",
    label: str | Sequence[str] = "label",
    pair: str | None = None,
    id: str | None = None,
) -> Run:
    """Does what `kd-lab OVERRIDES` does, in this process: what has finished before is not run again.

    The process stays as it was, see `process_kept`. After Ctrl-C the same call goes on from the last whole epoch.

    Args:
        overrides: as on the command line, such as "dataset=clinc", "model=lstm_attention", "loss.temperature=4".
        train: texts of the caller's own, in place of `dataset=`: a data frame of pandas, or (texts, labels). They are
            kept in the cache, named by what they hold.
        validation, test: more of the same; what is not given is carved out of train, see `dataset.split`.
        unlabelled: text without labels that only the teacher judges: a data frame, or a list of texts.
        text, label: columns of the data frames; `label=["toxic", "insult"]` are of 0 and 1 (`task=multi_label`).
        pair: their column of second texts; None for single texts.
        id: their column of ids, by which a file of answers may be joined: "teacher.id_column=ID".

    Returns:
        the cell that has finished: `.metrics`, `.model`, `.table`, `.result`, `.folder`.

    Raises:
        UserError: a mistake in what was given, in one line that says the cure.
        FitError: the cell failed by itself; the record in its folder has the reason too.
    """
    check_overrides("kd_lab.run", overrides)
    with process_kept():
        from kd_lab.cli import run as command

        line = [
            *GivenTexts(train, validation, test, text, label, pair, id, unlabelled).overrides(overrides),
            *overrides,
        ]
        _refuse_axes(line)
        study = _several("a study with axes of its own")
        (folder,) = command.cells(line, command.job_of_a_program, refused_if_several=study)
        ran = Run.read(folder)
        if (error := command.failure_of(folder)) is not None:
            raise FitError(ran.error) from error
    return ran


def check_overrides(where: str, overrides: Sequence[str]) -> None:
    """Refuses what is no override.

    Raises:
        UserError: it is a flag of the command line, or no text.
    """
    for one in overrides:
        if not isinstance(one, str) or one.startswith("-"):
            expected, cure = "overrides, each a text", f'Give e.g. {where}("model=lstm_attention", "seed=1").'
            raise UserError(where, expected=expected, got=repr(one)[:200], cure=cure)


def _refuse_axes(line: Sequence[str]) -> None:
    from kd_lab.cli import check, path_override
    from kd_lab.cli.compose import MISTAKES, mistake

    try:
        axes = check.axes_of(path_override.readable(line))
    except MISTAKES as error:
        raise mistake(error) from error
    if axes:
        raise _several(f"several for {', '.join(axes)}")


def _several(got: str) -> UserError:
    cure = "kd_lab.sweep takes the same, and runs a cell for each value."
    return UserError("kd_lab.run", expected="one value for each option", got=got, cure=cure)
