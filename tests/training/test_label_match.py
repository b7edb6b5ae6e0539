"""A teacher's classes are matched by name; by position only where they are numbers; never silently."""

from __future__ import annotations

import re

import pytest

from kd_lab.core.errors import UserError
from kd_lab.training.label_match import match

OURS = ("animals", "food", "weather")


@pytest.mark.parametrize(
    ("theirs", "given", "order", "told"),
    [
        (("weather", "animals", "food"), None, (1, 2, 0), "by name"),
        (("Weather ", "ANIMALS", "food"), None, (1, 2, 0), "by name but for case and blanks: ANIMALS = animals"),
        (("LABEL_0", "LABEL_1", "LABEL_2"), None, (0, 1, 2), "by position.*LABEL_0 = animals, LABEL_1 = food"),
        (("0", "1", "2"), None, (0, 1, 2), "by position"),
        (("x", "y", "z"), {"z": "animals", "x": "food", "y": "weather"}, (2, 0, 1), "as teacher.labels says"),
        (("x", "rest", "y", "z"), {"z": "animals", "x": "food", "y": "weather"}, (3, 0, 2), "without its rest"),
    ],
)
def test_each_class_finds_its_own(
    theirs: tuple[str, ...], given: dict[str, str] | None, order: object, told: str
) -> None:
    found = match(theirs, OURS, given, "teacher.path")
    assert found.order == order
    assert re.search(told, found.told)


@pytest.mark.parametrize(
    ("theirs", "given", "told"),
    [
        (
            ("x", "y", "z"),
            None,
            r"expected a teacher of the data's 3 classes .* got one of 3 \(x, y, z\).*teacher\.labels",
        ),
        (("LABEL_0", "LABEL_1"), None, "got one of 2"),
        (("animals", "food"), None, "3 classes .weather, animals, food"),
        (("x", "y"), {"x": "animals", "y": "food"}, "got none for 'weather'"),
        (("x", "y"), {"x": "food", "y": "food"}, "got 'x' and 'y' for 'food'"),
        (("x", "y"), {"q": "food"}, "classes of the teacher .x, y., got 'q'"),
        (("x", "y"), {"x": "q"}, "classes of the data .animals, food, weather., got 'q'"),
    ],
)
def test_what_does_not_fit_is_refused(theirs: tuple[str, ...], given: dict[str, str] | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        match(theirs, OURS, given, "teacher.path")
