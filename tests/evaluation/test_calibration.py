from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from kd_lab.evaluation.calibration import draw, reliability
from kd_lab.evaluation.metrics import evaluate


def answers(logits: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and confidence, as a cell stores them."""
    sure = logits.double().softmax(dim=1).max(dim=1).values
    return logits.argmax(dim=1).numpy(), sure.float().numpy()


def test_bins_hold_what_is_worked_out_by_hand() -> None:
    found = reliability([0, 0, 1, -1], [0, 1, 1, 0], [0.95, 0.97, 0.5, 0.1])
    assert found.rows.tolist() == [0] * 7 + [1] + [0] * 6 + [2]
    assert found.accuracy[[7, 14]].tolist() == [1.0, 0.5]
    assert found.confidence[14] == pytest.approx(0.96)
    assert np.isnan(found.accuracy[0])
    assert found.ece == pytest.approx((1 * 0.5 + 2 * 0.46) / 3)


@pytest.mark.parametrize("classes", [2, 3, 5, 15, 151])
@pytest.mark.parametrize("spread", [0.0, 1.0, 4.0, 60.0], ids=["undecided", "unsure", "sure", "certain"])
def test_the_error_is_that_of_the_metrics(classes: int, spread: float) -> None:
    """Undecided rows lie on an edge between bins, certain ones at a confidence of exactly 1."""
    torch.manual_seed(0)
    logits, labels = spread * torch.randn(700, classes), torch.randint(0, classes, (700,))
    found = reliability(labels, *answers(logits))
    assert found.ece == pytest.approx(evaluate(logits, labels)["ece"], abs=1e-5)
    assert found.rows.sum() == 700


def test_rows_without_a_label_cannot_be_calibrated() -> None:
    with pytest.raises(ValueError, match="no labelled rows"):
        reliability([-1], [0], [0.5])


@pytest.mark.parametrize("rows", [1, 20_000])
def test_the_picture_is_a_png_below_150_kb_and_the_same_twice(rows: int, tmp_path: Path) -> None:
    pick = np.random.default_rng(0)
    drawn = pick.integers(0, 2, rows), pick.integers(0, 2, rows), pick.uniform(0.5, 1, rows)
    draw(*drawn, tmp_path / "new" / "calibration.png")
    draw(*drawn, tmp_path / "again.png")
    made = (tmp_path / "new" / "calibration.png").read_bytes()
    assert made == (tmp_path / "again.png").read_bytes()
    assert len(made) < 150_000
    with Image.open(tmp_path / "again.png") as picture:
        pixels = np.asarray(picture.convert("L"))
    assert len(np.unique(pixels)) > 20
    border = [pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]
    assert all((edge == 255).all() for edge in border), "something is cut off"
