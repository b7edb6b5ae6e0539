"""Several labels a row, each in a column of 0 and 1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from row_files import told, write

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import checked
from kd_lab.data.frame import keep, rows
from kd_lab.data.hub import Hub
from kd_lab.data.label_columns import as_lists

COLUMNS = ("rude", "funny")
ASKED: dict[str, Any] = {"task": "multi_label", "label_columns": COLUMNS}
ROWS = [
    {"text": f"text {row}", "rude": int(row % 2 == 0), "label": "no label", "funny": int(row % 3 == 0)}
    for row in range(60)
]
BORNE = {row["text"]: [name for name in ("funny", "rude") if row[name]] for row in ROWS}


SHAPES: dict[str, dict[str, Any]] = {  # file -> the types in which a program writes the columns into it
    "rows.csv": {},
    "booleans.csv": dict.fromkeys(COLUMNS, bool),
    "unsure.jsonl": {"rude": float, "funny": str},
    "mixed.parquet": {"rude": float, "funny": bool},
}


def dataset(source, folder, shape="rows.csv", **options):
    """The rows as a data set that is a file, or a folder with a file of train."""
    path = write(folder / f"train-0{Path(shape).suffix}", pd.DataFrame(ROWS).astype(SHAPES[shape]))
    return source(path=str(folder if source is Hub else path), **{**ASKED, **options})


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("source", [Csv, Hub])
def test_each_column_of_a_file_is_a_label(tmp_path, source, shape):
    texts = checked(dataset(source, tmp_path, shape).load(), "rows")
    assert texts.classes == ("funny", "rude")
    assert told(texts) == BORNE


def test_so_it_is_of_a_data_frame(tmp_path):
    folder = keep({"train": rows(pd.DataFrame(ROWS), "train", "text", COLUMNS)}, Cache(tmp_path / "cache"))
    assert told(checked(Hub(path=str(folder), task="multi_label").load(), "frame")) == BORNE


def test_a_row_that_says_nothing_has_no_labels_and_one_that_says_0_bears_none():
    values = {"a": ["1", "0", "", None, -1, float("nan")], "b": ["0", "0", " ", None, -1, None]}
    assert as_lists(values, "file") == ['["a"]', "[]", None, None, None, None]


@pytest.mark.parametrize(
    ("values", "place", "got"),
    [
        ({"a": ["1", "0.7"], "b": ["0", "1"]}, "file, column 'a', row 2", "0.7"),
        ({"a": ["1", "yes"], "b": ["0", "1"]}, "file, column 'a', row 2", "yes"),
        ({"a": ["1", "1"], "b": ["", "1"]}, "file, column 'b', row 1", "nothing"),
    ],
)
def test_what_is_neither_0_nor_1_is_refused(values, place, got):
    with pytest.raises(UserError) as told:
        as_lists(values, "file")
    assert (told.value.where, told.value.got) == (place, got)


@pytest.mark.parametrize("source", [Csv, Hub])
@pytest.mark.parametrize("wrong", [{"task": "multi_class"}, {"label_columns": ()}, {"label_columns": ("rude", "rude")}])
def test_columns_of_labels_are_of_several_labels_each_once(tmp_path, source, wrong):
    with pytest.raises(UserError, match=r"dataset\.label_columns"):
        dataset(source, tmp_path, **wrong).load()


@pytest.mark.parametrize("shape", ["rows.csv", "unsure.jsonl", "mixed.parquet"])
@pytest.mark.parametrize("source", [Csv, Hub])
def test_a_column_that_is_not_there_is_named_with_the_option(tmp_path, source, shape):
    with pytest.raises(UserError) as told:
        dataset(source, tmp_path, shape, label_columns=("rude", "sad")).load()
    assert "'sad'" in told.value.expected
    assert "dataset.label_columns=[" in told.value.cure


def test_a_column_without_a_1_is_no_class_and_is_said(tmp_path):
    path = write(tmp_path / "rows.csv", pd.DataFrame(ROWS).assign(sad=0))
    texts = Csv(str(path), task="multi_label", label_columns=(*COLUMNS, "sad")).load()
    assert texts.classes == ("funny", "rude")
    assert "no row has a 1 in 'sad': left out of the classes" in texts.notes


def test_the_columns_are_part_of_the_name_and_where_none_are_named_nothing_is(tmp_path):
    named = [dataset(Csv, tmp_path, label_columns=one) for one in (COLUMNS, ("rude",), None)]
    assert len(set(map(fingerprint, named))) == 3
    assert "label_columns" not in Csv(named[0].path).fingerprint_parts()
