"""A student learns from rows without labels, made out of others or given; teacher and what is judged stay.

`dataset.augmentation.factor=N` makes them, `dataset.transfer_path=FILE` has them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_checkpoints as tiny
from quick_lines import ALONE, EPOCH, STUDENT, TEACHER, TOY

from kd_lab.__main__ import command
from kd_lab.core import results

pytestmark = pytest.mark.usefixtures("workplace", "toy_csv")
LINE = [*TOY, *STUDENT, EPOCH]
QUICK = [*LINE, *TEACHER]


def judged_alike(rows: int, *renamed: str) -> None:
    """Of two cells under one teacher the second has learned from so many rows without a label."""
    alone, taught = sorted(results.collect(Path("multirun/both")), key=lambda cell: cell.teacher["unlabelled"])
    assert [alone.teacher["unlabelled"], taught.teacher["unlabelled"]] == [0, rows]
    for name in ("tokens", "teacher"):
        assert alone.fingerprint[name] == taught.fingerprint[name]
    for name in renamed:
        assert alone.fingerprint[name] != taught.fingerprint[name]
    test = [np.load(Path("multirun/both", cell.cell, "predictions.npz"))["labels"] for cell in (alone, taught)]
    assert np.array_equal(*test)


def test_a_student_learns_from_rows_made_beside_one_that_did_not(told: Callable[[], str]) -> None:
    line = ["-m", *QUICK, "name=both", "dataset.augmentation.factor=0,3", "dataset.augmentation.replace=0"]
    assert command(line) == 0
    said = told()
    assert said.count("done fit teacher") == 1
    told_of = r"augmentation: (\d+) rows out of 129 labelled ones; (\d+) more say the same"
    [(made, same)] = set(re.findall(told_of, said))
    assert int(made) + int(same) == 3 * 129
    left_out = re.findall(r"(\d+) of \d+ rows without a label stand in validation or test", said)
    judged_alike(int(made) - int(left_out[0] if left_out else 0), "fit", "result")
    table = Path("multirun/both/report/table.md").read_text()
    assert "factor" in table
    assert table.count("\n| 0 ") + table.count("\n| 3 ") == 2, "one table: both are judged on the same rows"


def test_a_student_learns_from_rows_given_beside_one_that_did_not(toy_csv: Path, told: Callable[[], str]) -> None:
    more = [f"somebody told us of a {word} and its {word} {row}" for row in range(40) for word in ("cat", "rain")]
    rows = [line.rpartition(",")[0] for line in toy_csv.read_text().splitlines()]
    again = [f"{text.upper()} 7!" for text in rows if text.endswith("again")]  # each stands in one of the splits
    Path("more.txt").write_text("\n".join([*more, *again]))
    smaller = ["compression=[trim_vocabulary,prune_l1,torch_int8]", "compression.prune_l1.epochs=1"]
    assert command(["-m", *QUICK, *smaller, "name=both", "dataset.transfer_path=null,more.txt"]) == 0
    said = told()
    assert said.count("done fit teacher") == 1
    [(twins, whole)] = re.findall(r"(\d+) of (\d+) rows without a label stand in validation or test", said)
    assert int(whole) == len(more) + len(again)
    assert 1 <= int(twins) < len(again)
    unlabelled = int(whole) - int(twins)
    assert f"129 rows of train with a label, {unlabelled} without" in said
    judged_alike(unlabelled, "fit", "compressed", "result")
    report = Path("multirun/both/report/report.md")
    assert "transfer_path" in (report if report.exists() else Path("multirun/both/report/table.md")).read_text()


def test_a_baseline_never_sees_them_and_none_are_made_again(told: Callable[[], str]) -> None:
    for name, factor in (("plain", "0"), ("more", "5")):
        assert command([*LINE, *ALONE, f"name={name}", f"dataset.augmentation.factor={factor}"]) == 0
    said = told()
    assert "augmentation" not in said.replace("dataset.augmentation.factor", "")
    assert said.count("done fit student") == 1
    one, two = (results.collect(Path("multirun", name))[0] for name in ("plain", "more"))
    assert one.fingerprint == two.fingerprint


@pytest.mark.parametrize("preset", ["tang2019", "tinybert"])
def test_a_preset_is_one_word(preset: str, told: Callable[[], str]) -> None:
    line = [*QUICK, f"name={preset}", f"dataset/augmentation={preset}", "dataset.augmentation.factor=1"]
    assert command(line) == 0
    assert "augmentation: " in told()


def test_a_file_of_answers_says_nothing_of_them_and_is_refused_before_any_work(told: Callable[[], str]) -> None:
    more = ["teacher=answers", "teacher.path=toy.csv", "dataset.augmentation.factor=2"]
    assert command([*LINE, *more]) == 2
    said = told()
    assert "dataset.augmentation.factor: expected a teacher that can be asked of the rows that are made" in said
    assert "tokenise" not in said
    assert command([*LINE, *more, "dataset.augmentation.factor=0"]) == 0, "the cure works"
    both = ["teacher=ensemble"]
    for name in ("one", "two"):
        both += [f"+teacher@teacher.members.{name}=answers", f"teacher.members.{name}.path=toy.csv"]
    assert command([*LINE, *both, *more[2:]]) == 2
    assert "a file of answers" in told()


def test_a_tokenizer_without_a_piece_for_masks_is_said(told: Callable[[], str]) -> None:
    tiny.write(Path("ready"), "roberta", ("weather", "animals", "food"))
    ready = ["teacher=ready", "teacher.path=ready", "teacher.max_tokens=32", "teacher.at_chance=go_on"]
    ready.append("dataset.augmentation.replace=0")  # it is about masks
    assert command([*LINE, *ready, "name=mask", "dataset.augmentation.factor=1"]) == 0
    assert "the teacher's tokenizer has no piece [MASK]" in told()
    more = ["name=own", "dataset.augmentation.factor=1", "dataset.augmentation.mask=0"]
    assert command([*LINE, *ready, *more]) == 0
    assert "has no piece" not in told()
