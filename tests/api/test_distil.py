"""`kd_lab.distil` and `kd_lab.load`: from a data frame to a classifier in a folder, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_lines import COLUMNS, QUICK

import kd_lab
from kd_lab.__main__ import command
from kd_lab.api.texts import GivenTexts

TEXTS = ["the old house number 3", "no green cat number 1"]
TEACHER = ("model@teacher.model=lstm_attention", "teacher.model.init=random", "teacher.model.hidden=8")
SMALL = ("teacher.trainer.max_epochs=1", *(one for one in QUICK if one.partition("=")[0] not in ("teacher", "loss")))


def test_a_data_frame_becomes_a_small_classifier_that_is_saved_and_loaded(
    table: pd.DataFrame, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = kd_lab.distil(*TEACHER, *SMALL, "compression=[onnx_int8]", train=table, **COLUMNS)
    assert list(small.table["method"]) == ["teacher", "distilled + onnx_int8"]
    assert small._repr_html_().count("<tr>") == 3
    labels, probabilities = small.predict(TEXTS)
    folder = small.save(tmp_path / "exported")
    for place in (folder, str(folder), small.folder, small.folder / "model"):
        loaded = kd_lab.load(place)
        told = loaded.predict(TEXTS)
        assert told[0] == labels
        assert np.array_equal(told[1], probabilities)
    assert command(["predict", "--model", str(folder), *TEXTS]) == 0
    assert labels[0] in capsys.readouterr().out
    with pytest.raises(kd_lab.UserError, match="expected an empty folder or an earlier export"):
        small.save(tmp_path)


@pytest.mark.parametrize("plus", ["", "++"])
def test_a_frame_is_kept_in_the_cache_that_the_run_reads_from(table: pd.DataFrame, tmp_path: Path, plus: str) -> None:
    GivenTexts(table, **COLUMNS).overrides([f"{plus}paths.cache={tmp_path / 'other'}"])
    assert list((tmp_path / "other").rglob("*.parquet"))


def test_texts_without_labels_are_judged_by_the_teacher_and_learned_from(table: pd.DataFrame) -> None:
    more = [f"the {word} house number {row}" for row in range(30) for word in ("old", "green")]
    shown = pd.DataFrame({COLUMNS["text"]: more})
    for unlabelled in (more, shown, shown[COLUMNS["text"]]):
        small = kd_lab.distil(*TEACHER, *SMALL, train=table, unlabelled=unlabelled, **COLUMNS)
        assert small.result.teacher["unlabelled"] == 60 - _judged(small, more)
        names = {small.result.fingerprint["tokens"]}
    assert len(names) == 1
    alone = kd_lab.distil(*TEACHER, *SMALL, train=table, **COLUMNS)
    assert alone.result.teacher["unlabelled"] == 0


def test_columns_of_0_and_1_are_a_label_each(table: pd.DataFrame) -> None:
    flags = {"old": table[COLUMNS["text"]].str.contains("old").astype(int), "green": table.index % 2}
    small = kd_lab.distil(*TEACHER, *SMALL, train=table.assign(**flags), text=COLUMNS["text"], label=["old", "green"])
    assert small.model.labels == ("green", "old")
    assert all(set(labels) <= {"green", "old"} for labels in small.predict(TEXTS)[0])


def _judged(small: kd_lab.api.result.Run, more: list[str]) -> int:
    """How many of the texts stand in validation or test, but for their numbers."""
    told = [text for text in small.result.warnings if "without a label stand in" in text]
    return int(told[0].split(": ")[-1].split()[0]) if told else 0


@pytest.mark.parametrize(
    ("unlabelled", "words"),
    [
        ([], "unlabelled: expected rows, got none"),
        (["fine", ""], "unlabelled, 'texts', row 1: expected a text, got an empty text"),
        ("a text", "unlabelled: expected texts without labels, got str"),
        (pd.DataFrame({"other": ["a"]}), "unlabelled: expected a column 'says', once, got 'other'"),
    ],
)
def test_texts_that_are_none_are_one_clear_line(table: pd.DataFrame, unlabelled: object, words: str) -> None:
    with pytest.raises(kd_lab.UserError, match=words):
        kd_lab.distil(train=table, unlabelled=unlabelled, **COLUMNS)


def test_a_folder_is_a_ready_teacher_a_file_is_one_of_answers_and_without_one_labels_are_all(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    first = kd_lab.distil(*TEACHER, *SMALL, train=table, **COLUMNS)
    ready = first.save(tmp_path / "it's ready")
    quick = [one for one in SMALL if not one.startswith("teacher.")]
    small = kd_lab.distil(*quick, "teacher.at_chance=go_on", train=table, **COLUMNS, teacher=ready)
    assert small.result.teacher["model"] == "it's ready"
    assert small.result.config["teacher"]["_target_"].endswith("ReadyTeacher")
    table.rename(columns={"says": "text", "kind": "label"}).to_parquet(tmp_path / "said.parquet")
    told = kd_lab.distil(*quick, train=table, **COLUMNS, teacher=str(tmp_path / "said.parquet"))
    assert told.result.teacher["answers"]["train"]["agreement"] == 1.0
    Path("none").mkdir()  # an option's name is not taken for a folder
    alone = kd_lab.distil(*quick, train=table, **COLUMNS, teacher="none")
    assert alone.result.teacher == {}
    assert list(alone.table["method"]) == ["baseline"]


def test_a_folder_without_a_model_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(kd_lab.UserError, match=r"expected a saved classifier .*, got no such folder"):
        kd_lab.load(tmp_path / "nowhere")
