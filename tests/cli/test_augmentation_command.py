"""`dataset.augmentation.factor=N`: a student learns from rows made out of others; teacher and what is judged stay."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints as tiny
from quick_lines import ALONE, EPOCH, STUDENT, TEACHER, TOY

from kd_lab.__main__ import command
from kd_lab.core import results

QUICK = [*TOY, *STUDENT, EPOCH, *TEACHER]
LINE = [*TOY, *STUDENT, EPOCH]


@pytest.fixture(autouse=True)
def here(toy_csv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(toy_csv.parent)


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().err.split())


def test_a_student_learns_from_them_beside_one_that_did_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        command(["-m", *QUICK, "name=both", "dataset.augmentation.factor=0,3", "dataset.augmentation.replace=0"]) == 0
    )
    said = told(capsys)
    assert said.count("done fit teacher") == 1
    [(made, same)] = set(
        re.findall(r"augmentation: (\d+) rows out of 129 labelled ones; (\d+) more say the same", said)
    )
    assert int(made) + int(same) == 3 * 129
    alone, taught = sorted(results.collect(Path("multirun/both")), key=lambda cell: cell.teacher["unlabelled"])
    left_out = re.findall(r"(\d+) of \d+ rows without a label stand in validation or test", said)
    rows = int(made) - int(left_out[0] if left_out else 0)
    assert [alone.teacher["unlabelled"], taught.teacher["unlabelled"]] == [0, rows]
    for name in ("tokens", "teacher"):
        assert alone.fingerprint[name] == taught.fingerprint[name]
    for name in ("fit", "result"):
        assert alone.fingerprint[name] != taught.fingerprint[name]
    test = [np.load(Path("multirun/both", cell.cell, "predictions.npz"))["labels"] for cell in (alone, taught)]
    assert np.array_equal(*test)
    table = Path("multirun/both/report/table.md").read_text()
    assert "factor" in table
    assert table.count("\n| 0 ") + table.count("\n| 3 ") == 2, "one table: both are judged on the same rows"


def test_a_baseline_never_sees_them_and_none_are_made_again(capsys: pytest.CaptureFixture[str]) -> None:
    for name, factor in (("plain", "0"), ("more", "5")):
        assert command([*LINE, *ALONE, f"name={name}", f"dataset.augmentation.factor={factor}"]) == 0
    said = told(capsys)
    assert "augmentation" not in said.replace("dataset.augmentation.factor", "")
    assert said.count("done fit student") == 1
    one, two = (results.collect(Path("multirun", name))[0] for name in ("plain", "more"))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("preset", ["tang2019", "tinybert"])
def test_a_preset_is_one_word(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = [*QUICK, f"name={preset}", f"dataset/augmentation={preset}", "dataset.augmentation.factor=1"]
    assert command(line) == 0
    assert "augmentation: " in told(capsys)


def test_a_file_of_answers_says_nothing_of_them_and_is_refused_before_any_work(
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ["teacher=answers", "teacher.path=toy.csv", "dataset.augmentation.factor=2"]
    assert command([*LINE, *more]) == 2
    said = told(capsys)
    assert "dataset.augmentation.factor: expected a teacher that can be asked of the rows that are made" in said
    assert "tokenise" not in said
    assert command([*LINE, *more, "dataset.augmentation.factor=0"]) == 0, "the cure works"
    both = ["teacher=ensemble"]
    for name in ("one", "two"):
        both += [f"+teacher@teacher.members.{name}=answers", f"teacher.members.{name}.path=toy.csv"]
    assert command([*LINE, *both, *more[2:]]) == 2
    assert "a file of answers" in told(capsys)


def test_a_tokenizer_without_a_piece_for_masks_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    tiny.write(Path("ready"), "roberta", ("weather", "animals", "food"))
    ready = ["teacher=ready", "teacher.path=ready", "teacher.max_tokens=32", "teacher.at_chance=go_on"]
    ready.append("dataset.augmentation.replace=0")  # it is about masks
    assert command([*LINE, *ready, "name=mask", "dataset.augmentation.factor=1"]) == 0
    assert "the teacher's tokenizer has no piece [MASK]" in told(capsys)
    more = ["name=own", "dataset.augmentation.factor=1", "dataset.augmentation.mask=0"]
    assert command([*LINE, *ready, *more]) == 0
    assert "has no piece" not in told(capsys)
