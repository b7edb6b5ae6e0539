"""Puts what came of a cell into its folder: a reader finds a result with its own model and pictures, or no result."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

from kd_lab.core import results
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.pipeline.run_folder import DRAFT, ERROR, MODEL
from kd_lab.pipeline.written_files import damaged, note
from kd_lab.serving import export


def check_model(folder: Path) -> None:
    """Refuses to replace a model folder in which somebody keeps files of theirs.

    Args:
        folder: the cell's.

    Raises:
        UserError: it does.
    """
    model = folder / MODEL
    if foreign := export.foreign(model):
        cure = f"Move it elsewhere: mv {shlex.quote(str(model / foreign[0]))} ."
        raise UserError(str(model), expected="a model of kd_lab's alone", got=f"one with {foreign[0]}", cure=cure)


def publish(folder: Path, fill: Callable[[Path], None]) -> None:
    """Replaces files of a cell's folder; its result goes before the first of them and comes after the last.

    Args:
        folder: the cell's, held by this process. What is damaged there is set aside, the rest is an earlier run's.
        fill: writes them, the result among them, into the empty folder it is given.

    Raises:
        UserError: there is no room, or somebody's files lie in the model's folder.
    """
    check_model(folder)
    draft = folder / DRAFT
    with disk_errors(folder):
        try:
            draft.mkdir()
            fill(draft)
            note(draft)
            if (folder / results.FILE).exists():  # else a run was cut off below: nobody has changed what it left
                _set_aside(folder)
            (folder / results.FILE).unlink(missing_ok=True)
            for new in sorted(draft.iterdir(), key=lambda path: path.name == results.FILE):
                if (old := folder / new.name).is_dir():
                    os.replace(old, draft / f".old-{new.name}")
                os.replace(new, old)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        for left in (results.FAILED, ERROR):  # of an earlier attempt
            (folder / left).unlink(missing_ok=True)


def _set_aside(folder: Path) -> None:
    for name in sorted({Path(name).parts[0] for name in damaged(folder)}):
        if (folder / name).exists():
            os.replace(folder / name, _aside(folder / name))


def _aside(path: Path) -> Path:
    """A name for what is damaged that nothing has yet."""
    return next(aside for n in count(1) if not (aside := path.with_name(f"{path.name}.damaged-{n}")).exists())
