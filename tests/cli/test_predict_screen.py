"""What `kd-lab predict` shows on a terminal fits on its lines."""

from __future__ import annotations

import io

import pytest

from kd_lab.cli.predict_screen import Screen, fits

LABELS = ["anger", "joy", "sadness"]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_the_narrowest_terminal_that_it_fits_on_is_not_wider_than_its_lines(several: bool, whole: bool) -> None:
    width = next(width for width in range(200) if fits(LABELS, whole, width, several))
    shown = io.StringIO()
    Screen(shown, LABELS, whole, width, several)._print(["joy"] * (2 + len(LABELS) * whole), "a text " * 30)
    assert max(map(len, shown.getvalue().splitlines())) < width
    assert not fits(LABELS, whole, width - 1, several)
