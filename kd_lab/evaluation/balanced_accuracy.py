"""Accuracy in which every class has as much to say as another, and what answering blindly would give of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from kd_lab.core.nested import is_number
from kd_lab.data.balanced_rows import class_counts
from kd_lab.evaluation.counting import bootstrap

UNEVEN = 3.0  # times that the largest class is the smallest, above which classes are called uneven
RATIO = "class_ratio"  # names of what stands beside a split's metrics


def balanced_accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """The plain mean of the recall of each class that occurs among the labels, as scikit-learn has it.

    Args:
        predictions, labels: (N,) int, classes; at least one row.
    """
    hits, rows = _by_class(predictions, labels)
    return float(np.mean(hits / rows))


def balanced_accuracy_interval(predictions: ArrayLike, labels: ArrayLike) -> tuple[float, float]:
    """95 % percentile bootstrap interval of it, (low, high) as fractions.

    Args:
        predictions, labels: (N,) int, classes.
    """
    hits, rows = _by_class(predictions, labels)

    def score(drawn: np.ndarray) -> np.ndarray:  # (samples, 2 C)
        right = drawn[:, : len(hits)]
        of_class = right + drawn[:, len(hits) :]
        recall = np.divide(right, of_class, out=np.zeros_like(right), where=of_class > 0)
        mean: np.ndarray = recall.sum(axis=1) / (of_class > 0).sum(axis=1)
        return mean

    return bootstrap(np.concatenate([hits, rows - hits]), score, 1000, 0)


def class_ratio(counts: np.ndarray) -> float:
    """Rows of the largest class over those of the smallest that has some; 1 at even classes.

    Args:
        counts: (C,) rows of each class.
    """
    there = counts[counts > 0]
    return float(there.max() / there.min()) if len(there) else 1.0


def beside_accuracy(predictions: ArrayLike, labels: ArrayLike, train_labels: ArrayLike) -> dict[str, Any]:
    """What an accuracy is to be read beside.

    Args:
        predictions, labels: (N,) int, classes, of the rows that are judged.
        train_labels: (M,) int, of train; -1 where there is none, at least one other.

    Returns:
        `balanced_accuracy_interval`; `majority_rate`, the accuracy of always answering train's most frequent class;
        `classes`, how many occur among the labels; `class_ratio`, see there, of the labels.
    """
    judged = np.asarray(labels)
    counts = np.bincount(judged)
    return {
        "balanced_accuracy_interval": list(balanced_accuracy_interval(predictions, judged)),
        "majority_rate": float(np.mean(judged == class_counts(np.asarray(train_labels), 1).argmax())),
        "classes": int((counts > 0).sum()),
        RATIO: class_ratio(counts),
    }


def uneven(metrics: Mapping[str, Any]) -> bool:
    """Whether the largest class among a split's labels has more than `UNEVEN` times as many rows as the smallest.

    Args:
        metrics: of the split; a result that does not tell is not uneven.
    """
    ratio = metrics.get(RATIO)
    return is_number(ratio) and ratio > UNEVEN


def at_chance(metrics: Mapping[str, Any]) -> bool:
    """Whether a model is not known to be better than always answering one class.

    Its accuracy may be that of the most frequent class, and its balanced accuracy, which weighing the classes alike may
    have bought for accuracy, may be 1 / C: the 95 % intervals reach both.

    Args:
        metrics: of a split; of results that lack some of these figures nothing is known, and nothing said.
    """
    accuracy, balanced = metrics.get("accuracy_interval"), metrics.get("balanced_accuracy_interval")
    rate, classes = metrics.get("majority_rate"), metrics.get("classes")
    if not accuracy or not balanced or not is_number(rate) or not is_number(classes) or classes < 1:
        return False
    return bool(accuracy[0] <= rate and balanced[0] <= 1 / classes)


def _by_class(predictions: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """(rows answered right, rows), each (C,), of the classes that occur among the labels."""
    gold = np.asarray(labels, dtype=np.int64)
    right = np.asarray(predictions, dtype=np.int64) == gold
    rows = np.bincount(gold)
    hits = np.bincount(gold, weights=right)
    return hits[rows > 0], rows[rows > 0]
