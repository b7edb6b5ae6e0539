"""What a model says of the rows of a split: a class each, or, where a row may bear several, a set of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from kd_lab.core.nested import at
from kd_lab.data.tokenized import Tokens
from kd_lab.evaluation import multi_label
from kd_lab.evaluation.selective import Judged, LabelSets, judge
from kd_lab.serving.label_decisions import THRESHOLDS, confidence, decisions


def gold(tokens: Tokens, split: str) -> torch.Tensor:
    """Labels (N,) of a split, or (N, C) where a row may bear several."""
    return torch.from_numpy(tokens.split(split).gold())


def thresholds_of(tokens: Tokens, logits: Mapping[str, torch.Tensor]) -> NDArray[np.float64] | None:
    """(C,) tuned on validation; None where a row has one label, or nothing is said of validation.

    Args:
        logits: split -> (N, C); rows of NaN are not judged.
    """
    if not tokens.multi_label or "validation" not in logits:
        return None
    said = logits["validation"]
    judged = ~said[:, 0].isnan()
    return multi_label.tune(said[judged].numpy(), gold(tokens, "validation")[judged].numpy())


def tuned(metrics: Mapping[str, Any]) -> NDArray[np.float64] | None:
    """(C,) thresholds that a result's metrics hold, see `scoring.scores`; None where a row has one label."""
    found = at(metrics, f"validation.{THRESHOLDS}")
    return None if found is None else np.array(found, np.float64)


def answers(tokens: Tokens, logits: torch.Tensor, thresholds: NDArray[np.float64] | None = None) -> NDArray[np.int64]:
    """(N,) what logits (N, C) say of rows: a class, or the number of a set of labels, see `multi_label.set_numbers`."""
    if not tokens.multi_label:
        return np.asarray(logits.argmax(1).numpy())
    return multi_label.set_numbers(decisions(logits.numpy(), thresholds))


def gold_answers(tokens: Tokens, split: str) -> NDArray[np.int64]:
    """(N,) what would be right to say of the rows of a split."""
    labels = gold(tokens, split).numpy()
    return labels if labels.ndim == 1 else multi_label.set_numbers(labels)


def judged(
    tokens: Tokens, split: str, logits: torch.Tensor, thresholds: NDArray[np.float64] | None = None
) -> tuple[Judged, LabelSets | None]:
    """What is said of each row of a split, and how surely; the sets of labels where a row may bear several.

    Args:
        logits: (N, C) of all rows.
        thresholds: see `thresholds_of`.

    Returns:
        of sets of labels `multi_label.set_numbers` stand for classes.
    """
    labels = gold(tokens, split).numpy()
    if labels.ndim == 1:
        return judge(logits.numpy(), labels), None
    said = decisions(logits.numpy(), thresholds)
    numbers = gold_answers(tokens, split), answers(tokens, logits, thresholds)
    return Judged(*numbers, confidence(logits.numpy(), said)), LabelSets(labels > 0, said)
