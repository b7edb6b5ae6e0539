"""Judges a classifier on other data sets than its own: `also_on=[sst2,rte]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from kd_lab.core.errors import UserError
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import intervals, metrics
from kd_lab.evaluation.balanced_accuracy import beside_accuracy

ALSO_ON = "also_on"  # entry of a result's metrics: data set -> what `evaluate` returns
BY_NAME, BY_NUMBER = "name", "number"


class ClassOrder(NamedTuple):
    """Which of a model's classes each class of another data set is."""

    order: NDArray[np.int64]  # (C,) numbers of the model's classes
    by: str  # `BY_NAME`, where all of the data's are among the model's, or `BY_NUMBER`


def class_order(model: Sequence[str], data: Sequence[str], where: str) -> ClassOrder:
    """Matches classes by name; where the names are others, but as many, by number.

    Args:
        model: its classes, by number.
        data: those of the other data set.
        where: the option that names that data set.

    Raises:
        UserError: neither goes.
    """
    numbers = {name.strip().casefold(): number for number, name in enumerate(model)}
    wanted = [name.strip().casefold() for name in data]
    if all(name in numbers for name in wanted) and len(numbers) == len(model):
        return ClassOrder(np.array([numbers[name] for name in wanted], np.int64), BY_NAME)
    if len(model) != len(data):
        known = ", ".join(model[:8]) + (", ..." if len(model) > 8 else "")
        raise UserError(
            where,
            expected=f"a data set with classes of the model's ({known}), or {len(model)} of other names",
            got=f"{len(data)}: {', '.join(data[:8])}{', ...' if len(data) > 8 else ''}",
            cure="Leave it out of also_on.",
        )
    return ClassOrder(np.arange(len(data), dtype=np.int64), BY_NUMBER)


def evaluate(tokens: Tokens, logits: torch.Tensor, classes: ClassOrder) -> dict[str, Any]:
    """The metrics of test's rows of another data set with their 95 % intervals.

    Args:
        tokens: that data set.
        logits: (N, C) of its test rows, C the model's classes: an answer that the data has no class for is wrong.
        classes: see `class_order`.

    Returns:
        those of `metrics.evaluate`, `accuracy_interval`, what `beside_accuracy` tells, `rows`, and `classes_by`.
    """
    labels, train = (torch.from_numpy(_numbered(tokens.split(split).gold(), classes)) for split in ("test", "train"))
    judged = labels >= 0
    labels, logits = labels[judged], logits[judged]
    predictions = logits.argmax(1)
    right = int((predictions == labels).sum())
    return {
        **metrics.evaluate(logits, labels),
        "accuracy_interval": list(intervals.wilson(right, len(labels))),
        **beside_accuracy(predictions, labels, train),
        "rows": len(labels),
        "classes_by": classes.by,
    }


def _numbered(labels: NDArray[np.int64], classes: ClassOrder) -> NDArray[np.int64]:
    """The model's number of each label; -1 where there is none."""
    return np.where(labels >= 0, classes.order[labels], -1)
