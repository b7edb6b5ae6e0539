"""Coverage and accuracy above a threshold, by hand."""

from __future__ import annotations

import numpy as np
import torch

from kd_lab.evaluation.selective import THRESHOLDS, Judged, judge, rates, table
from kd_lab.serving.cascade import OperatingPoint

SAID = Judged(np.array([0, 1, 2, 0]), np.array([0, 1, 0, 2]), np.array([0.99, 0.8, 0.7, 0.4]))


def test_a_threshold_keeps_the_rows_at_and_above_it() -> None:
    assert rates(SAID, 0.8) == OperatingPoint(0.8, 0.5, 1.0)
    assert rates(SAID, 0.7) == OperatingPoint(0.7, 0.75, 2 / 3)
    assert rates(SAID, 0.0) == OperatingPoint(0.0, 1.0, 0.5)


def test_a_second_model_answers_the_rest() -> None:
    second = np.array([1, 0, 2, 0])  # right where the first is not, and nowhere else
    assert rates(SAID, 0.8, second).cascade == 1.0
    assert rates(SAID, 0.0, second).cascade == 0.5
    assert rates(SAID, 1.0, second) == OperatingPoint(1.0, 0.0, None, 0.5)


def test_a_threshold_that_keeps_nothing_has_no_accuracy() -> None:
    assert rates(SAID, 1.0) == OperatingPoint(1.0, 0.0, None)


def test_the_table_has_a_column_more_with_a_teacher() -> None:
    assert [row[0] for row in table(SAID)] == list(THRESHOLDS)
    assert {len(row) for row in table(SAID)} == {3}
    assert {len(row) for row in table(SAID, SAID.labels)} == {4}
    assert table(SAID, SAID.labels)[-1] == [0.99, 0.25, 1.0, 1.0]


def test_confidence_is_the_largest_softmax_whatever_the_size_of_the_logits() -> None:
    logits = np.array([[1000.0, 999.0, 0.0], [-3.0, 2.0, 1.5]], np.float32)
    said = judge(logits, np.array([0, 2]))
    assert said.predictions.tolist() == [0, 1]
    np.testing.assert_allclose(
        said.confidence, torch.from_numpy(logits).double().softmax(1).amax(1).numpy(), rtol=1e-12
    )
