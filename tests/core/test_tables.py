"""Numbers and cells as tables show them."""

from __future__ import annotations

import pytest

from kd_lab.core import tables


@pytest.mark.parametrize(
    ("value", "text"), [(102.567, "102.57"), (8.264, "8.26"), (0.05, "0.05"), (0.0499, "0.050"), (0.0284, "0.028")]
)
def test_microseconds_are_told_apart(value: float, text: str) -> None:
    assert tables.milliseconds(value) == text


def test_a_cell_with_a_bar_stays_one_cell_in_markdown() -> None:
    assert tables.to_markdown(["a"], [["x | y"]], words=[0]) == "| a |\n| --- |\n| x \\| y |\n"
