"""Several labels a row: the shapes that lists come in, and how such rows are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from told_labels import told

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


def write(path: Path, shape: str) -> Path:
    frame = pd.DataFrame(ROWS)
    if shape == "jsonl":
        path.with_suffix(".jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    elif shape == "python":
        frame.to_csv(path.with_suffix(".csv"), index=False)
    elif shape == "json":
        frame.assign(label=frame["label"].map(json.dumps)).to_csv(path.with_suffix(".csv"), index=False)
    elif shape == "numpy":
        frame.assign(label=frame["label"].map(np.array)).to_csv(path.with_suffix(".csv"), index=False)
    elif shape == "pipe":
        cells = frame["label"].map(lambda labels: " | ".join(labels) or "[]")
        frame.assign(label=cells).to_csv(path.with_suffix(".csv"), index=False)
    elif shape == "parquet":
        frame.to_parquet(path.with_suffix(".parquet"))
    else:  # numbers, and their names in the file's description
        feature = datasets.Features(text=datasets.Value("string"), label=datasets.List(datasets.ClassLabel(3, NAMES)))
        numbers = [{**row, "label": [NAMES.index(label) for label in row["label"]]} for row in ROWS]
        datasets.Dataset.from_list(numbers, features=feature).to_parquet(str(path.with_suffix(".parquet")))
    return next(path.parent.glob(f"{path.name}.*"))


@pytest.mark.parametrize("shape", ["jsonl", "python", "json", "numpy", "pipe", "parquet", "hub"])
def test_lists_of_labels_are_read_whatever_shape_they_have(tmp_path: Path, shape: str) -> None:
    texts = checked(Csv(str(write(tmp_path / "rows", shape)), task="multi_label").load(), "csv")
    assert texts.classes == NAMES
    assert told(texts) == {row["text"]: row["label"] for row in ROWS}
    assert any("12 rows bear none of the labels" in note for note in texts.notes)


@pytest.mark.parametrize("shape", ["jsonl", "parquet", "hub"])
def test_so_are_those_of_a_folder_in_the_hubs_layout(tmp_path: Path, shape: str) -> None:
    write(tmp_path / "train-0", shape)
    texts = checked(Hub(path=str(tmp_path), task="multi_label").load(), "hub")
    assert told(texts) == {row["text"]: row["label"] for row in ROWS}


def test_so_are_those_of_a_data_frame(tmp_path: Path) -> None:
    frame = pd.DataFrame([*ROWS, {"text": "nobody has said", "label": None}])
    folder = keep({"train": rows(frame, "train", "text", "label")}, Cache(tmp_path / "cache"))
    texts = checked(Hub(path=str(folder), task="multi_label").load(), "frame")
    found = told(texts)
    assert found.pop("nobody has said") is not None, "a row of train, without labels"
    assert found == {row["text"]: row["label"] for row in ROWS}
    assert (texts.splits["train"].labels == UNLABELLED).sum() == 1


def test_a_list_needs_the_task_to_be_named(tmp_path: Path) -> None:
    write(tmp_path / "train-0", "parquet")
    for dataset in (Csv(str(write(tmp_path / "rows", "jsonl"))), Hub(path=str(tmp_path))):
        with pytest.raises(UserError, match=r"got lists of labels.*task=multi_label"):
            dataset.load()


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
    pd.DataFrame({"text": [*(f"text {n}" for n in range(9)), "text 0"], "label": cells}).to_json(
        tmp_path / "rows.jsonl", orient="records", lines=True
    )
    texts = Csv(str(tmp_path / "rows.jsonl"), task="multi_label").load()
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
    path = str(write(tmp_path / "rows", "pipe"))
    assert "task" not in Csv(path).fingerprint_parts()
    parts = Csv(path, task="multi_label").fingerprint_parts()
    assert parts["task"] == "multi_label"
    assert parts != Csv(path, task="multi_label", label_separator="pipe").fingerprint_parts()
    assert Hub(path=str(tmp_path), hub_id="nobody/nothing").fingerprint_parts().keys().isdisjoint({"task"})


def test_a_limit_and_given_splits_keep_to_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "rows", "jsonl")
    texts = checked(Csv(str(path), task="multi_label", split=SplitPlan(limit=20)).load(), "csv")
    assert [len(split.texts) for split in texts.splits.values()] == [20, 12, 5]
