"""Figures of each class are scikit-learn's, and say what a class is taken for."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from kd_lab.evaluation.intervals import wilson
from kd_lab.evaluation.per_class import per_class


def test_precision_recall_f1_and_support_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    labels = draw.choice([0, 1, 4, 5], 300, p=[0.6, 0.3, 0.07, 0.03])
    said = np.where(draw.random(300) < 0.7, labels, draw.integers(0, 3, 300))
    found = per_class(labels, said)
    numbers = [one.number for one in found]
    assert numbers == [0, 1, 2, 4, 5]
    precision, recall, f1, support = precision_recall_fscore_support(labels, said, labels=numbers, zero_division=0)
    assert [one.precision or 0 for one in found] == pytest.approx(precision)
    assert [one.recall or 0 for one in found] == pytest.approx(recall)
    assert [one.f1 for one in found] == pytest.approx(f1)
    assert [one.support for one in found] == support.tolist()
    assert found[2].recall is found[2].recall_interval is None


def test_recall_has_wilsons_interval_and_a_class_what_it_is_taken_for() -> None:
    first, second, third = per_class([0, 0, 0, 0, 0, 1, 2], [0, 1, 2, 2, 1, 1, 0])
    assert first.recall_interval == wilson(1, 5)
    assert first.taken_for == (1, 2), "of two answers as frequent the first"
    assert second.taken_for is None
    assert third.taken_for == (0, 1)
    assert (third.precision, third.recall, third.f1) == (0.0, 0.0, 0.0)
