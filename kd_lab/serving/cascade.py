"""A model that answers what it is sure of, and leaves the rest to a human or to a larger model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from kd_lab.core.errors import UserError
from kd_lab.core.nested import is_number
from kd_lab.models import saved_model
from kd_lab.serving.asked import check_threshold
from kd_lab.serving.text_classifier import TextClassifier

SELECTIVE = "selective"  # entry of classifier.json: what `evaluation.selective.table` measured on validation


class CascadeOutput(NamedTuple):
    """What is said of some texts."""

    labels: list[Any]  # None where no model says one; lists where a text may bear several
    probabilities: NDArray[np.float64]  # (N, C), in the order of the first model's labels, of the model that answers
    confidence: NDArray[np.float64]  # (N,) the probability of the labels that this model says
    abstained: NDArray[np.bool_] | None = None  # (N,), where the first model was not sure; None without a threshold


class Cascade:
    """A model that may abstain, and a second that answers then.

    Args:
        model: answers first.
        threshold: of its probability for a label, below which it says none; None has it always answer.
        second: answers what the first does not, however sure it is; None leaves that to a human.

    Raises:
        UserError: the threshold is no probability above 0, or the models have other labels.

    Attributes:
        kept, left: rows so far that the first model answered, and that it did not.
    """

    def __init__(
        self, model: TextClassifier, threshold: float | None = None, second: TextClassifier | None = None
    ) -> None:
        if threshold is not None:
            check_threshold(threshold)
        self._model, self._threshold, self._second = model, threshold, second
        self.kept = self.left = 0
        if second is not None and {*second.labels} != {*model.labels}:
            only = sorted({*second.labels} ^ {*model.labels})
            raise UserError(
                "the second model",
                expected=f"the same {len(model.labels)} labels",
                got=f"{len(second.labels)}, of which {only[0]!r} is only in one of the two",
                cure="Name a model that was fitted on the same data set.",
            )
        if second is not None and second.multi_label != model.multi_label:
            expected, got = ("several labels", "one") if model.multi_label else ("one label", "several")
            cure = "Name a model that was fitted on the same data set."
            raise UserError("the second model", expected=f"{expected} a text", got=got, cure=cure)
        self._order = [] if second is None else [second.labels.index(label) for label in model.labels]

    def predict(
        self, texts: Sequence[str], seconds: Sequence[str] | None = None, batch_size: int = 32
    ) -> CascadeOutput:
        """The answers to texts; takes and raises what `TextClassifier.predict` does."""
        own = self._model.say(texts, seconds, batch_size)
        said, probabilities, confidence = [*own.labels], own.probabilities, own.confidence
        if self._threshold is None:
            self.kept += len(said)
            return CascadeOutput(said, probabilities, confidence)
        abstained = confidence < self._threshold
        rows = np.flatnonzero(abstained).tolist()
        self.kept, self.left = self.kept + len(said) - len(rows), self.left + len(rows)
        others: Sequence[Any] = [None] * len(rows)
        if self._second is not None and rows:
            pairs = None if seconds is None else [seconds[row] for row in rows]
            asked = self._second.say([texts[row] for row in rows], pairs, batch_size)
            others, probabilities[rows], confidence[rows] = (
                asked.labels,
                asked.probabilities[:, self._order],
                asked.confidence,
            )
        for row, label in zip(rows, others, strict=True):
            said[row] = label
        return CascadeOutput(said, probabilities, confidence, abstained)


class OperatingPoint(NamedTuple):
    """How a threshold fared on validation; rates are fractions."""

    threshold: float
    coverage: float  # rows that the model answers
    accuracy: float | None  # of these; None where it answers none
    cascade: float | None = None  # of all rows, where the teacher answers the others; None without a teacher


def operating_points(rows: Any) -> list[OperatingPoint]:
    """What was measured, by threshold; what is damaged or none is left out."""
    lists = [row for row in rows if isinstance(row, list) and len(row) in (3, 4)] if isinstance(rows, list) else []
    whole = [OperatingPoint(*row) for row in lists if all(map(is_number, row[:2])) and all(map(_is_rate, row[2:]))]
    return sorted(whole, key=lambda row: row.threshold)


def operating_points_of(folder: Path) -> list[OperatingPoint]:
    """The same of a model's folder; none of one that an earlier kd_lab saved."""
    card: Mapping[str, Any] = saved_model.read_card(folder)
    return operating_points(card.get(SELECTIVE))


def at_or_below(rows: Sequence[OperatingPoint], threshold: float) -> OperatingPoint | None:
    """The last row whose threshold is no higher; None below the first that keeps anything back."""
    found = [row for row in rows if 0 < row.threshold <= threshold]
    return found[-1] if found else None


def _is_rate(value: object) -> bool:
    return value is None or is_number(value)
