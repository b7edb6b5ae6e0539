"""Text without labels: what of it is learned from, and what is left out since it would be judged on later."""

from __future__ import annotations

import numpy as np
import pytest
from row_files import Held

from kd_lab.core.cache import Cache
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan, Texts
from kd_lab.data.tokenized import tokenise
from kd_lab.data.tokenizer import Tokenizer
from kd_lab.data.unlabelled import without_judged


def split(texts: list[str], labels: list[int], pairs: list[str] | None = None) -> Split:
    return Split(texts, np.array(labels), pairs)


def three(train: Split, pairs: bool = False) -> dict[str, Split]:
    second = ["why?"] if pairs else None
    return {
        "train": train,
        "validation": split(["Call me at 5, please!"], [0], second),
        "test": split(["ünïcode Text"], [1], second),
    }


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("Call me at 5, please!", False),
        ("call   me at 17 -- please", False),
        ("ÜNÏCODE text", False),
        ("call me please now", True),
        ("12345", True),
    ],
)
def test_a_row_without_a_label_that_stands_in_a_judged_split_is_left_out(text: str, stays: bool) -> None:
    train = split(["one", "two", text], [0, 1, UNLABELLED])
    found, told = without_judged(three(train))
    assert found["train"].texts == ["one", "two", *([text] if stays else [])]
    assert found["train"].labels.tolist() == [0, 1, *([UNLABELLED] if stays else [])]
    assert told == ([] if stays else ["1 of 1 rows without a label stand in validation or test and are left out"])


def test_a_labelled_row_stays_for_its_owner_to_judge() -> None:
    train = split(["Call me at 5, please!", "two", "three"], [0, 1, UNLABELLED])
    assert without_judged(three(train))[0]["train"].texts == train.texts


def test_a_pair_is_the_same_only_in_both_its_texts() -> None:
    texts = ["one", "two", "call me at please", "call me at please"]
    train = split(texts, [0, 1, UNLABELLED, UNLABELLED], ["a", "b", "Why", "who"])
    assert without_judged(three(train, pairs=True))[0]["train"].pairs == ["a", "b", "who"]


def test_texts_of_digits_alone_are_the_same_word_for_word_alone() -> None:
    splits = {**three(split(["one", "two", "555", "556"], [0, 1, -1, -1])), "test": split(["555"], [0])}
    assert without_judged(splits)[0]["train"].texts == ["one", "two", "556"]


def test_validation_and_test_are_carved_out_of_labelled_rows() -> None:
    labels = [0, 1] * 10 + [UNLABELLED] * 80
    found = SplitPlan().complete({"train": split([str(row) for row in range(100)], labels)})
    assert UNLABELLED not in found["validation"].labels
    assert UNLABELLED not in found["test"].labels
    assert (found["train"].labels == UNLABELLED).sum() == 80
    assert len(found["test"].labels) == 4


def test_labels_are_kept_in_proportion_and_no_row_is_lost() -> None:
    whole = split([str(row) for row in range(30)], [0] * 20 + [1] * 10)
    found = whole.with_labels(9, seed=0)
    assert found.texts == whole.texts
    assert np.bincount(found.labels + 1).tolist() == [21, 6, 3]
    kept = found.labels != UNLABELLED
    assert (found.labels[kept] == whole.labels[kept]).all()
    assert whole.with_labels(30, seed=0).labels.tolist() == whole.labels.tolist()


def test_what_is_left_out_is_counted_among_the_data_sets_warnings(bert_tokenizer: Tokenizer, own_cache: Cache) -> None:
    train = split(["red cats", "blue dogs", "Green birds 7"], [0, 1, UNLABELLED])
    judged = {"validation": split(["red dogs"], [0]), "test": split(["green birds"], [1])}
    tokens = tokenise(Held(Texts({"train": train, **judged}, ("a", "b"))), bert_tokenizer, own_cache)
    assert len(tokens.split("train")) == 2
    assert tokens.split("train").labelled.tolist() == [0, 1]
    assert "1 of 1 rows without a label" in tokens.warnings[0]
