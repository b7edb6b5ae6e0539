"""Balanced accuracy is scikit-learn's, its interval covers, and a model at chance is known by both accuracies."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from kd_lab.evaluation.balanced_accuracy import (
    at_chance,
    balanced_accuracy,
    balanced_accuracy_interval,
    beside_accuracy,
    class_ratio,
)
from kd_lab.evaluation.intervals import wilson

TRAIN = np.array([0] * 90 + [1] * 10 + [-1] * 500)


def figures(predictions: np.ndarray, labels: np.ndarray) -> dict[str, object]:
    accuracy = list(wilson(int((predictions == labels).sum()), len(labels)))
    return {"accuracy_interval": accuracy, **beside_accuracy(predictions, labels, TRAIN)}


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_scikit_learn_also_with_classes_that_do_not_occur(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels, predictions = draw.choice([0, 2, 5], 60, p=[0.8, 0.15, 0.05]), draw.integers(0, 7, 60)
    assert balanced_accuracy(predictions, labels) == pytest.approx(balanced_accuracy_score(labels, predictions))


def test_by_hand() -> None:
    assert balanced_accuracy([0, 0, 0, 1], [0, 0, 1, 1]) == 0.75
    assert balanced_accuracy([0] * 10, [0] * 9 + [1]) == 0.5


def test_the_interval_is_that_of_rows_drawn_anew() -> None:
    draw = np.random.default_rng(0)
    labels = draw.choice([0, 1, 2], 400, p=[0.7, 0.2, 0.1])
    predictions = np.where(draw.random(400) < 0.8, labels, 0)
    low, high = balanced_accuracy_interval(predictions, labels)
    assert low < balanced_accuracy(predictions, labels) < high
    rows = draw.integers(0, 400, (1000, 400))
    scores = [balanced_accuracy_score(labels[one], predictions[one]) for one in rows]
    assert (low, high) == pytest.approx(np.quantile(scores, [0.025, 0.975]), abs=0.015)
    assert balanced_accuracy_interval(predictions, labels) == (low, high)


def test_a_ratio_is_over_the_smallest_class_that_has_rows() -> None:
    assert class_ratio(np.array([30, 0, 10, 15])) == 3.0
    assert class_ratio(np.array([])) == 1.0


def test_what_stands_beside_an_accuracy() -> None:
    found = beside_accuracy(np.array([0, 0, 1, 0]), np.array([0, 0, 1, 1]), TRAIN)
    assert (found["majority_rate"], found["classes"], found["class_ratio"]) == (0.5, 2, 1.0)


def test_always_answering_one_class_is_chance_and_so_is_answering_by_lot() -> None:
    draw = np.random.default_rng(1)
    labels = (draw.random(500) < 0.1).astype(int)
    assert at_chance(figures(np.zeros(500, int), labels))
    assert at_chance(figures((draw.random(500) < 0.1).astype(int), labels))


def test_a_model_that_finds_the_rare_class_at_the_cost_of_accuracy_is_not_at_chance() -> None:
    draw = np.random.default_rng(2)
    labels = (draw.random(500) < 0.1).astype(int)
    found = figures(np.where(draw.random(500) < 0.8, labels, 1 - labels), labels)
    assert found["accuracy_interval"][1] < found["majority_rate"]  # type: ignore[index]
    assert not at_chance(found)


def test_of_a_result_without_these_figures_nothing_is_said() -> None:
    assert not at_chance({"accuracy_interval": [0.1, 0.2]})
    assert not at_chance({})
