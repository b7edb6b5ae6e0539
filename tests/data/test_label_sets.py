"""Several labels a row: the shapes that lists come in, and how such rows are drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
import row_files
from row_files import told

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data.csv import Csv
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan, Texts, checked
from kd_lab.data.frame import keep, rows
from kd_lab.data.hub import Hub
from kd_lab.data.label_sets import read_label_sets
from kd_lab.data.label_warnings import label_warnings
from kd_lab.data.stratify import in_proportion, stratified

NAMES = ("funny", "rude", "sad")
SETS = [["rude"], [], ["funny", "sad"], ["sad"], ["funny", "rude", "sad"]] * 12
ROWS = [{"text": f"text {row}", "label": labels} for row, labels in enumerate(SETS)]


SHAPES: dict[str, Callable[[list[str]], Any]] = {  # file -> how it writes the labels of a row
    "lists.jsonl": list,
    "lists.parquet": list,
    "python.csv": str,
    "json.csv": json.dumps,
    "numpy.csv": np.array,
    "pipe.csv": lambda labels: " | ".join(labels) or "[]",
    "hub.parquet": lambda labels: [NAMES.index(label) for label in labels],  # their names in the file's description
}


def dataset(source: type[Csv | Hub], folder: Path, shape: str, **options: Any) -> Csv | Hub:
    """The rows as a data set that is a file, or a folder with a file of train."""
    path = folder / f"train-0{Path(shape).suffix}"
    rows = [{**row, "label": SHAPES[shape](row["label"])} for row in ROWS]
    if shape == "hub.parquet":
        feature = datasets.Features(text=datasets.Value("string"), label=datasets.List(datasets.ClassLabel(3, NAMES)))
        datasets.Dataset.from_list(rows, features=feature).to_parquet(str(path))
    else:
        row_files.write(path, pd.DataFrame(rows))
    return source(path=str(folder if source is Hub else path), **{"task": "multi_label", **options})


@pytest.mark.parametrize(
    ("source", "shape"),
    [*((Csv, shape) for shape in SHAPES), (Hub, "lists.jsonl"), (Hub, "lists.parquet"), (Hub, "hub.parquet")],
)
def test_lists_of_labels_are_read_whatever_shape_they_have(tmp_path: Path, source: type[Csv | Hub], shape: str) -> None:
    texts = checked(dataset(source, tmp_path, shape).load(), "rows")
    assert texts.classes == NAMES
    assert told(texts) == {row["text"]: row["label"] for row in ROWS}
    assert any("12 rows bear none of the labels" in note for note in texts.notes)


def test_so_are_those_of_a_data_frame(tmp_path: Path) -> None:
    frame = pd.DataFrame([*ROWS, {"text": "nobody has said", "label": None}])
    folder = keep({"train": rows(frame, "train", "text", "label")}, Cache(tmp_path / "cache"))
    texts = checked(Hub(path=str(folder), task="multi_label").load(), "frame")
    found = told(texts)
    assert found.pop("nobody has said") is not None, "a row of train, without labels"
    assert found == {row["text"]: row["label"] for row in ROWS}
    assert (texts.splits["train"].labels == UNLABELLED).sum() == 1


def test_a_list_needs_the_task_to_be_named(tmp_path: Path) -> None:
    for source, shape in ((Csv, "lists.jsonl"), (Hub, "lists.parquet")):
        with pytest.raises(UserError, match=r"got lists of labels.*task=multi_label"):
            dataset(source, tmp_path, shape, task="multi_class").load()


def test_the_separator_is_found_or_named_and_said() -> None:
    words = {"train": ["a, b;c", "a", "", "[]"]}
    labels = read_label_sets(words, "here")
    assert labels.classes == ("a", "a, b", "c"), "; comes before ,"
    assert "cut at ';'" in labels.notes[0]
    assert labels.sets is not None
    assert labels.splits["train"].tolist()[2] == UNLABELLED
    assert not labels.sets[labels.splits["train"][3]].any()
    named = read_label_sets(words, "here", "comma")
    assert named.classes == ("a", "b;c")
    assert not any("cut at" in note for note in named.notes)
    assert read_label_sets({"train": ['["a|b"]', "c"]}, "here").classes == ("a|b", "c"), "a list needs no separator"


@pytest.mark.parametrize(
    ("cell", "told"),
    [("[[1]]", r"expected lists of labels, got \[\[1\]\]"), ("['a\" b]", "expected lists of labels")],
)
def test_what_is_no_list_is_refused_in_one_line(cell: str, told: str) -> None:
    with pytest.raises(UserError, match=told) as refused:
        read_label_sets({"train": [cell]}, "here")
    assert "\n" not in str(refused.value)


def test_scores_in_lists_are_refused() -> None:
    with pytest.raises(UserError, match="scores, which are for regression"):
        read_label_sets({"train": [json.dumps([number / 7]) for number in range(20)]}, "here")


def test_a_label_that_train_lacks_is_refused_though_its_set_is_new_alone() -> None:
    labels = read_label_sets({"train": ["a", "b"], "test": ["a|b"]}, "here")
    splits = {name: Split([f"{name} {n}" for n in range(len(one))], one) for name, one in labels.splits.items()}
    checked(Texts(splits, labels.classes, label_sets=labels.sets), "here")  # the set a, b is new: no mistake
    labels = read_label_sets({"train": ["a", "b"], "test": ["a|c"]}, "here")
    splits = {name: Split([f"{name} {n}" for n in range(len(one))], one) for name, one in labels.splits.items()}
    with pytest.raises(UserError, match="expected only labels that train has, got 'c'"):
        checked(Texts(splits, labels.classes, label_sets=labels.sets), "here")


def test_warnings_name_labels_not_sets(tmp_path: Path) -> None:
    cells = ["a|b"] * 8 + ["b", "c"]
    table = {"text": [*(f"text {n}" for n in range(9)), "text 0"], "label": cells}
    texts = Csv(str(row_files.write(tmp_path / "rows.jsonl", table)), task="multi_label").load()
    rare, twice = label_warnings(texts)
    assert "1 of 3 classes have fewer than 5 rows in train: 'c'" in rare
    assert "1 text has more than one set of labels" in twice
    assert "'a, b' and 'c'" in twice


def test_each_label_is_drawn_in_proportion_and_the_draw_repeats() -> None:
    random = np.random.default_rng(0)
    bits = random.random((2000, 5)) < [0.5, 0.3, 0.2, 0.05, 0.01]
    sets, labels = np.unique(bits, axis=0, return_inverse=True)
    labels = labels.reshape(-1).astype(np.int64)
    labels[::10] = UNLABELLED
    kept, taken = stratified(labels, 0.2, 3, sets)
    assert set(kept) | set(taken) == set(range(2000))
    assert not set(kept) & set(taken)
    assert (labels[taken] != UNLABELLED).all(), "rows without labels are kept"
    for label in range(5):
        rows_of = sets[labels[labels >= 0], label].sum()
        assert abs(sets[labels[taken], label].sum() - 0.2 * rows_of) <= max(1, 0.02 * rows_of)
    assert np.array_equal(taken, stratified(labels, 0.2, 3, sets)[1])
    assert not np.array_equal(taken, stratified(labels, 0.2, 4, sets)[1])
    some = in_proportion(labels, 300, 3, sets)
    assert len(some) == len(set(some)) == 300
    assert 25 <= (labels[some] == UNLABELLED).sum() <= 35
    assert abs(sets[labels[some][labels[some] >= 0], 0].mean() - 0.5) < 0.05
    assert np.array_equal(in_proportion(labels, 5000, 3, sets), np.arange(2000))


def test_a_label_of_one_row_stays_in_train() -> None:
    sets = np.array([[True, False], [True, True]])
    labels = np.array([0] * 9 + [1])
    _, taken = stratified(labels, 0.5, 0, sets)
    assert 9 not in taken
    assert len(taken) == 5


def test_the_option_names_the_data_set_anew_and_only_where_it_is_set(tmp_path: Path) -> None:
    parts = dataset(Csv, tmp_path, "pipe.csv").fingerprint_parts()
    assert parts["task"] == "multi_label"
    assert parts != dataset(Csv, tmp_path, "pipe.csv", label_separator="pipe").fingerprint_parts()
    assert "task" not in dataset(Csv, tmp_path, "pipe.csv", task="multi_class").fingerprint_parts()
    assert Hub(path=str(tmp_path), hub_id="nobody/nothing").fingerprint_parts().keys().isdisjoint({"task"})


def test_a_limit_and_given_splits_keep_to_labels(tmp_path: Path) -> None:
    texts = checked(dataset(Csv, tmp_path, "lists.jsonl", split=SplitPlan(limit=20)).load(), "rows")
    assert [len(split.texts) for split in texts.splits.values()] == [20, 12, 5]
