"""Few labels: of any data set some rows of train keep theirs, the others are text that only a teacher judges."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

from kd_lab.core.cache import fingerprint
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED, Texts
from kd_lab.data.hub import Hub

ROWS = {"text": [f"text {row}" for row in range(120)], "label": ["a", "b", "b"] * 40}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pa.parquet.write_table(pa.table(ROWS), tmp_path / "train-0.parquet")
    (tmp_path / "more.txt").write_text("one more\nand another")
    return tmp_path


def hub(folder: Path, **options: object) -> Hub:
    return Hub(path=str(folder), **options)  # type: ignore[arg-type]


def labels(texts: Texts, name: str) -> list[int]:
    """How many rows of a split have no label, and each class."""
    return np.bincount(texts.splits[name].labels + 1, minlength=3).tolist()


def test_few_rows_of_train_keep_their_label_and_the_other_splits_all(folder: Path) -> None:
    whole, few = hub(folder).load(), hub(folder, labelled=9).load()
    assert labels(few, "train") == [len(few.splits["train"].texts) - 9, 3, 6]
    assert few.splits["train"].texts == whole.splits["train"].texts
    kept = few.splits["train"].labels != UNLABELLED
    assert (few.splits["train"].labels[kept] == whole.splits["train"].labels[kept]).all()
    for name in ("validation", "test"):
        assert labels(few, name) == labels(whole, name)


def test_text_without_labels_comes_to_it(folder: Path) -> None:
    train = hub(folder, labelled=9, transfer_path=str(folder / "more.txt")).load().splits["train"]
    assert train.texts[-2:] == ["one more", "and another"]
    assert (train.labels != UNLABELLED).sum() == 9


def test_a_csv_has_it_too_and_rows_that_had_no_label_never_count(tmp_path: Path) -> None:
    lines = [f"{text},{label}" for text, label in zip(ROWS["text"], ROWS["label"], strict=True)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["text,label", *lines, *(f"bare {row}," for row in range(60))]))
    train = Csv(str(path), labelled=9).load().splits["train"]
    assert np.bincount(train.labels + 1).tolist() == [len(train.texts) - 9, 3, 6]
    assert all(train.labels[row] == UNLABELLED for row, text in enumerate(train.texts) if text.startswith("bare"))


def test_where_a_row_bears_several_labels_each_keeps_its_share(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["text,label", *(f"text {row},{'a|b' if row % 2 else 'a'}" for row in range(200))]))
    texts = Csv(str(path), task="multi_label", labelled=20).load()
    train = texts.splits["train"]
    kept = train.labels[train.labels != UNLABELLED]
    assert len(kept) == 20
    assert texts.label_sets is not None
    assert texts.label_sets[kept].sum(axis=0).tolist() == [20, 10]


@pytest.mark.parametrize("task", ["multi_class", "multi_label"])
def test_a_class_that_would_lose_all_its_rows_is_refused(tmp_path: Path, task: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["text,label", *(f"text {row},{'rare' if row < 4 else 'often'}" for row in range(200))]))
    with pytest.raises(UserError, match="which leave 1 of 2 classes without") as raised:
        Csv(str(path), task=task, labelled=2).load()  # type: ignore[arg-type]
    assert raised.value.where == "dataset.labelled"
    assert Csv(str(path), task=task, labelled=None).load().classes == ("often", "rare")  # type: ignore[arg-type]


def test_it_is_in_the_name_of_a_data_set_only_where_it_is_given(folder: Path) -> None:
    assert "labelled" not in hub(folder).fingerprint_parts()
    assert len({fingerprint(hub(folder, labelled=few)) for few in (None, 9, 10)}) == 3
