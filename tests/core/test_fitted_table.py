"""A table in a terminal of any width: no word is broken, and a column that has no room is named."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from kd_lab.core import tables

HEAD = ("model", "method", "test accuracy", "macro-F1", "parameters / non-zero", "p50 ms", "speed-up")
LINES = [
    ("distilbert_mini", "distilled + onnx_int8", "57.0 % [54.6, 59.3]", "56.0 %", "17.4 M / 16.7 M", "0.45", "17.3x"),
    ("lstm_attention", "baseline", "37.7 % [35.5, 40.1]", "37.2 %", "3.9 M / 3.9 M", "0.68", "11.9x"),
]
SPARE = ("macro-F1", "parameters / non-zero", "p50 ms")


def shown(width: int, lines: list[tuple[str, ...]] = LINES, caption: str | None = None) -> str:
    console = Console(width=width, file=StringIO(), record=True, force_terminal=False)
    console.print(tables.to_rich("a study", HEAD, lines, words=range(2), spare=SPARE, caption=caption))
    return console.export_text()


@pytest.mark.parametrize("width", [60, 66, 72, 80, 90, 100, 110, 120, 160])
def test_of_any_width_no_word_is_broken(width: int) -> None:
    text = shown(width)
    assert max(map(len, text.splitlines())) <= width
    table, _, told = text.partition("no room here for ")
    left_out = [name for name in HEAD if name in " ".join(told.split())]
    assert set(left_out) <= set(SPARE)
    words = set(table.replace("│", " ").replace("┃", " ").split())
    for line in (HEAD, *LINES):
        for name, cell in zip(HEAD, line, strict=True):
            assert (set(cell.split()) <= words) or name in left_out, (name, cell)


def test_with_room_nothing_changes_and_without_columns_go_in_their_order() -> None:
    assert "no room" not in shown(200)
    assert "┃" in shown(200)
    gone = []
    for width in range(200, 50, -1):
        told = " ".join(shown(width).partition("no room here for ")[2].split())
        gone += [name for name in HEAD if name in told and name not in gone]
    assert tuple(gone) == SPARE


def test_columns_grow_lower_before_one_is_left_out() -> None:
    text = shown(84)
    assert "no room" not in text
    row = [line.split() for line in text.splitlines()]
    assert ["distilbert_mini", "distilled", "+"] in [line[:3] for line in row]
    assert ["onnx_int8", "[54.6,", "59.3]"] in [line[:3] for line in row]  # an interval stays whole


def test_where_even_the_others_have_no_room_it_is_folded_as_rich_does() -> None:
    text = shown(30)
    assert max(map(len, text.splitlines())) <= 30
    assert "no room" not in text


def test_a_caption_stays_below_and_wide_letters_count_as_two() -> None:
    text = shown(70, [("蒸留モデル", "蒸留 + 量子化", "57.0 %", "56.0 %", "1 M", "0.45", "2x")], caption="a warning")
    assert text.rstrip().endswith("a warning")
    assert "蒸留モデル" in text


def test_an_empty_table_is_shown() -> None:
    assert "speed-up" in shown(200, [])
    assert "speed-up" in shown(50, [])
