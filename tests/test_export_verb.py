"""`kd-lab export` copies a finished cell's model to a folder that answers alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import NAME, cell

from kd_lab.__main__ import command
from kd_lab.text_classifier import TextClassifier

TEXTS = ["the old cat number 3", "a red house number 7", "no green song number 1"]


def export(study: Path, name: str, to: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = command(["export", name, "--to", str(to), "--multirun", str(study.parent)])
    said = capsys.readouterr()
    return code, said.err if code else said.out


@pytest.mark.parametrize("compression", ["[]", "[onnx_int8]", "[trim_vocabulary,prune_heads]"])
def test_the_copy_is_whole_and_answers_alike(
    compression: str, small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cell(small_study, compression)
    code, said = export(small_study, f"{NAME}/{source.name}", tmp_path / "out", capsys)
    assert code == 0
    assert "MiB" in said
    files = {path.name for path in (source / "model").iterdir()}
    assert {path.name for path in (tmp_path / "out").iterdir()} == files
    assert all(path.stat().st_nlink == 1 for path in (tmp_path / "out").iterdir())
    ours, theirs = (TextClassifier(folder).predict(TEXTS)[1] for folder in (source / "model", tmp_path / "out"))
    assert (ours == theirs).all()


def test_an_earlier_export_is_replaced_and_anything_else_is_not(
    small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"{NAME}/{cell(small_study, kind).name}" for kind in ("[]", "[onnx_int8]")]
    assert export(small_study, names[0], tmp_path / "out", capsys)[0] == 0
    assert export(small_study, names[1], tmp_path / "out", capsys)[0] == 0
    assert (tmp_path / "out" / "model.onnx").is_file()
    assert not (tmp_path / "out" / "model.safetensors").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    code, said = export(small_study, names[0], tmp_path / "mine", capsys)
    assert code == 2
    assert "mine" in said
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", [NAME, "nowhere", f"{NAME}/nowhere"])
def test_what_names_no_cell_is_one_line(
    name: str, small_study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = export(small_study, name, tmp_path / "out", capsys)
    assert code == 2
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()
