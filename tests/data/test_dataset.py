"""Splits are stratified, disjoint and the same each time; rows unfit to learn from are refused by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_lab.core.errors import UserError
from kd_lab.data.dataset import UNLABELLED, Split, SplitPlan, Texts, checked, overlap
from kd_lab.data.stratify import stratified

CLASSES = ("no", "yes", "maybe")


def split(labels: list[int], pairs: bool = False) -> Split:
    texts = [f"row {row}" for row in range(len(labels))]
    return Split(
        texts, np.array(labels, dtype=np.int64), [f"pair {row}" for row in range(len(labels))] if pairs else None
    )


def texts(**splits: Split) -> Texts:
    whole = {name: split([0, 1, 2]) for name in ("train", "validation", "test")}
    return Texts({**whole, **splits}, CLASSES)


def counts(some: Split) -> list[int]:
    return np.bincount(some.labels, minlength=len(CLASSES)).tolist()


# carving


def test_each_class_gives_its_share_to_test_first_and_to_validation_out_of_what_is_left() -> None:
    whole = split([0] * 100 + [1] * 50 + [2] * 10)
    carved = SplitPlan(test_fraction=0.2, validation_fraction=0.1).complete({"train": whole})
    assert {name: counts(some) for name, some in carved.items()} == {
        "test": [20, 10, 2],
        "validation": [8, 4, 1],
        "train": [72, 36, 7],
    }


def test_a_class_keeps_a_row_and_gives_one_from_half_a_row_on() -> None:
    labels = np.repeat([0, 1, 2, 3], [1, 2, 3, 4])
    kept, taken = stratified(labels, 0.2, seed=0)
    assert np.bincount(labels[taken], minlength=4).tolist() == [0, 0, 1, 1]
    kept, taken = stratified(labels, 0.9, seed=0)
    assert np.bincount(labels[kept]).tolist() == [1, 1, 1, 1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-1, 4), min_size=1, max_size=80), st.floats(0, 1), st.integers(0, 3))
def test_kept_and_taken_are_all_rows_once_in_order(labels: list[int], fraction: float, seed: int) -> None:
    kept, taken = stratified(np.array(labels), fraction, seed)
    assert sorted([*kept, *taken]) == list(range(len(labels)))
    assert kept.tolist() == sorted(kept)
    assert taken.tolist() == sorted(taken)
    assert set(np.array(labels)[kept]) == set(labels)


def test_a_seed_is_one_choice_of_rows() -> None:
    labels = np.repeat([0, 1], 50)
    again = [stratified(labels, 0.2, seed)[1].tolist() for seed in (0, 0, 1)]
    assert again[0] == again[1] != again[2]


def test_splits_that_are_given_are_left_alone() -> None:
    given_ = {"train": split([0, 1] * 50), "test": split([1, 0, 0])}
    carved = SplitPlan().complete(given_)
    assert carved["test"] is given_["test"]
    assert counts(carved["validation"]) == [5, 5, 0]
    assert set(given_) == {"train", "test"}


def test_pairs_stay_with_their_rows() -> None:
    carved = SplitPlan().complete({"train": split([0, 1] * 20, pairs=True)})
    for some in carved.values():
        assert some.pairs == [text.replace("row", "pair") for text in some.texts]


# limits


@pytest.mark.parametrize(
    ("rows", "limit", "expected"),
    [
        ([50, 30, 20], 10, [5, 3, 2]),
        ([5, 5, 5], 4, None),  # 1.33 rows each: rounding each class by itself gave 3 rows
        ([5, 5, 0], 5, None),  # 2.5 rows each: rounding each class by itself gave 6 rows
        ([100, 100, 1], 20, [10, 10, 0]),
        ([20, 1, 1], 20, [18, 1, 1]),  # a class of one row is not the first to go
        ([3, 2, 1], 6, [3, 2, 1]),
        ([3, 2, 1], 600, [3, 2, 1]),
    ],
)
def test_a_limit_is_kept_exactly_and_in_proportion(rows: list[int], limit: int, expected: list[int] | None) -> None:
    whole = split([label for label, number in enumerate(rows) for _ in range(number)])
    given_ = {"train": whole, "validation": whole, "test": whole}
    for some in SplitPlan(limit=limit).complete(given_).values():
        assert len(some.texts) == min(limit, sum(rows))
        if expected:
            assert counts(some) == expected
        for number, of in zip(counts(some), rows, strict=True):
            assert abs(number - of * min(1, limit / sum(rows))) < 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("test_fraction", 20),
        ("test_fraction", -0.1),
        ("validation_fraction", 0),
        ("validation_fraction", 1),
        ("limit", 0),
    ],
)
def test_a_share_that_leaves_nothing_is_refused_by_name(option: str, value: float) -> None:
    with pytest.raises(UserError) as caught:
        SplitPlan(**{option: value})
    assert caught.value.where == f"dataset.split.{option}"


# checks


@pytest.mark.parametrize(
    ("splits", "where", "got"),
    [
        ({"test": split([])}, "split test", "none"),
        ({"train": Split(["a", " ", "c"], np.array([0, 1, 2]))}, "split train, row 1", "an empty text"),
        ({"train": Split(["a", None, "c"], np.array([0, 1, 2]))}, "split train, row 1", "an empty text"),  # type: ignore[list-item]
        ({"train": Split(["a", "b", 3], np.array([0, 1, 2]))}, "split train, row 2", "int 3"),  # type: ignore[list-item]
        ({"test": Split(["a"], np.array([0]), [""])}, "split test, row 0", "an empty text"),
        ({"train": split([1, 1, 1]), "test": split([1])}, "split train", "only 'yes'"),
        ({"train": split([UNLABELLED] * 3)}, "split train", "no labelled row"),
        ({"train": split([0, 1]), "test": split([0, 2])}, "split test", "'maybe'"),
        ({"validation": split([0, UNLABELLED])}, "split validation", "rows with label -1"),
    ],
)
def test_what_cannot_be_learned_from_is_refused_by_place(splits: dict[str, Any], where: str, got: str) -> None:
    splits = {**({"validation": split([1])} if "only" in got or "maybe" in got else {}), **splits}
    with pytest.raises(UserError) as caught:
        checked(texts(**splits), "dataset toy")
    assert caught.value.where.startswith("dataset toy")
    assert caught.value.where.endswith(where)
    assert got in caught.value.got


def test_sound_texts_pass_with_rows_that_have_no_label() -> None:
    sound = texts(train=split([0, 1, 2, UNLABELLED]))
    assert checked(sound, "dataset toy") is sound


def test_rows_that_stand_in_train_too_are_counted() -> None:
    train = Split(["a", "b", "c", "d"], np.zeros(4))
    assert overlap(
        {"train": train, "validation": Split(["e"], np.zeros(1)), "test": Split(["a", "e", "c"], np.zeros(3))}
    ) == ["2 of 3 test rows stand in train too, word for word"]
    pairs = train._replace(pairs=["1", "2", "3", "4"])
    assert not overlap(
        {"train": pairs, "validation": Split(["a"], np.zeros(1), ["2"]), "test": Split(["e"], np.zeros(1), ["1"])}
    )
