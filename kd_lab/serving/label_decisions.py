"""What is said of a text: its most probable label or, where it may bear several, each from a threshold on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = "thresholds"  # entry of classifier.json and of validation's metrics: (C,) of each label, tuned there
EVEN = 0.5  # the threshold of a label where none was tuned
Bits = NDArray[np.bool_]


def decisions(logits: NDArray[Any], thresholds: NDArray[np.float64] | None = None) -> Bits:
    """(N, C), which labels are said: those whose probability is at or above their threshold."""
    said: Bits = probabilities_of(logits) >= (EVEN if thresholds is None else thresholds)
    return said


def probabilities_of(logits: NDArray[Any]) -> NDArray[np.float64]:
    """(N, C), of each label by itself."""
    return np.asarray(np.exp(-np.logaddexp(0, -np.asarray(logits, np.float64))))


def confidence(logits: NDArray[Any], said: Bits) -> NDArray[np.float64]:
    """(N,) the probability that exactly these labels are borne, each counting by itself."""
    signed = np.where(said, 1.0, -1.0) * np.asarray(logits, np.float64)
    return np.asarray(np.exp(-np.logaddexp(0, -signed).sum(axis=1)))


class Said(NamedTuple):
    """What is said of N texts."""

    labels: list[Any]  # a name each; a list of names where a text may bear several
    probabilities: NDArray[np.float64]  # (N, C)
    confidence: NDArray[np.float64]  # (N,) the probability of just these labels


def one_label(logits: NDArray[Any], names: Sequence[str]) -> Said:
    """The most probable label of each row of logits (N, C), unnormalised."""
    wide = logits.astype(np.float64)
    odds = np.exp(wide - wide.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    return Said([names[best] for best in probabilities.argmax(axis=1)], probabilities, probabilities.max(axis=1))


def several_labels(logits: NDArray[Any], names: Sequence[str], thresholds: NDArray[np.float64] | None) -> Said:
    """The labels of each row of logits (N, C) whose probabilities are at or above their thresholds (C,)."""
    said = decisions(logits, thresholds)
    labels = [[name for name, there in zip(names, row, strict=True) if there] for row in said.tolist()]
    return Said(labels, probabilities_of(logits), confidence(logits, said))
