"""Names of classes are drawn in a font that has their letters, and written out where none has."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font

from kd_lab.evaluation import glyphs
from kd_lab.evaluation.confusion import draw
from kd_lab.evaluation.glyphs import fonts_for

CHINESE = ["动物", "food", "天气 x"]


def letters(family: str) -> set[int]:
    return set(FT2Font(findfont(FontProperties(family=family))).get_charmap())


@pytest.fixture
def no_other_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "_installed", tuple)


def test_letters_that_no_font_has_are_written_out(no_other_font: None) -> None:
    """G28."""
    families, names = fonts_for(CHINESE)
    assert len(families) == 1
    assert names == ["\\u52a8\\u7269", "food", "\\u5929\\u6c14 x"]


def test_a_font_that_has_them_is_used() -> None:
    rare = chr(min(one for one in letters("STIXGeneral") - letters("DejaVu Sans") if chr(one).isalpha()))
    families, names = fonts_for([f"a{rare}", "b"])
    assert names == [f"a{rare}", "b"]
    assert len(families) == 2
    assert ord(rare) in letters(families[1])


def test_the_font_of_boxes_that_comes_with_matplotlib_is_none() -> None:
    assert not [family for _, family in glyphs._installed() if "resort" in family.lower()]


def test_of_plain_names_no_other_font_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "_installed", lambda: pytest.fail("looked for fonts"))
    assert fonts_for(["animals", "Größe", "погода"]) == (["DejaVu Sans"], ["animals", "Größe", "погода"])


def test_a_font_that_is_gone_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glyphs, "_installed", lambda: [(str(tmp_path / "gone.ttf"), "Gone")])
    assert fonts_for(["天"]) == (["DejaVu Sans"], ["\\u5929"])


def test_a_picture_of_any_names_is_drawn_without_a_warning(tmp_path: Path) -> None:
    assert fontManager.ttflist
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw([0, 1, 2], [0, 1, 1], [*CHINESE[:2], "a\nb $x^$ \u0e2d\U0001f986" * 4], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").is_file()
