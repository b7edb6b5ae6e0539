"""Texts that a program gives come back from the cache exactly as they were, or are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kd_lab.core.cache import Cache
from kd_lab.core.errors import UserError
from kd_lab.data import frame
from kd_lab.data.frame import FrameRows
from kd_lab.data.hub import Hub

HARD = [
    "two\nlines\r\nof text\ttab",
    'she said "no", twice',
    "NA",
    "nan",
    "  spaces before and after  ",
    "a NUL \0 within",
    "1.0",
    "007",
    ";,|\\",
    "é and é, 🦆, \u2028, \ufeff",
    "'",
    "<b>bold</b> {} ${x}",
]


def rows(given: Any, **columns: str) -> FrameRows:
    return frame.rows(given, "train", **{"text": "text", "label": "label", **columns})


def read(found: FrameRows, cache: Cache) -> tuple[list[str], list[str], list[str] | None]:
    """Texts, names of labels and pairs, as a run reads them."""
    folder = frame.keep({"train": found, "validation": found, "test": found}, cache)
    splits = {name: name for name in ("train", "validation", "test")}
    pair = frame.PAIR if found.pairs is not None else None
    texts = Hub(path=str(folder), splits=splits, pair_column=pair).load()
    train = texts.splits["train"]
    return train.texts, [texts.classes[label] for label in train.labels], train.pairs


def test_texts_survive_exactly_that_a_csv_would_change(own_cache: Cache) -> None:
    labels = [*HARD[6:], *HARD[:6]]
    table = pd.DataFrame({"text": HARD, "label": labels, "other": HARD[::-1]})
    named = [label.strip() for label in labels]
    assert read(rows(table, pair="other"), own_cache) == (HARD, named, HARD[::-1])
    assert read(rows((HARD, labels)), own_cache) == (HARD, named, None)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip), min_size=1))
def test_any_text_survives_exactly(own_cache: Cache, texts: list[str]) -> None:
    labels = [f"class {text} of its own" for text in texts[::-1]]
    assert read(rows((texts, labels)), own_cache) == (texts, labels, None)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["1.0", "01", "1"], ["1.0", "01", "1"]),
        ([2, 10, 0], ["2", "10", "0"]),
        ([True, False, True], ["True", "False", "True"]),
        ([0.5, 1.0, 2.0], ["0.5", "1.0", "2.0"]),
        (pd.Categorical(["b", "a", "b"], categories=["c", "b", "a"]), ["b", "a", "b"]),
        (pd.Series([3, 1, 2], dtype="Int64"), ["3", "1", "2"]),
        (pd.Series(["x", "y", "x"], dtype="string"), ["x", "y", "x"]),
        (np.array([1, 0, 1], dtype=np.int8), ["1", "0", "1"]),
        (np.array(["p", "q", "p"]), ["p", "q", "p"]),
        ([np.int64(7), 8, 7], ["7", "8", "7"]),
    ],
)
def test_labels_of_every_kind_keep_their_names(labels: Any, names: list[str], own_cache: Cache) -> None:
    texts = ["one", "two", "three"]
    assert read(rows(pd.DataFrame({"text": texts, "label": labels})), own_cache)[1] == names
    assert read(rows((texts, labels)), own_cache)[1] == names


@pytest.mark.parametrize(
    ("texts", "labels", "told"),
    [
        (["a", None], [0, 1], "train, 'text', row 1: expected a text, got NoneType None"),
        (["a", np.nan], [0, 1], "row 1: expected a text, got (float nan|NoneType None)"),
        (["a", 5], [0, 1], "row 1: expected a text, got int 5"),
        (["a", " \n"], [0, 1], "row 1: expected a text, got an empty text"),
        (["a", "\ud83e"], [0, 1], "row 1: expected a text, got half of a surrogate pair"),
        (["a", "b"], ["x", None], "train, 'label': expected a label on every row, got 1 rows without, .* row 1"),
        (["a", "b"], [0, np.nan], "expected a label on every row"),
        (["a", "b"], [pd.NA, 1], "expected a label on every row, got 1 rows without, the first of them row 0"),
        (["a", "b"], [pd.NaT, 1], "expected a label on every row"),
        (["a", "b"], ["x", " "], "expected a label on every row"),
        (["a", "b"], ["x", 1], "expected labels of one type: .*, got int and str"),
        (["a", "b"], [True, 1], "expected labels of one type: .*, got bool and int"),
        (["a", "b"], [["x"], [["y"]]], "expected lists of labels, got"),
        (["a", "b"], [2**70, 1], f"expected labels of one type: .*, got {2**70}"),
        (["a", "b"], ["x", "\udc00"], r"expected labels of one type: .*, got '.udc00'"),
        ([], [], "train: expected rows, got none"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_in_one_line(texts: list[Any], labels: list[Any], told: str) -> None:
    table = pd.DataFrame({"text": pd.Series(texts, dtype=object), "label": pd.Series(labels, dtype=object)})
    with pytest.raises(UserError, match=told) as refused:
        rows(table)
    assert "\n" not in str(refused.value)


def test_a_column_that_is_not_there_or_twice_is_refused_with_those_that_are() -> None:
    table = pd.DataFrame([["a", "b", "x"]], columns=["says", "says", "label"])
    with pytest.raises(UserError, match=r"expected a column 'text', once, got 'says', 'says', 'label'\. Name .* text="):
        rows(table)
    with pytest.raises(UserError, match="expected a column 'says', once"):
        rows(table, text="says")


@pytest.mark.parametrize(
    "given", ["reviews.csv", ["a", "b"], [["a"], ["x"]], ("a", "x"), (["a"], ["x"], ["y"]), {"text": ["a"]}, 3]
)
def test_what_is_neither_a_frame_nor_lists_is_refused(given: Any) -> None:
    with pytest.raises(UserError, match=r"expected texts with labels, got \w+\. Give a data frame of pandas"):
        rows(given)
    with pytest.raises(UserError, match="expected 2 labels, one for each text, got 1"):
        rows((["a", "b"], ["x"]))


def test_the_same_rows_have_one_folder_and_any_other_rows_another(own_cache: Cache) -> None:
    def folder(found: FrameRows) -> Path:
        return frame.keep({"train": found}, own_cache)

    first = folder(rows((["a", "b"], ["1", "0"])))
    assert folder(rows(pd.DataFrame({"says": ["a", "b"], "kind": ["1", "0"]}), text="says", label="kind")) == first
    sets = [rows((["a"], [frozenset(kinds)])) for kinds in ("xyz", "zyx")]
    assert [one.labels for one in sets] == [[["x", "y", "z"]]] * 2  # whatever order a process keeps a set in
    others = [rows((["a", "b"], [1, 0])), rows((["a", "b"], [True, False])), rows((["b", "a"], ["0", "1"]))]
    assert len({first, *map(folder, others)}) == 4
