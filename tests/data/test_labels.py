"""What a label says: numbers, blanks, -1 and names that look alike; scores and lists are no classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from kd_lab.core.errors import UserError
from kd_lab.data.labels import Labels, as_word, read_labels, twins


def named(*train: str, test: Sequence[str] = ()) -> Labels:
    return read_labels({"train": train, "test": test}, "column 'label'")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        *(("x ", "x "), (3, "3"), (True, "True"), (0.5, "0.5"), (None, ""), (float("nan"), "")),
        *((np.int8(4), "4"), (np.bool_(False), "False"), (np.float32(1.5), "1.5")),
    ],
)
def test_a_plain_value_is_a_word(value: Any, word: str) -> None:
    assert as_word(value) == word


@pytest.mark.parametrize("value", [["a"], ("a",), {"a": 1}, np.array(["a"])])
def test_several_values_are_no_label(value: Any) -> None:
    with pytest.raises(TypeError):
        as_word(value)


@pytest.mark.parametrize(
    "in_order",
    [
        ("9", "10", "100"),
        ("-2", "-1", *map(str, range(10))),
        ("2", "9.5", "10.5"),
        ("10", "9", "B", "b"),
        ("+1", "001", "01", "1"),  # no number begins with a plus
        ("001", "01", "1", "2"),
    ],
)
def test_numbers_stand_in_their_order_and_words_as_words_do_wherever_they_come(in_order: tuple[str, ...]) -> None:
    """Python orders a set of strings anew in each process: the classes of a fitted model would change places."""
    assert named(*in_order).classes == named(*in_order[::-1]).classes == in_order


def test_blanks_around_a_label_are_no_part_of_it_and_said() -> None:
    """G20: 'one' and 'one ' were two classes."""
    found = named("one", "one ", "\u00a0two\t", "two", "  ", "")
    assert found.classes == ("one", "two")
    assert found.splits["train"].tolist() == [0, 0, 1, 1, -1, -1]
    assert found.notes == ("blanks around labels are no part of a class's name: left out in 2 rows, e.g. 'one '",)


def test_none_is_a_class_and_an_empty_label_is_none() -> None:
    """G13."""
    found = named("NONE", "None", "x", "")
    assert found.classes == ("NONE", "None", "x")
    assert found.splits["train"].tolist() == [0, 1, 2, -1]


def test_whole_numbers_with_a_point_are_whole_numbers_and_said() -> None:
    found = named("0.0", "1.0", "10.0", "", test=["1", "0.0"])
    assert found.classes == ("0", "1", "10")
    assert found.splits["test"].tolist() == [1, 0]
    assert found.notes == ("labels such as 0.0 were taken for whole numbers",)
    assert named("1.0", "1", "2").classes == ("1", "1.0", "2")  # two names of one column are two classes
    assert named("0.5", "1.0").classes == ("0.5", "1.0")


def test_minus_one_is_no_label_where_the_others_are_whole_numbers_from_0() -> None:
    found = named("0", "2", "-1", "-1", test=["2"])
    assert found.classes == ("0", "2")
    assert found.splits["train"].tolist() == [0, 1, -1, -1]
    [note] = found.notes
    assert note.startswith("the label -1 of 2 rows was taken for none")
    assert named("0.0", "2.0", "-1.0").classes == ("0", "2")


@pytest.mark.parametrize("train", [("-1", "a", "b"), ("-1", "1"), ("-2", "-1", "0", "1"), ("-1", "0.5", "1.5")])
def test_minus_one_is_a_class_among_others(train: tuple[str, ...]) -> None:
    found = named(*train)
    assert "-1" in found.classes
    assert not found.notes


def test_minus_one_beside_0_and_1_is_a_class_and_said() -> None:
    """A file of negative, neutral and positive texts is not to lose a third of its labels."""
    found = named("-1", "0", "1")
    assert found.classes == ("-1", "0", "1")
    assert found.notes == ("the labels -1, 0 and 1 were taken for three classes; where -1 means none, leave it empty",)


def test_minus_one_is_a_class_where_a_judged_row_has_it() -> None:
    assert named("-1", "0", "1", test=["-1"]).classes == ("-1", "0", "1")


def test_scores_are_refused_as_regression() -> None:
    """G6: 26 scores were 26 classes."""
    with pytest.raises(
        UserError, match=r"column 'label': expected classes, got 26 .*\(0.0, 0.2, 0.4, ...\).*regression"
    ):
        named(*(str(number % 26 / 5) for number in range(260)))
    stars = tuple(str(half / 2) for half in range(10))
    assert len(named(*stars).classes) == 10
    assert len(named(*map(str, range(100))).classes) == 100


@pytest.mark.parametrize(
    "pair",
    [("one", "One"), ("New York", "New\u00a0York"), ("caf\u00e9", "cafe\u0301"), ("a b", "a  b"), ("ﬁn", "fin")],
)
def test_names_that_look_alike_are_two_classes_and_warned_of(pair: tuple[str, str]) -> None:
    found = named(*pair, "other")
    assert len(found.classes) == 3
    [note] = found.notes
    first, second = note[note.index("alone: ") + 7 : note.index("; where")].split(" and ")
    assert first != second  # one sees what differs
    assert not twins(["one", "two", "01", "1"])
