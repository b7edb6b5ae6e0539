"""A folder in the hub's layout is read whatever its files are called and hold; else one line says what is there."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import row_files

from kd_lab.cli.compose import compose
from kd_lab.core.errors import UserError
from kd_lab.core.instantiate import build
from kd_lab.data.dataset import UNLABELLED, Texts
from kd_lab.data.hub import Hub
from kd_lab.pipeline.run import resolved_config


def write(path: Path, rows: int = 20, mark: str = "", **more: Any) -> Path:
    """`rows` rows as the file's name says, their texts with `mark` in it."""
    texts, labels = [f"text {mark} {row}" for row in range(rows)], [f"c{row % 2}" for row in range(rows)]
    return row_files.write(path, {"text": texts, "label": labels, **more})


def marks(texts: Texts) -> dict[str, str]:
    """Split -> the mark of its first row."""
    return {name: split.texts[0].split()[1] for name, split in texts.splits.items()}


def sizes(texts: Texts) -> dict[str, int]:
    return {name: len(split.texts) for name, split in texts.splits.items()}


def typed(*overrides: str) -> Texts:
    given = ["dataset=parquet", *overrides]
    found: Texts = build(resolved_config(compose(given).dataset), "dataset").load()
    return found


@pytest.mark.parametrize("pattern", ["{}.csv", "{}.tsv", "{}.jsonl", "{}.jsonl.gz", "{}.parquet", "data/{}.csv"])
@pytest.mark.parametrize("second", ["{}/part-0.csv", "data/{}-00000-of-00001.parquet", "{}.csv"])
def test_files_of_every_format_and_place_are_found(tmp_path: Path, pattern: str, second: str) -> None:
    write(tmp_path / pattern.format("train"), mark="a")
    write(tmp_path / second.format("test"), 10, mark="b")
    texts = Hub(path=str(tmp_path)).load()
    assert marks(texts) == {"train": "a", "test": "b", "validation": "a"}
    assert sizes(texts) == {"train": 18, "validation": 2, "test": 10}
    assert texts.classes == ("c0", "c1")


@pytest.mark.parametrize("name", ["validation", "valid", "val", "dev"])
def test_a_validation_file_that_is_there_is_used(tmp_path: Path, name: str) -> None:
    for split in ("train", name, "test"):
        write(tmp_path / f"{split}-0.parquet", mark=split)
    assert marks(Hub(path=str(tmp_path)).load()) == {"train": "train", "validation": name, "test": "test"}


def test_one_that_stands_for_test_is_not_used_for_validation_as_well(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        write(tmp_path / f"{split}-0.parquet", mark=split)
    found = marks(Hub(path=str(tmp_path), splits={"train": "train", "test": "validation"}).load())
    assert found == {"train": "train", "validation": "train", "test": "validation"}


def test_train_alone_is_split_and_said(tmp_path: Path) -> None:
    """G10."""
    write(tmp_path / "train-0.parquet", 100)
    texts = Hub(path=str(tmp_path)).load()
    assert sizes(texts) == {"train": 72, "validation": 8, "test": 20}
    assert texts.notes == ("there is no split 'test': 20 % of the rows of train stand for it",)


def test_a_split_that_was_asked_for_by_another_name_must_be_there(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet")
    with pytest.raises(UserError, match="expected files of the splits train, final, got files of 'train'"):
        Hub(path=str(tmp_path), splits={"train": "train", "test": "final"}).load()


def test_splits_are_given_whole_and_one_by_one(tmp_path: Path) -> None:
    for split in ("a", "b"):
        write(tmp_path / f"{split}-0.parquet", mark=split)
    for given in (["dataset.splits={train: a, test: b}"], ["dataset.splits.train=a", "dataset.splits.test=b"]):
        assert marks(typed(f"dataset.path={tmp_path}", *given)) == {"train": "a", "validation": "a", "test": "b"}


def test_several_data_sets_in_a_folder_are_named_and_the_cure_works(tmp_path: Path) -> None:
    for config in ("große", "kleine"):
        for split in ("train", "test"):
            write(tmp_path / config / f"{split}-0.parquet", mark=config)
    with pytest.raises(UserError, match="several in folders: große, kleine") as caught:
        Hub(path=str(tmp_path)).load()
    (override,) = shlex.split(str(caught.value).partition("Choose one: ")[2].removesuffix("."))
    assert marks(typed(override))["train"] == "große"


def test_other_names_of_splits_are_named_and_the_cure_works(tmp_path: Path) -> None:
    for split in ("first", "second"):
        write(tmp_path / f"{split}.csv", mark=split)
    with pytest.raises(UserError, match="got files of 'first', 'second'") as caught:
        Hub(path=str(tmp_path)).load()
    (override,) = shlex.split(str(caught.value).partition("e.g. ")[2].removesuffix("."))
    assert marks(typed(f"dataset.path={tmp_path}", override))["test"] == "second"


def test_one_file_is_read_by_csv_as_the_cure_says(tmp_path: Path) -> None:
    path = write(tmp_path / "all my rows.parquet")
    for place in (tmp_path, path):
        with pytest.raises(UserError, match="dataset=csv") as caught:
            Hub(path=str(place)).load()
        said = str(caught.value)
        assert sizes(typed(*shlex.split(said[said.index("dataset=csv") :].removesuffix("."))))["test"] == 4


def test_a_column_that_nobody_asked_for_is_not_read(tmp_path: Path) -> None:
    """G10b."""
    for split in ("train", "test"):
        write(tmp_path / f"{split}.parquet", extra=[{"a": [1]}] * 20)
    assert sizes(Hub(path=str(tmp_path)).load())["test"] == 20
    assert sizes(Hub(hub_id=str(tmp_path)).load())["test"] == 20


def test_a_folder_of_the_hub_without_test_is_split(tmp_path: Path) -> None:
    """G10: KeyError, said as if nothing were there."""
    write(tmp_path / "train.csv", 100, mark="a")
    write(tmp_path / "validation.csv", 10, mark="b")
    texts = Hub(hub_id=str(tmp_path)).load()
    assert marks(texts) == {"train": "a", "test": "a", "validation": "b"}
    assert sizes(texts) == {"train": 80, "validation": 10, "test": 20}


def test_configurations_and_splits_of_the_hub_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['plus', 'small']")

    monkeypatch.setattr(datasets, "load_dataset", refuse)
    with pytest.raises(UserError, match=r"got none of plus, small\. Choose one: dataset\.config=plus\."):
        Hub(hub_id="some/data").load()
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": ["b"]})
    whole = datasets.DatasetDict({"unsupervised": rows, "other": rows})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: whole)
    with pytest.raises(UserError, match=r"got 'unsupervised', 'other', and no 'train'\. .*dataset\.splits\.train="):
        Hub(hub_id="some/data").load()


def test_words_may_be_missing_in_train_and_lists_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "test.parquet")
    write(tmp_path / "train.parquet", label=["a", None, "b", ""] * 5)
    (tmp_path / "test.parquet").unlink()
    texts = Hub(path=str(tmp_path)).load()
    assert texts.classes == ("a", "b")
    assert texts.splits["train"].labels.tolist().count(UNLABELLED) == 10
    write(tmp_path / "train.parquet", label=[["a", "z"]] * 20)
    with pytest.raises(UserError, match=r"got lists of labels.*task=multi_label"):
        Hub(path=str(tmp_path)).load()


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([1.0, 0.0], ("0", "1")),
        ([True, False], ("False", "True")),
        (["one", "one "], ("one",)),
        ([-1, 3, 5, 3], ("3", "5")),
    ],
)
def test_labels_of_every_type_are_classes(tmp_path: Path, labels: list[Any], classes: tuple[str, ...]) -> None:
    write(tmp_path / "train.parquet", label=labels * (20 // len(labels)))
    assert Hub(path=str(tmp_path)).load().classes == classes


def test_categories_are_words(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", label=pd.Categorical(["x", "y"] * 10))
    assert Hub(path=str(tmp_path)).load().classes == ("x", "y")
