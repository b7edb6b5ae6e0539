"""Layers of a shallow student and a deep teacher, as the papers match them."""

from __future__ import annotations

import pytest

from kd_lab.core.errors import UserError
from kd_lab.losses.layer_map import check_which, teacher_layers


@pytest.mark.parametrize(
    ("student", "teacher", "which", "expected"),
    [
        (6, 12, "every", [2, 4, 6, 8, 10, 12]),  # PKD-Skip takes the first five, section 3.2
        (6, 12, "last", [7, 8, 9, 10, 11, 12]),  # PKD-Last, likewise
        (4, 12, "every", [3, 6, 9, 12]),  # TinyBERT's g(m) = 3 m
        (3, 6, "every", [2, 4, 6]),
        (4, 4, "every", [1, 2, 3, 4]),
        (4, 4, "last", [1, 2, 3, 4]),
        (5, 6, "every", [1, 2, 4, 5, 6]),
        (1, 12, "every", [12]),
    ],
)
def test_the_last_layer_is_matched_with_the_last(student: int, teacher: int, which: str, expected: list[int]) -> None:
    assert list(teacher_layers(student, teacher, check_which("loss", which))) == expected


def test_no_two_layers_share_a_teachers_layer() -> None:
    for teacher in range(1, 13):
        for student in range(1, teacher + 1):
            found = teacher_layers(student, teacher, "every")
            assert len(set(found)) == student
            assert min(found) >= 1


def test_another_word_is_refused() -> None:
    with pytest.raises(UserError, match=r"loss\.terms\.pkd\.layers: expected every or last, got 'first'"):
        check_which("loss.terms.pkd.layers", "first")
