from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from pictures import TEACHER, gain_of, words

from kd_lab.report.figures import gain


def test_every_student_has_both_accuracies_and_their_difference(tmp_path: Path, drawn: list[Figure]) -> None:
    gain.draw([gain_of("lstm", 0.25, 0.62), gain_of("mini", 0.60, 0.55)], tmp_path / "gain", " on toy")
    told = words(drawn[0])
    assert {"labels alone\n25.0 %", "distilled\n62.0 %", "+37.0 points [+34.0, +40.0]"} <= set(told)
    assert {"labels alone\n60.0 %", "distilled\n55.0 %", "-5.0 points [-8.0, -2.0]"} <= set(told)
    assert {"lstm", "mini", "What distillation is worth on toy"} <= set(told)


def test_the_caption_says_who_taught_and_on_how_much_text(tmp_path: Path, drawn: list[Figure]) -> None:
    teacher = {**TEACHER, "unlabelled": 12_345}
    gain.draw([gain_of("lstm", 0.25, 0.62, teacher)], tmp_path / "gain")
    (caption,) = [text for text in words(drawn[0]) if text.startswith("Line and band")]
    assert "the teacher, minilm 95.0 % [95.0, 95.0]." in caption
    assert "12,345 rows more, without a label" in " ".join(caption.split())
    assert "1,000 test rows" in caption
