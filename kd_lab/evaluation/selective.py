"""What a model's sureness is worth: how many rows it keeps above a threshold, and how many of them it has right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kd_lab.serving.cascade import OperatingPoint
from kd_lab.serving.label_decisions import Bits

THRESHOLDS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # of the probability of the label that is said


class Judged(NamedTuple):
    """What a model said of N labelled rows."""

    labels: NDArray[np.int64]  # (N,), classes
    predictions: NDArray[np.int64]  # (N,), classes
    confidence: NDArray[Any]  # (N,) float, the probability of the class that was said


class LabelSets(NamedTuple):
    """The labels of each row, where it may bear several."""

    gold: Bits  # (N, C)
    said: Bits  # (N, C)


def judge(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Judged:
    """The most probable class of each row and its probability.

    Args:
        logits: (N, C), unnormalised.
        labels: (N,), classes.
    """
    wide = logits.astype(np.float64)
    odds = np.exp(wide - wide.max(axis=1, keepdims=True))
    return Judged(labels, wide.argmax(axis=1), odds.max(axis=1) / odds.sum(axis=1))


def rates(said: Judged, threshold: float, second: NDArray[np.int64] | None = None) -> OperatingPoint:
    """How a threshold fares: the shares of rows at or above it, and of right ones.

    Args:
        said: by the model that may abstain; of at least one row.
        threshold: of its confidence.
        second: (N,) classes that another model says, which is asked where the first is less sure.
    """
    kept, right = said.confidence >= threshold, said.predictions == said.labels
    cascade = None if second is None else float(np.where(kept, right, second == said.labels).mean())
    return OperatingPoint(threshold, float(kept.mean()), float(right[kept].mean()) if kept.any() else None, cascade)


def table(said: Judged, teacher: NDArray[np.int64] | None = None) -> list[Sequence[float | None]]:
    """A row for each of `THRESHOLDS`, as `metrics.validation.selective` of a result keeps it.

    Args:
        said: by the model.
        teacher: (N,) classes that its teacher says.

    Returns:
        rows of threshold, coverage, accuracy of the rows that are kept (None where none is) and, with a teacher,
        accuracy over all rows where the teacher answers those that are not; rates as fractions, see `OperatingPoint`.
    """
    rows = [rates(said, threshold, teacher) for threshold in THRESHOLDS]
    return [list(row if teacher is not None else row[:3]) for row in rows]
