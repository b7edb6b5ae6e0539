"""The model folder of a finished cell: made complete, so that it can be copied away and used, and copied away."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from kd_lab.core import drafts, results
from kd_lab.core.errors import UserError, disk_errors
from kd_lab.core.results import RunResult
from kd_lab.data.tokenizer_file import TOKENIZER
from kd_lab.models import saved_model
from kd_lab.models.base import CONFIG
from kd_lab.serving.complete import README, TOKENIZER_CONFIG, complete
from kd_lab.serving.text_classifier import TextClassifier

_DRAFT = ".export-"  # how the name of a copy begins that is not yet tried
_FICLONE = 0x40049409  # of Linux's ioctl_ficlone(2)
FILES = {saved_model.CARD, CONFIG, TOKENIZER, TOKENIZER_CONFIG, README, "openvino.json"}  # and weights
TEXTS = ("what is this?", "one more, a little longer than the first: 3 of 4 words", "ja")  # on which a copy is tried


def make(model: Path, folder: Path, result: RunResult) -> None:
    """Copies a saved classifier to `folder`, complete.

    Args:
        model: what `classifier.save` wrote, with its tokenizer.json.
        folder: not there yet.
        result: of the cell that the model belongs to.
    """
    folder.mkdir()  # with rights of its own: those of a cache may only let it be read
    for path in model.iterdir():
        _copy(path, folder / path.name)
    complete(folder, result)


def export(cell: Path, target: Path) -> list[Path]:
    """Copies the deployable folder of a cell, and holds the copy's answers against the original's, bit for bit.

    Args:
        cell: the folder of a finished cell.
        target: what is to hold the copy: empty, not there yet, or an earlier export, which is replaced.

    Returns:
        the files of the copy.

    Raises:
        UserError: the cell has no model, `target` holds anything else, or the copy answers otherwise.
    """
    result, source, target = results.read(cell), cell / "model", target.expanduser().resolve()
    if result.status != "finished":
        cure = "Run the cell again." if result.status == "failed" else "Name a cell that finished."
        got = f"one that is {result.status}: {result.error}"
        raise UserError(f"{result.name}/{result.cell}", expected="a finished cell", got=got, cure=cure)
    _refuse_strangers(source)
    original = TextClassifier(source)
    _check_target(target, {draft.name for draft in _dead(target)})
    with disk_errors(target):
        target.mkdir(parents=True, exist_ok=True)
        for left in _dead(target):
            shutil.rmtree(left, ignore_errors=True)
        with drafts.temporary_folder(target, _DRAFT) as draft:
            for path in source.iterdir():
                shutil.copyfile(path, draft / path.name)
            complete(draft, result)
            seconds = TEXTS[::-1] if original.pairs else None
            if TextClassifier(draft).logits(TEXTS, seconds).tobytes() != original.logits(TEXTS, seconds).tobytes():
                got = "other logits than from the original"
                cure = "Check the disk, and run it again."
                raise UserError(str(target), expected="a copy that answers alike", got=got, cure=cure)
            _check_target(target, {draft.name})  # somebody may have put something there meanwhile
            for old in target.iterdir():
                if old != draft:
                    old.unlink()
            names = sorted(path.name for path in draft.iterdir())
            for name in sorted(names, key=lambda name: name == saved_model.CARD):  # without it, nothing is a model
                os.replace(draft / name, target / name)
            return [target / name for name in names]


def foreign(folder: Path) -> list[str]:
    """Names of what lies in a model folder and is no part of a model; none where there is no such folder."""
    there = sorted(folder.iterdir()) if folder.is_dir() else []
    begun = tuple(f".{name}." for name in FILES)  # of a process that was killed
    return [
        path.name
        for path in there
        if path.is_dir()
        or (path.name not in FILES and path.suffix not in saved_model.WEIGHT_FILES and not path.name.startswith(begun))
    ]


def _refuse_strangers(source: Path) -> None:
    """Refuses to pass on what kd_lab did not write: pickles, folders, and links, which may lead anywhere."""
    for path in sorted(source.iterdir()) if source.is_dir() else []:
        pickle = path.suffix == ".bin" and not path.with_suffix(".xml").is_file()  # OpenVINO's stands beside its graph
        if pickle or path.is_symlink() or path.name in foreign(source):
            kind = "a link" if path.is_symlink() else "a folder" if path.is_dir() else "a file of another's"
            cure = "Move it away, or run the cell again."
            raise UserError(str(source), expected="only what kd_lab wrote", got=f"{path.name}, {kind}", cure=cure)


def _dead(target: Path) -> Iterator[Path]:
    """What exports that were killed have left in their target; nothing in which anybody keeps anything else."""
    return (draft for draft in drafts.abandoned(target, _DRAFT) if draft.is_dir() and not foreign(draft))


def _check_target(target: Path, ours: Collection[str]) -> None:
    """Refuses a place where something would be lost.

    Args:
        ours: names of drafts there: of this process, or of those that were killed.
    """
    where = f"--to {target}"
    if target.exists() and not target.is_dir():
        raise UserError(where, expected="a folder", got="a file", cure="Name another place.")
    if any((target.parent / name).is_file() for name in (results.FILE, "manifest.json")):
        raise UserError(where, expected="a folder of its own", got="a run's own", cure="Name a place outside multirun.")
    there = sorted(path.name for path in target.iterdir()) if target.is_dir() else []
    others = [name for name in foreign(target) if name not in ours]
    if others or (there and not ours and not (target / saved_model.CARD).is_file()):
        got = f"one with {(others or there)[0]} ({len(there)} files or folders)"
        raise UserError(where, expected="an empty folder or an earlier export", got=got, cure="Name another place.")


def _copy(source: Path, target: Path) -> None:
    """A file of its own, which shares its blocks with the source until one of them is changed, where the disk can."""
    with source.open("rb") as old, target.open("xb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
            return
        except OSError:
            pass  # most disks cannot, or it is another disk
        shutil.copyfileobj(old, new, 2**20)
