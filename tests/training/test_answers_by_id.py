"""A file of answers is joined by ids: whatever they were written as, unless two rows have one or their texts differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.docstrings import Docstrings
from kd_lab.data.hub import Hub
from kd_lab.training.answers_teacher import AnswersTeacher, told

CLASSES = ("no", "yes")
ROWS = 60


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Every row of data.csv, of which nothing but the id tells which text is which for a tool that knows no text."""
    texts = [f"{'ab'[row % 2]} text of the number {chr(97 + row % 26)}{chr(97 + row // 26)}" for row in range(ROWS)]
    found = pd.DataFrame(
        {"id": range(100, 100 + ROWS), "text": texts, "label": [CLASSES[row % 2] for row in range(ROWS)]}
    )
    found.to_csv(tmp_path / "data.csv", index=False)
    return found


@pytest.fixture
def data(table: pd.DataFrame, tmp_path: Path) -> Csv:
    return Csv(str(tmp_path / "data.csv"))


def asked(path: Path, data: Any, cache: Cache, of: str = "train", **options: Any) -> tuple[np.ndarray, dict[str, Any]]:
    return AnswersTeacher(str(path), **{"id_column": "id", **options}).logits_of(data, of, cache)


def keep(table: pd.DataFrame, path: Path) -> None:
    if ".jsonl" in path.name:
        table.to_json(path, orient="records", lines=True, double_precision=15)
    elif path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")


def right(logits: np.ndarray, data: Any, split: str = "train") -> bool:
    """Whether the label of each row is what is said of it."""
    return bool((logits.argmax(axis=1) == data.load().splits[split].labels).all())


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "tsv", "csv.gz"])
@pytest.mark.parametrize("kind", [int, float, str])
def test_rows_get_the_answer_of_their_id(
    ending: str, kind: type, table: pd.DataFrame, data: Csv, own_cache: Cache, tmp_path: Path
) -> None:
    said = table[["id", "label"]].sample(frac=1, random_state=0).astype({"id": kind})
    path = tmp_path / f"said.{ending}"
    keep(said, path)
    for split in ("train", "validation", "test"):
        logits, about = asked(path, data, own_cache, split)
        assert right(logits, data, split)
        assert about["answered"] == about["rows"]
        assert about["agreement"] == 1.0
        assert about["unknown_ids"] == [0, ""]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_so_do_rows_of_a_folder_and_columns_may_be_called_otherwise(
    kind: str, table: pd.DataFrame, own_cache: Cache, tmp_path: Path
) -> None:
    folder = tmp_path / "layout"
    folder.mkdir()
    keyed = table.rename(columns={"id": "key"})
    for split, rows in (("train", keyed[:40]), ("test", keyed[40:])):
        keep(rows, folder / f"{split}.{kind}")
    data = Hub(path=str(folder), id_column="key")
    table[["id", "label"]].to_csv(tmp_path / "said.csv", index=False)
    logits, about = asked(tmp_path / "said.csv", data, own_cache)
    assert right(logits, data)
    assert about["answered"] == about["rows"]
    table.rename(columns={"id": "key"})[["key", "label"]].to_csv(tmp_path / "alike.csv", index=False)
    assert right(asked(tmp_path / "alike.csv", data, own_cache, id_column=None)[0], data), "one option names both"


def test_what_nobody_has_is_counted_and_rows_without_an_answer_are_no_number(
    table: pd.DataFrame, data: Csv, own_cache: Cache, tmp_path: Path
) -> None:
    said = pd.concat([table.iloc[::2], pd.DataFrame({"id": [7, 8, 8], "label": ["no", "no", "yes"]})])
    said[["id", "label"]].to_csv(tmp_path / "said.csv", index=False)
    logits, about = asked(tmp_path / "said.csv", data, own_cache)
    train = [int(one) for one in Csv(data.path, id_column="id").load().splits["train"].ids or ()]
    assert np.isnan(logits).all(axis=1).tolist() == [one % 2 == 1 for one in train]
    assert about["unknown_ids"] == [2, "7"]
    assert "2 ids that no row has, such as '7'" in told("said", "train", about)


def test_rows_of_one_id_are_votes(table: pd.DataFrame, data: Csv, own_cache: Cache, tmp_path: Path) -> None:
    ids = np.repeat(table["id"], 3)
    pd.DataFrame({"id": ids, "label": ["no", "no", "yes"] * ROWS}).to_csv(tmp_path / "said.csv", index=False)
    logits, _ = asked(tmp_path / "said.csv", data, own_cache, confidence=0.9)
    odds = np.exp(logits[:, 0] - logits[:, 1])
    assert np.allclose(odds, (0.9 * 2 / 3 + 0.1 / 3) / (0.9 / 3 + 0.1 * 2 / 3), atol=1e-4)


def test_scores_go_by_ids_too(table: pd.DataFrame, data: Csv, own_cache: Cache, tmp_path: Path) -> None:
    shares = np.linspace(0.1, 0.9, ROWS)
    said = pd.DataFrame({"id": table["id"], "no": shares, "yes": 1 - shares})
    said.to_parquet(tmp_path / "said.parquet")
    logits, _ = asked(tmp_path / "said.parquet", data, own_cache)
    ids = [int(one) for one in Csv(data.path, id_column="id").load().splits["train"].ids or ()]
    assert np.allclose(np.exp(logits[:, 0]), [shares[one - 100] for one in ids], atol=1e-5)


def test_texts_beside_ids_must_be_those_of_the_data(
    table: pd.DataFrame, data: Csv, own_cache: Cache, tmp_path: Path
) -> None:
    path = tmp_path / "said.csv"
    table.assign(text=table["text"].str.upper() + "!").to_csv(path, index=False)
    assert asked(path, data, own_cache)[1]["other_texts"] == [0, ROWS, ""], "case and signs count for nothing"
    table.assign(id=np.roll(table["id"], 1)).to_csv(path, index=False)  # every answer is its neighbour's
    with pytest.raises(
        UserError, match=r"column 'text': expected the data's texts beside their ids, got 60 of 60"
    ) as caught:
        asked(path, data, own_cache)
    assert "teacher.text_column=null" in str(caught.value)
    assert asked(path, data, own_cache, text_column=None)[1]["agreement"] == 0.0, "the cure works as typed"
    ids = table["id"].to_numpy().copy()
    ids[:10] = np.roll(ids[:10], 1)
    table.assign(id=ids).to_csv(path, index=False)
    about = asked(path, data, own_cache)[1]
    assert about["other_texts"][:2] == [10, ROWS]
    assert "10 of 60 beside another text: '109' is " in told("said", "train", about)


def test_a_row_without_an_id_is_joined_by_its_text(
    table: pd.DataFrame, data: Csv, own_cache: Cache, tmp_path: Path
) -> None:
    (tmp_path / "more.txt").write_text("some more text\nand more of it\n")
    both = Csv(data.path, transfer_path=str(tmp_path / "more.txt"))
    more = pd.DataFrame({"id": [None], "text": ["some more  text"], "label": ["yes"]})
    pd.concat([table.astype({"id": object}), more]).to_json(tmp_path / "said.jsonl", orient="records", lines=True)
    logits, about = asked(tmp_path / "said.jsonl", both, own_cache)
    assert about["answered"] == about["rows"] - 1
    assert logits[-2].argmax() == 1
    assert np.isnan(logits[-1]).all()


def test_ids_that_begin_anew_in_each_split_need_its_name(table: pd.DataFrame, own_cache: Cache, tmp_path: Path) -> None:
    folder = tmp_path / "layout"
    folder.mkdir()
    for split, rows in (("train", table[:40]), ("test", table[40:])):
        rows.assign(id=range(len(rows))).to_csv(folder / f"{split}.csv", index=False)
    data = Hub(path=str(folder))
    table[:40].assign(id=range(40))[["id", "label"]].to_csv(tmp_path / "said.csv", index=False)
    with pytest.raises(UserError, match=r"dataset hub, column 'id'.*got '.*' in train and in.*teacher\.split=train"):
        asked(tmp_path / "said.csv", data, own_cache)
    logits, about = asked(tmp_path / "said.csv", data, own_cache, split="train")
    assert right(logits, data)
    assert about["answered"] == about["rows"]
    logits, about = asked(tmp_path / "said.csv", data, own_cache, "validation", split="train")
    assert right(logits, data, "validation"), "it was carved out of train, and has its numbers"
    assert asked(tmp_path / "said.csv", data, own_cache, "test", split="train")[1]["answered"] == 0


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ({"key": [100], "label": ["no"]}, {}, r"expected a column 'id', got 'key', 'label'.*teacher\.id_column=NAME"),
        ({"id": [[1]], "label": ["no"]}, {}, r"column 'id': expected ids: whole numbers or words, got list"),
        ({"id": [1.5e18], "label": ["no"]}, {}, r"which is not exact\. Write them as texts"),
        ({"id": [5], "label": ["no"]}, {}, r"got 1 answers, none of them to a row of train.*dataset\.id_column=NAME"),
        ({"key": [100], "label": ["no"]}, {"id_column": "key"}, r"a column 'key', once.*dataset\.id_column=NAME"),
    ],
)
def test_what_cannot_be_joined_is_one_line(
    rows: dict[str, Any], options: dict[str, Any], words: str, data: Csv, own_cache: Cache, tmp_path: Path
) -> None:
    lines = [json.dumps(dict(zip(rows, row, strict=True))) for row in zip(*rows.values(), strict=True)]
    (tmp_path / "said.jsonl").write_text("\n".join(lines))
    with pytest.raises(UserError, match=words) as caught:
        asked(tmp_path / "said.jsonl", data, own_cache, **options)
    assert "\n" not in str(caught.value)


def test_two_rows_of_one_id_are_refused(table: pd.DataFrame, own_cache: Cache, tmp_path: Path) -> None:
    table.assign(id=1).to_csv(tmp_path / "data.csv", index=False)
    table[["id", "label"]].to_csv(tmp_path / "said.csv", index=False)
    with pytest.raises(
        UserError, match=r"dataset csv, column 'id': expected an id for each row.*'1' 44 times in train"
    ):
        asked(tmp_path / "said.csv", Csv(str(tmp_path / "data.csv")), own_cache)


def test_a_data_set_without_ids_and_a_file_without_either_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"teacher\.id_column: expected a data set that has a column of ids, got docs"):
        AnswersTeacher("a.csv", id_column="id").id_columns(Docstrings(("numpy", "torch"), name="docs"))
    with pytest.raises(UserError, match=r"teacher\.text_column: expected texts to join answers by, got null"):
        AnswersTeacher("a.csv", text_column=None).id_columns(Csv("a.csv"))
