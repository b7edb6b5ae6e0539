"""A cell's folder never holds a result beside another result's files, and nothing of a user's is replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kd_lab.core import results
from kd_lab.core.errors import UserError
from kd_lab.core.results import RunResult
from kd_lab.models import saved_model
from kd_lab.pipeline import publish, written_files
from kd_lab.pipeline.run_folder import cell_lock
from kd_lab.serving import export


class Killed(BaseException):
    """What ends the process here."""


def fill(text: str):
    def write(draft: Path) -> None:
        (draft / "model").mkdir()
        for name in (saved_model.CARD, "model.safetensors"):
            (draft / "model" / name).write_text(text)
        (draft / "table.md").write_text(text)
        RunResult(text, "cell", "finished", {}).write(draft)

    return write


def told(folder: Path) -> set[str]:
    """What the files of a folder say; a result's name is what it says."""
    texts = {path.read_text() for path in (folder / "table.md", *folder.glob("model/*")) if path.is_file()}
    return texts | ({results.read(folder).name} if (folder / results.FILE).is_file() else set())


def test_files_of_the_earlier_run_are_replaced_and_its_attempts_forgotten(tmp_path: Path) -> None:
    publish.publish(tmp_path, fill("one"))
    (tmp_path / results.FAILED).touch()
    (tmp_path / "error.txt").touch()
    (tmp_path / "notes.txt").write_text("mine")
    publish.publish(tmp_path, fill("two"))
    assert told(tmp_path) == {"two"}
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"model", "table.md", results.FILE, ".files.json", "notes.txt"}


@pytest.mark.parametrize("at", range(12))
def test_killed_at_any_rename_a_result_that_is_there_has_its_own_files(tmp_path, monkeypatch, at) -> None:
    with cell_lock(tmp_path):
        publish.publish(tmp_path, fill("one"))
    left, replace = [at], os.replace

    def rename(old, new) -> None:
        if not left[0]:
            raise Killed
        left[0] -= 1
        replace(old, new)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", rename)
        patch.setattr(publish.shutil, "rmtree", lambda *_, **__: None)  # a killed process clears nothing away
        try:
            publish.publish(tmp_path, fill("two"))
        except Killed:
            assert len(told(tmp_path)) == 1 or not (tmp_path / results.FILE).exists()
        else:
            assert at > 5, "there are as many renames as moments tried"
    with cell_lock(tmp_path):
        publish.publish(tmp_path, fill("two"))
    assert told(tmp_path) == {"two"}
    assert not list(tmp_path.glob(".new*"))


def test_a_disk_that_fills_up_leaves_the_earlier_result(tmp_path: Path) -> None:
    publish.publish(tmp_path, fill("one"))

    def full(draft: Path) -> None:
        (draft / "table.md").write_text("half")
        raise OSError(28, os.strerror(28))

    with pytest.raises(UserError, match="No space left"):
        publish.publish(tmp_path, full)
    assert told(tmp_path) == {"one"}
    assert not (tmp_path / ".new").exists()


@pytest.mark.parametrize("theirs", ["notes.txt", "checkpoints/"])
def test_a_model_folder_with_files_of_the_users_is_not_replaced(tmp_path: Path, theirs: str) -> None:
    publish.publish(tmp_path, fill("one"))
    path = tmp_path / "model" / theirs
    path.mkdir() if theirs.endswith("/") else path.write_text("mine")
    with pytest.raises(UserError, match=f"got one with {path.name}. Move it elsewhere: mv"):
        publish.publish(tmp_path, fill("two"))
    assert path.exists()
    assert results.read(tmp_path).name == "one"


def test_what_any_classifier_saves_is_no_file_of_a_users(tmp_path: Path) -> None:
    """Every name that a class with a `save` of ours writes; a new one must be known here and there."""
    saved = {"config.json", "model.safetensors", "model.onnx", "model.xml", "model.bin", "openvino.json"}
    for name in saved | {saved_model.CARD, "tokenizer.json", "tokenizer_config.json", "README.md"}:
        (tmp_path / name).touch()
    assert export.foreign(tmp_path) == []
    (tmp_path / "notes.txt").touch()
    assert export.foreign(tmp_path) == ["notes.txt"]


def spoil_by_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["model/model.safetensors", "model/classifier.json", "table.md", "result.json"])
@pytest.mark.parametrize(
    "spoil",
    [
        spoil_by_a_bit,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        Path.unlink,
    ],
    ids=["bit", "cut", "emptied", "removed"],
)
def test_what_is_damaged_is_found_and_set_aside(tmp_path: Path, name: str, spoil) -> None:
    publish.publish(tmp_path, fill("one"))
    assert written_files.damaged(tmp_path) == []
    spoil(tmp_path / name)
    assert written_files.damaged(tmp_path) == [name]
    there = (tmp_path / name).read_bytes() if (tmp_path / name).exists() else None
    publish.publish(tmp_path, fill("one"))
    assert written_files.damaged(tmp_path) == []
    first = Path(name).parts[0]
    aside = tmp_path / f"{first}.damaged-1" / Path(*Path(name).parts[1:])
    if there is not None:
        assert aside.read_bytes() == there


def test_a_file_that_was_only_copied_is_not_damaged(tmp_path: Path) -> None:
    publish.publish(tmp_path, fill("one"))
    os.utime(tmp_path / "table.md", ns=(1, 1))
    assert written_files.damaged(tmp_path) == []


def test_a_note_that_is_damaged_itself_trusts_nothing(tmp_path: Path) -> None:
    publish.publish(tmp_path, fill("one"))
    for text in ("", "[1]", '{"table.md": 1}', '{"table.md": []}'):
        (tmp_path / ".files.json").write_text(text)
        assert written_files.damaged(tmp_path)
    (tmp_path / ".files.json").unlink()
    assert written_files.damaged(tmp_path) == [], "kd_lab 0.1 wrote none"
