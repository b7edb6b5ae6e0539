"""How well a classifier does on each class: precision, recall with its interval, F1, and what it is taken for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from kd_lab.evaluation.intervals import wilson
from kd_lab.evaluation.selective import LabelSets


class ClassFigures(NamedTuple):
    """One class of a split; rates are fractions, as scikit-learn's but None where they are of no rows."""

    number: int
    support: int  # rows of the class
    predicted: int  # rows that were answered so
    precision: float | None  # of the rows answered so, those that are of the class
    recall: float | None  # of the rows of the class, those answered so
    recall_interval: tuple[float, float] | None  # Wilson's, 95 %
    f1: float  # 2 TP / (support + predicted)
    taken_for: tuple[int, int] | None  # the class that its other rows are answered most often, and how many of them


def per_class(labels: ArrayLike, predictions: ArrayLike) -> list[ClassFigures]:
    """Each class that occurs among labels or predictions, by number.

    Args:
        labels, predictions: (N,) int, classes from 0.
    """
    gold, said = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    size = int(max(gold.max(initial=-1), said.max(initial=-1))) + 1
    support, predicted = np.bincount(gold, minlength=size), np.bincount(said, minlength=size)
    hits = np.bincount(gold[gold == said], minlength=size)
    wrong = _most_often_taken_for(gold, said)
    return _figures(support, predicted, hits, wrong)


def per_label(sets: LabelSets) -> list[ClassFigures]:
    """The same of each label that occurs, where a row may bear several; a label is not taken for another."""
    borne, said, hits = (part.sum(axis=0) for part in (sets.gold, sets.said, sets.gold & sets.said))
    return _figures(borne, said, hits, {})


def _figures(
    support: np.ndarray, predicted: np.ndarray, hits: np.ndarray, taken_for: Mapping[int, tuple[int, int]]
) -> list[ClassFigures]:
    """Of each class that occurs, out of (C,) counts: rows of it, rows that were answered so, rows that are both."""
    return [
        ClassFigures(
            number,
            int(support[number]),
            int(predicted[number]),
            float(hits[number] / predicted[number]) if predicted[number] else None,
            float(hits[number] / support[number]) if support[number] else None,
            wilson(int(hits[number]), int(support[number])) if support[number] else None,
            float(2 * hits[number] / (support[number] + predicted[number])),
            taken_for.get(number),
        )
        for number in map(int, np.flatnonzero(support + predicted))
    ]


def _most_often_taken_for(gold: np.ndarray, said: np.ndarray) -> dict[int, tuple[int, int]]:
    """Class -> (the wrong answer that its rows got most often, of equals the first; how often)."""
    pairs, counts = np.unique(np.stack([gold, said])[:, gold != said], axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    found: dict[int, tuple[int, int]] = {}
    for true, answer, count in zip(*pairs[:, order].tolist(), counts[order].tolist(), strict=True):
        found.setdefault(true, (answer, count))
    return found
