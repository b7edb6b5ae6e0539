"""`teacher=answers teacher.id_column=ID`: answers are joined by ids, from the command line and from Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from quick_lines import EPOCH, STUDENT

import kd_lab
from kd_lab.__main__ import command
from kd_lab.core import results

QUICK = [*STUDENT, EPOCH, "tracking=none"]
CSV = ["dataset=csv", "dataset.path=data.csv"]
ANSWERS = ["teacher=answers", "teacher.path=said.csv"]


@pytest.fixture(autouse=True)
def data(workplace: Path, toy_csv: Path) -> pd.DataFrame:
    """data.csv with a column of ids; said.csv with the label of each, and nothing else."""
    table = pd.read_csv(toy_csv).assign(key=lambda found: found.index + 1000)
    table.to_csv("data.csv", index=False)
    table[["key", "label"]].sample(frac=1, random_state=0).astype({"key": float}).to_csv("said.csv", index=False)
    return table


def test_one_option_joins_them_and_names_what_is_learned(told: Callable[[], str]) -> None:
    assert command([*QUICK, *CSV, *ANSWERS, "name=ids", "teacher.id_column=key"]) == 0
    said = told()
    [cell] = results.collect(Path("multirun/ids"))
    rows = cell.teacher["answers"]["train"]["rows"]
    assert f"teacher said: {rows} of {rows} rows of train answered, 100.0 % as the gold label" in said
    assert cell.teacher["answers"]["train"]["unknown_ids"] == [0, ""]
    assert command([*QUICK, *CSV, "teacher=none", "loss=cross_entropy", "name=none", "dataset.id_column=key"]) == 0
    [alone] = results.collect(Path("multirun/none"))
    assert alone.fingerprint["tokens"] == cell.fingerprint["tokens"]


def test_a_program_gives_a_frame_with_its_column(data: pd.DataFrame) -> None:
    given = [one for one in QUICK if not one.startswith("model=")]
    made = kd_lab.distil(*given, "name=api", train=data, id="key", teacher="said.csv")
    about = made.result.teacher["answers"]["train"]
    assert about["answered"] == about["rows"]
    assert about["agreement"] == 1.0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["dataset=docstrings"], "teacher.id_column: expected a data set that has a column of ids, got docstrings"),
        ([*CSV, "dataset.id_column=nothing"], "expected a column 'nothing', once"),
    ],
)
def test_a_data_set_without_ids_is_refused_before_any_fit(line: list[str], words: str, told: Callable[[], str]) -> None:
    assert command([*QUICK, *line, *ANSWERS, "teacher.id_column=key"]) == 2
    said = told()
    assert words in said
    assert "fit" not in said.partition("kd-lab:")[0].replace("fit_", "")


def test_a_file_that_pairs_ids_with_other_texts_is_refused(data: pd.DataFrame, told: Callable[[], str]) -> None:
    data.assign(key=np.roll(data["key"], 1)).to_csv("said.csv", index=False)
    assert command([*QUICK, *CSV, *ANSWERS, "teacher.id_column=key"]) == 2
    said = told()
    assert "expected the data's texts beside their ids, got 180 of 180 that are others: '1179' is " in said
    assert "fit student" not in said
    assert command([*QUICK, *CSV, *ANSWERS, "teacher.id_column=key", "teacher.text_column=null"]) == 0
