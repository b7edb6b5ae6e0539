from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from kd_lab.evaluation import confusion
from kd_lab.evaluation.confusion import NAMED, draw


@pytest.fixture
def figure(monkeypatch: pytest.MonkeyPatch) -> Figure:
    """What is drawn on."""
    made = Figure()
    monkeypatch.setattr(confusion, "Figure", lambda **_: made)
    return made


def names(figure: Figure) -> list[str]:
    return [label.get_text() for label in figure.axes[0].get_yticklabels()]


def crowd(classes: int, rows: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    draw_from = np.random.default_rng(0)
    return draw_from.integers(0, classes, rows), draw_from.integers(0, classes, rows)


def test_cells_are_counts_and_colours_shares_of_the_true_class(tmp_path: Path, figure: Figure) -> None:
    labels, predictions = torch.tensor([0, 0, 0, 0, 1, -1]), torch.tensor([0, 0, 0, 1, 0, 1])
    draw(labels, predictions, ["no", "yes"], tmp_path / "new" / "confusion.png")
    axes = figure.axes[0]
    texts = [(*map(int, text.get_position()[::-1]), text.get_text()) for text in axes.texts]
    assert sorted(texts) == [(0, 0, "3"), (0, 1, "1"), (1, 0, "1")]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [1.0, 0.0]]
    assert names(figure) == ["no", "yes"]


def test_many_classes_have_neither_names_nor_counts(tmp_path: Path, figure: Figure) -> None:
    labels, predictions = crowd(NAMED + 1)
    draw(labels, predictions, [f"class {number}" for number in range(NAMED + 1)], tmp_path / "confusion.png")
    assert not figure.axes[0].texts
    assert not [name for name in names(figure) if "class" in name]


@pytest.mark.parametrize("classes", [2, NAMED, 151])
def test_the_picture_is_a_png_below_150_kb(classes: int, tmp_path: Path) -> None:
    names = ["a rather long name of a class, of a hundred letters " * 2] * classes
    draw(*crowd(classes), names, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size < 150_000
    with Image.open(tmp_path / "confusion.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 250


def test_class_names_are_not_read_as_formulas(tmp_path: Path) -> None:
    draw([0, 1], [0, 1], ["$10_{$", "a\nb $x^$"], tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").is_file()


def test_drawing_leaves_no_figure_and_no_backend_behind(tmp_path: Path) -> None:
    before = mpl.get_backend(auto_select=False)
    draw([0], [0], ["a", "b"], tmp_path / "confusion.png")
    assert mpl.get_backend(auto_select=False) == before
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or pyplot.get_fignums() == []
