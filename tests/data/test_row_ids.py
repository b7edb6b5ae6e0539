"""An id is the same however it was written, and every data set gives those of its rows."""

from __future__ import annotations

import datetime
import decimal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import row_files

from kd_lab.core.cache import Cache, fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data import frame
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import Split, Texts
from kd_lab.data.hub import Hub
from kd_lab.data.row_ids import as_id, id_hashes, read_ids, refuse_repeated
from kd_lab.data.text_hashes import text_hashes

IDS = list(range(60))
TEXTS = [f"{'ab'[row % 2]} text of {row}" for row in IDS]
LABELS = ["no" if row % 2 else "yes" for row in IDS]


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ((7, "7", 7.0, "7.0", " 7 ", np.int64(7), np.float32(7), decimal.Decimal("7.00")), "7"),
        ((None, "", "  ", float("nan"), pd.NA, np.nan, pd.NaT), ""),
        (("007",), "007"),
        (("1.50", 1.50), None),
        (("a-7.0",), "a-7.0"),
        (("7.",), "7."),
        ((-3, "-3.0"), "-3"),
        ((2**63 - 1, str(2**63 - 1)), str(2**63 - 1)),
        ((datetime.date(2020, 1, 2),), "2020-01-02"),
    ],
)
def test_an_id_is_the_same_however_it_was_written(values: tuple[Any, ...], told: str | None) -> None:
    found = [as_id(value) for value in values]
    assert found == ([told] * len(values) if told is not None else ["1.50", "1.5"])


@pytest.mark.parametrize(("value", "words"), [([1], "list"), (b"1", "bytes"), (1.5e18, "1.5e.18 as a floating number")])
def test_what_is_none_is_refused(value: Any, words: str) -> None:
    with pytest.raises(UserError, match=f"here: expected ids: whole numbers or words, got {words}"):
        read_ids(["1", value], "here")


def test_no_id_has_the_hash_of_a_text() -> None:
    assert not set(id_hashes(TEXTS)) & set(text_hashes(Split(TEXTS, np.zeros(60))))
    assert len(set(id_hashes(list(map(str, IDS))))) == 60


def write(path: Path, ids: list[Any], rows: slice = slice(None)) -> str:
    return str(row_files.write(path, {"text": TEXTS[rows], "label": LABELS[rows], "row": ids[rows]}))


def ids_are_right(texts: Texts) -> None:
    for split in texts.splits.values():
        assert split.ids is not None
        assert [TEXTS[int(one)] for one in split.ids] == split.texts


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        ("csv", IDS),
        ("jsonl", IDS),
        ("jsonl", [str(row) if row % 2 else row for row in IDS]),
        ("parquet", IDS),
        ("parquet", list(map(float, IDS))),
        ("parquet", list(map(str, IDS))),
    ],
)
def test_files_of_any_kind_give_theirs(kind: str, ids: list[Any], tmp_path: Path) -> None:
    whole = Csv(write(tmp_path / f"all.{kind}", ids), id_column="row")
    ids_are_right(whole.load())
    assert fingerprint(whole) == fingerprint(Csv(whole.path)), "no token depends on them"
    folder = tmp_path / "layout"
    for split, rows in (("train", slice(40)), ("test", slice(40, 60))):
        write(folder / f"{split}.{kind}", ids, rows)
    ids_are_right(Hub(path=str(folder), id_column="row").load())
    assert Hub(path=str(folder)).load().splits["train"].ids is None


def test_frames_give_theirs(own_cache: Cache) -> None:
    table = pd.DataFrame({"text": TEXTS, "label": LABELS, "mine": IDS})
    rows = {"train": frame.rows(table, "train", "text", "label", id="mine")}
    folder = frame.keep(rows, own_cache)
    ids_are_right(Hub(path=str(folder), splits={"train": "train"}, id_column=frame.ID).load())
    plain = {"train": frame.rows(table, "train", "text", "label")}
    assert frame.keep(plain, own_cache) != folder
    with pytest.raises(UserError, match=r"expected a column 'other', once.*id=NAME"):
        frame.rows(table, "train", "text", "label", id="other")


def test_rows_without_an_id_have_none(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label,row\n" + "".join(f"text {n},{'xy'[n % 2]},\n" for n in range(30)))
    (tmp_path / "more.txt").write_text("more\n")
    data = Csv(str(tmp_path / "rows.csv"), transfer_path=str(tmp_path / "more.txt"), id_column="row")
    train = data.load().splits["train"]
    assert train.ids == [""] * len(train.texts)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_column_that_is_not_there_is_one_line(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"train.{kind}", IDS)
    for data in (Csv(path, id_column="key"), Hub(path=str(tmp_path), id_column="key")):
        with pytest.raises(UserError, match=r"expected a column 'key'.*dataset\.id_column=NAME"):
            data.load()


def test_a_csv_without_a_header_is_told_how_to_name_all_its_columns(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("".join(f"{row},some words of {row},{'xy'[row % 2]}\n" for row in range(30)))
    data = Csv(str(tmp_path / "rows.csv"), id_column="row")
    with pytest.raises(UserError, match=r"dataset\.columns=\[row,text,label\]"):
        data.load()
    assert replace(data, columns=("row", "text", "label")).load().splits["train"].ids


def test_ids_of_two_rows_are_refused() -> None:
    def split(*ids: str) -> Split:
        return Split(["x"] * len(ids), np.zeros(len(ids)), None, list(ids))

    refuse_repeated({"train": split("1", "", ""), "test": split("2")}, "here")
    refuse_repeated({"train": Split(["x"], np.zeros(1))}, "here")
    with pytest.raises(UserError, match=r"got '1' 3 times in train \(2 ids repeat\)"):
        refuse_repeated({"train": split("1", "1", "1", "2", "2", "3")}, "here")
    with pytest.raises(UserError, match=r"got '1' in train and in test \(1 ids repeat\).*teacher\.split=train"):
        refuse_repeated({"train": split("1", "2"), "test": split("1")}, "here")
