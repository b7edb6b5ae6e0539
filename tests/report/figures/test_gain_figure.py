from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from pictures import TEACHER, cell, must_be_pictures, setting

from kd_lab.evaluation.paired_tests import Comparison
from kd_lab.report.figures import gain, style
from kd_lab.report.study.gain import Gain


def known(student: str, low: float, high: float, teacher: dict[str, object] = TEACHER) -> Gain:
    settings = [setting({"model": student}, replace(cell(score), teacher=teacher)) for score in (high, low)]
    comparison = Comparison(high - low, high - low - 0.03, high - low + 0.03, 0.0, 1)
    return Gain("toy", student, *settings, comparison, 0.0, "")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    seen: list[Figure] = []
    monkeypatch.setattr(style, "save", lambda figure, stem: seen.append(figure) or [stem])
    return seen


def words(figure: Figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


def test_the_same_gains_give_the_same_pictures(tmp_path: Path) -> None:
    found = [known("lstm_attention", 0.25, 0.62), known("distilbert_mini" * 3, 0.55, 0.61)]
    must_be_pictures(gain.draw(found, tmp_path / "one"), gain.draw(found, tmp_path / "two"))


def test_no_gain_gives_no_picture(tmp_path: Path) -> None:
    assert gain.draw([], tmp_path / "gain") == []


def test_every_student_has_both_accuracies_and_their_difference(tmp_path: Path, drawn: list[Figure]) -> None:
    gain.draw([known("lstm", 0.25, 0.62), known("mini", 0.60, 0.55)], tmp_path / "gain", " on toy")
    told = words(drawn[0])
    assert {"labels alone\n25.0 %", "distilled\n62.0 %", "+37.0 points [+34.0, +40.0]"} <= set(told)
    assert {"labels alone\n60.0 %", "distilled\n55.0 %", "-5.0 points [-8.0, -2.0]"} <= set(told)
    assert {"lstm", "mini", "What distillation is worth on toy"} <= set(told)


def test_the_caption_says_who_taught_and_on_how_much_text(tmp_path: Path, drawn: list[Figure]) -> None:
    teacher = {**TEACHER, "unlabelled": 12_345}
    gain.draw([known("lstm", 0.25, 0.62, teacher)], tmp_path / "gain")
    (caption,) = [text for text in words(drawn[0]) if text.startswith("Line and band")]
    assert "the teacher, minilm 95.0 % [95.0, 95.0]." in caption
    assert "12,345 rows more, without a label" in " ".join(caption.split())
    assert "1,000 test rows" in caption
